"""Tests of `warp_twisted.agent.origins.asking`."""

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.document.test_asked import HASH
from warp_twisted.agent.origins.asking import RulePolicy, asked_text
from warp_twisted.configuration import convert
from warp_twisted.errors import InvalidSettings
from warp_twisted.policy.document.asked import MAX_USERS, AskedPolicy


def policy(text: str) -> RulePolicy:
    """Read a policy of a rule, of which the braces are left out."""
    return convert(json.loads(f"{{{text}}}"), RulePolicy, "")


class AskingTests(SynchronousTestCase):
    """What edges are asked."""

    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        self.file.write_text(f"# staff\nann:{HASH}\n")

    def with_users(self, file: Path | None = None) -> RulePolicy:
        """Return a policy with a users file."""
        return policy(f'"authenticate": {{"any_of": [{{"basic": {{"users_file": "{file or self.file}"}}}}]}}')

    def test_nothing(self) -> None:
        """Without policies nothing is asked."""
        self.assertEqual(asked_text([]), "")

    def test_all_of_it(self) -> None:
        """An edge reads what was meant; of the users file it hears the hashes, and no name of a file."""
        sources = policy('"sources": {"allow": ["192.0.2.0/24"]}, "limits": [{"name": "a", "rate": "50/s"}]')
        text = asked_text(
            [("ingress[0]", ["a.example"], sources), ("ingress[1]", ["", "b.example"], self.with_users())]
        )
        one, two = AskedPolicy.parse(text).rules
        assert one.sources is not None
        self.assertEqual((one.hostnames, one.sources.allow), (["a.example"], ["192.0.2.0/24"]))
        self.assertEqual((two.hostnames, [each.users for each in two.proofs]), (["", "b.example"], [{"ann": HASH}]))
        self.assertNotIn(str(self.file), text)

    def test_the_file_has_changed(self) -> None:
        """Other users are another text, so that edges are asked anew."""
        before = asked_text([("ingress[0]", [""], self.with_users())])
        self.file.write_text(f"bob:{HASH}\n")
        self.assertNotEqual(asked_text([("ingress[0]", [""], self.with_users())]), before)

    def test_refused(self) -> None:
        """What no edge would take is refused before one is asked, with the key and the file, and without a hash."""
        key = "ingress[2].policy.authenticate.any_of[0].basic.users_file"
        for content, problem in (
            (b"", f"expected 1 to {MAX_USERS} users"),
            (b"\xff:x\n", "not UTF-8"),
            (b"ann:secret\n", "line 1: expected an argon2id hash"),
            ("".join(f"u{number}:{HASH}\n" for number in range(MAX_USERS + 1)).encode(), "expected 1 to 256 users"),
        ):
            self.file.write_bytes(content)
            asked = [("ingress[2]", ["a.example"], self.with_users())]
            error = str(self.assertRaises(InvalidSettings, asked_text, asked))
            self.assertTrue(error.startswith(f"{key}: {self.file}: {problem}"), error)
            self.assertNotIn("secret", error)
        missing = [("ingress[2]", ["a.example"], self.with_users(Path("/nowhere/users")))]
        self.assertIn("/nowhere/users: No such file", str(self.assertRaises(InvalidSettings, asked_text, missing)))
        hostnames = [f"{number:0200}.example" for number in range(400)]
        error = self.assertRaises(
            InvalidSettings, asked_text, [("ingress[0]", hostnames, policy('"sources": {"deny": ["192.0.2.1"]}'))]
        )
        self.assertIn("65536 is most", str(error))
        too_many = [("ingress[0]", ["a.example"] * 1001, policy('"sources": {"deny": ["192.0.2.1"]}'))]
        self.assertIn("no edge would take it", str(self.assertRaises(InvalidSettings, asked_text, too_many)))

    def test_words(self) -> None:
        """People are told what is asked in a few words, whatever the length of the lists."""
        many = json.dumps([f"192.0.2.{number}" for number in range(5)])
        asked = policy(
            f'"sources": {{"allow": {many}, "deny": ["2001:db8::/32"]}}, "limits": [{{"name": "a", "rate": "50/s"}},'
            '{"name": "b", "of": "concurrent_requests", "most": 5, "key": "hostname"},'
            '{"name": "c", "rate": "9/h", "key": {"header": "X-Key"}}]'
        )
        self.assertEqual(
            asked.words() + self.with_users(Path("users")).words(),
            [
                "only from 192.0.2.0, 192.0.2.1, 192.0.2.2 and 2 more",
                "not from 2001:db8::/32",
                "50/s for each visitor",
                "5 at once for each hostname",
                "9/h for each value of X-Key",
                "users of users",
            ],
        )

    def test_keys(self) -> None:
        """A key that is no part of it, and a realm or limit that cannot be, are refused by their place."""
        for text, problem in (
            ("", "expected one of sources, limits, authenticate"),
            ('"routes": ["GET /"]', "routes: unknown key"),
            ('"sources": {"alow": []}', "sources.alow: unknown key; did you mean allow?"),
            ('"limits": [{"name": "a", "of": "bytes", "rate": "1MiB/s"}]', "limits[0].of: an agent limits requests"),
            ('"authenticate": {"any_of": [{"basic": {"users_file": "x", "realm": "é"}}]}', "basic.realm: expected"),
        ):
            error = str(self.assertRaises(InvalidSettings, policy, text))
            self.assertIn(problem, error)
