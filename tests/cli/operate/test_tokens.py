"""Tests of `warp_twisted.cli.operate.tokens`: what is asked of the edge, and that a token is shown only once."""

import json
import stat
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.fake_admin import FakeAdmin
from tests.cli.invoke import Ran, invoke
from warp_twisted.cli.operate import tokens
from warp_twisted.cli.operate.answers import NewToken, read

_SECRET = "warp1-c2VjcmV0"


class TokenTests(SynchronousTestCase):
    """`warp token create`, `list`, `revoke`."""

    def setUp(self) -> None:
        self.edge = FakeAdmin()
        self.patch(tokens, "find_admin", lambda option: self.edge)
        self.kept = {
            "id": "0123456789abcdef",
            "hostnames": ["*.team.warp.example"],
            "labels": {"team": "blue"},
            "group": "shop",
            "uses_left": 20,
            "created_at": time.time(),
            "expires_at": time.time() + 7200,
        }
        self.edge.answers["POST /v1/tokens"] = {**self.kept, "token": _SECRET}
        self.edge.answers["GET /v1/tokens"] = [self.kept]

    def create(self, *more: str) -> Ran:
        """Make a token for one hostname pattern."""
        return invoke("token", "create", "--hostname", "*.Team.warp.example", *more)

    def test_create_asks_for_what_was_said(self) -> None:
        """Patterns are normalised, the length of time becomes seconds."""
        self.create("--label", "team=blue", "--ttl", "1d2h", "--uses", "20")
        wish = {"hostnames": ["*.team.warp.example"], "labels": {"team": "blue"}, "ttl_seconds": 93600.0, "uses": 20}
        self.assertEqual(self.edge.asked, [("POST /v1/tokens", wish)])
        self.create("--share", "shop")
        self.assertEqual(read(self.edge.asked[-1][1], dict[str, object])["share"], "shop")

    def test_create_without_a_policy_of_the_agents(self) -> None:
        """The edge is told if agents may not ask for a policy; an older edge is asked nothing that it does not know."""
        for options, said in (([], {}), (["--no-policy"], {"policy": False})):
            self.create(*options)
            wish = read(self.edge.asked[-1][1], dict[str, object])
            self.assertEqual({key: value for key, value in wish.items() if key == "policy"}, said)

    def test_create_prints_the_token_alone(self) -> None:
        """Standard output is the token and nothing else, so that it can be piped; what it is for is said beside."""
        ran = self.create()
        self.assertEqual((ran.status, ran.output), (0, _SECRET + "\n"))
        self.assertIn("0123456789abcdef for *.team.warp.example: 20 agents, for 2 h; they share", ran.errors)
        self.assertTrue(ran.errors.endswith("hostnames as shop.\n"), ran.errors)
        self.assertNotIn(_SECRET, ran.errors)

    def test_create_writes_a_file_for_its_owner(self) -> None:
        """With --out the token is in a new file of mode 0600, and not printed, as JSON neither."""
        for as_json in ([], ["--json"]):
            path = Path(self.mktemp())
            ran = self.create("--out", str(path), *as_json)
            self.assertEqual((ran.status, path.read_text()), (0, _SECRET + "\n"))
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
            self.assertNotIn(_SECRET, ran.output + ran.errors)

    def test_create_overwrites_nothing(self) -> None:
        """A file that exists is left alone, and no token is made."""
        path = Path(self.mktemp())
        path.write_text("mine")
        ran = self.create("--out", str(path))
        self.assertEqual((ran.status, path.read_text(), self.edge.asked), (1, "mine", []))
        self.assertIn(f"{path} exists already, perhaps with a token that is still good; remove it", ran.errors)

    def test_create_leaves_no_empty_file(self) -> None:
        """If the edge refuses, the file is taken away again."""
        self.edge.answers.clear()
        path = Path(self.mktemp())
        self.assertEqual(self.create("--out", str(path)).status, 1)
        self.assertFalse(path.exists())

    def test_create_as_json(self) -> None:
        """Machines get the answer as it came, with the token."""
        self.assertEqual(json.loads(self.create("--json").output), {**self.kept, "token": _SECRET})

    def test_wrong_values(self) -> None:
        """Values out of their grammar are refused before the edge is asked."""
        for option, value in (
            ("--label", "nolabel"),
            ("--share", "Two Words"),
            ("--ttl", "soon"),
            ("--uses", "0"),
            ("--hostname", "a..b"),
        ):
            ran = self.create(option, value)
            self.assertEqual(ran.status, 2, option)
            self.assertIn(option, ran.errors)
        self.assertEqual(self.edge.asked, [])

    def test_list(self) -> None:
        """The list has hostnames, labels, uses and the end, in words."""
        ran = invoke("token", "list")
        self.assertRegex(ran.output, r"0123456789abcdef +\*\.team\.warp\.example +shop +team=blue +20 +in 1 h 59 min")
        self.edge.answers["GET /v1/tokens"] = [{**self.kept, "expires_at": 1.0}]
        self.assertIn("expired", invoke("token", "list").output)
        self.assertEqual(json.loads(invoke("token", "list", "--json").output)[0]["expires_at"], 1.0)

    def test_revocation_that_is_not_kept(self) -> None:
        """One that the edge cannot write yet is said to hold, with what to do if the edge ends before it can."""
        self.edge.answers["DELETE /v1/tokens/a"] = {"was_known": True, "not_kept": "the disk is full"}
        ran = invoke("token", "revoke", "a")
        self.assertEqual(ran.status, 0)
        self.assertRegex(ran.errors, "if the edge ends before, revoke again: the disk is full\n$")

    def test_revoke(self) -> None:
        """Each token is revoked; the first that cannot be ends the command."""
        self.edge.answers["DELETE /v1/tokens/a"] = {}
        ran = invoke("token", "revoke", "a", "b")
        self.assertEqual((ran.status, ran.output), (1, "Token a is revoked.\n"))
        self.assertEqual(ran.errors, "warp: no such thing: DELETE /v1/tokens/b\n")

    def test_secret_has_no_repr(self) -> None:
        """The repr of a new token hides its text."""
        made = read(self.edge.answers["POST /v1/tokens"], NewToken)
        self.assertNotIn(_SECRET, repr(made))
