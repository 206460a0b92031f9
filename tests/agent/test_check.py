"""Tests of `warp_twisted.agent.check`: what an agent.yaml points to is looked at, and nothing is written."""

from collections.abc import Sequence
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.identity.test_state import Authority
from warp_base.reactor import as_reactor
from warp_twisted.agent.check import check_agent, find_token
from warp_twisted.agent.identity.state import StateDirectory, identity_of
from warp_twisted.agent.settings import parse_settings
from warp_twisted.ca.issue import new_key
from warp_twisted.ca.tokens import JoinTokenText, format_token
from warp_twisted.errors import WarpError

TOKEN = JoinTokenText(("192.0.2.1:7844",), b"f" * 32, "t1", "00" * 32)
CATCH_ALL = "ingress: [{service: hello-world}]"


class CheckAgentTests(SynchronousTestCase):
    """What `--check` does."""

    def setUp(self) -> None:
        """Make a directory with a join token; the agent is not enrolled."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.state = self.directory / "state"
        self.token_file = self.directory / "token"
        self.token_file.write_text(format_token(TOKEN))
        self.clock = Clock()

    def enroll(self) -> None:
        """Leave an identity, whose certificate ended long ago."""
        authority, key = Authority(), new_key()
        chain = authority.issue(key.public_key())
        state = StateDirectory(self.state)
        state.store(key, identity_of(chain, authority.root_pem, ["a:1"], key.public_key()))
        state.close()

    def check(self, *lines: str, environment_token: str = "", ingress: str = CATCH_ALL) -> str:
        """Check an agent.yaml with these lines; returns what is still missing."""
        text = "\n".join([ingress, f"state: {self.state}", *(lines or (f"token_file: {self.token_file}",))])
        return check_agent(as_reactor(self.clock), parse_settings(text), environment_token)

    def refusal(self, *lines: str, environment_token: str = "", ingress: str = CATCH_ALL) -> str:
        """Return the words in which it is refused."""
        with self.assertRaises(WarpError) as caught:
            self.check(*lines, environment_token=environment_token, ingress=ingress)
        return str(caught.exception)

    def names(self) -> Sequence[str]:
        """Return what is in the directory."""
        return sorted(path.name for path in self.directory.iterdir())

    def test_token_or_identity(self) -> None:
        """With a token, or once enrolled, nothing is missing; and nothing is written."""
        self.assertEqual(self.check(), "")
        self.assertEqual(self.check("drain: 3", environment_token=format_token(TOKEN)), "")
        self.assertEqual(self.names(), ["token"])
        self.enroll()
        self.token_file.unlink()
        self.assertEqual(self.check(), "")

    def test_neither(self) -> None:
        """Without both the file is good, and what is missing is said."""
        self.token_file.unlink()
        self.assertEqual(
            self.check(),
            f"the agent cannot start yet: {self.state} holds no identity, and there is no token_file"
            f" {self.token_file}; make a token with: warp token create",
        )
        self.assertIn("and no token_file is given", self.check("drain: 3"))

    def test_certificate_that_has_ended(self) -> None:
        """An identity whose certificate has ended long ago needs no token: the agent returns with its key."""
        self.enroll()
        self.token_file.unlink()
        self.assertEqual(self.check(), "")

    def test_bad_token(self) -> None:
        """A token that is none or not all of one is refused, and not repeated."""
        for text, words in (
            ("nonsense", "a join token starts with warp1-"),
            (format_token(TOKEN)[:-5], "damaged; was it copied in full?"),
            ("  \n", "expected a join token, found nothing"),
            ("warp1-" + "x" * 9000, "at most 4096 characters"),
        ):
            self.token_file.write_text(text)
            refusal = self.refusal()
            self.assertTrue(refusal.startswith(f"token_file: {self.token_file}: "), refusal)
            self.assertIn(words, refusal)
            self.assertNotIn("xxx", refusal)
        self.assertIn("$WARP_TOKEN: a join token starts with", self.refusal("drain: 3", environment_token="x"))

    def test_bad_token_that_is_not_needed(self) -> None:
        """Beside an identity it is named, and no reason not to start."""
        self.enroll()
        self.token_file.write_text("nonsense")
        self.assertRegex(
            self.check(), f"not needed, as the agent is enrolled: token_file: {self.token_file}: a join token"
        )

    def test_token_that_cannot_be_read(self) -> None:
        """A directory in its place is refused."""
        self.assertIn(f"token_file: {self.directory}: Is a directory", self.refusal(f"token_file: {self.directory}"))

    def test_state_that_cannot_be_used(self) -> None:
        """A damaged identity, and a file where the directory should be, are refused."""
        self.enroll()
        (self.state / "agent.json").write_text("{")
        self.assertRegex(self.refusal(), f"state: {self.state} is damaged .*; remove it and enroll again")
        self.state = self.token_file
        self.assertIn(f"state: {self.token_file}: expected a directory", self.refusal())

    def test_authorities_of_origins(self) -> None:
        """Each ca is read, also the one that no https origin uses yet."""
        for ingress in (
            "ingress: [{service: 'https://x', originRequest: {ca: /nowhere}}]",
            "ingress: [{service: 'http://x', originRequest: {ca: /nowhere}}]",
            "originRequest: {ca: /nowhere}\n" + CATCH_ALL,
        ):
            self.assertIn("ingress[0].originRequest.ca: /nowhere cannot be read", self.refusal(ingress=ingress))

    def test_metrics(self) -> None:
        """The metrics' listener is looked at."""
        self.assertIn("metrics: expected a port from 0 to 65535", self.refusal("metrics: 'tcp:99999'"))


class FindTokenTests(SynchronousTestCase):
    """The token that the start reads."""

    def test_file_before_environment(self) -> None:
        """The file wins; without it the environment is used; without both there is none."""
        path = Path(self.mktemp())
        self.assertIsNone(find_token(str(path)))
        self.assertEqual(find_token(str(path), format_token(TOKEN)), TOKEN)
        path.write_text(format_token(TOKEN) + "\n")
        self.assertEqual(find_token(str(path), "nonsense"), TOKEN)
