"""Tests of where the join token of `warp up` comes from, and what each source answers when it is asked again."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.settings import AgentSettings, parse_settings
from warp_twisted.ca.errors import BadJoinToken
from warp_twisted.ca.tokens import JoinTokenText, format_token
from warp_twisted.cli.errors import EdgeRefused
from warp_twisted.cli.expose import token_sources
from warp_twisted.cli.expose.token_sources import DemoTokens, given_token
from warp_twisted.cli.local import DemoInfo
from warp_twisted.errors import InvalidSettings

TOKEN = JoinTokenText(("edge1.example:7844",), b"\x01" * 32, "t1", "ab" * 32)
SETTINGS = parse_settings("ingress: [{service: hello-world}]")


class GivenTokenTests(SynchronousTestCase):
    """Files, standard input and the environment."""

    def setUp(self) -> None:
        """Have a file with a token, and no environment."""
        self.path = Path(self.mktemp())
        self.path.write_text(format_token(TOKEN) + "\n")
        self.patch(token_sources, "os", SimpleNamespace(environ={}))

    def pipe(self, content: bytes) -> None:
        """Let standard input hold this."""
        self.patch(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    def read(self, token_file: str | None, settings: AgentSettings = SETTINGS, **environment: str) -> object:
        """Read the token twice."""
        self.patch(token_sources, "os", SimpleNamespace(environ=environment))
        source = given_token(token_file, has_config=settings is not SETTINGS)
        first = source(settings)
        self.assertEqual(source(settings), first)
        return first

    def test_sources(self) -> None:
        """A file, standard input, or the environment; the file wins; none is no token."""
        self.assertEqual(self.read(str(self.path), WARP_TOKEN="nonsense"), TOKEN)
        self.assertEqual(self.read(None, WARP_TOKEN=format_token(TOKEN)), TOKEN)
        self.pipe(format_token(TOKEN).encode())
        self.assertEqual(self.read("-"), TOKEN)
        self.assertIsNone(self.read(None))
        self.assertIsNone(self.read(None, WARP_TOKEN=" "))

    def test_settings_file(self) -> None:
        """An agent.yaml names the file, which may be gone after it was used."""
        settings = parse_settings(f"token_file: {self.path}\ningress: [{{service: hello-world}}]")
        self.assertEqual(self.read(None, settings), TOKEN)
        self.path.unlink()
        self.assertIsNone(self.read(None, settings))

    def test_new_token_in_the_file(self) -> None:
        """A token that is written there later is found."""
        source = given_token(str(self.path), has_config=False)
        self.assertEqual(source(SETTINGS), TOKEN)
        other = JoinTokenText(TOKEN.edges, TOKEN.fingerprint, "t2", TOKEN.secret)
        self.path.write_text(format_token(other))
        self.assertEqual(source(SETTINGS), other)

    def test_what_is_no_token(self) -> None:
        """Something else is refused; a file that is not there is named."""
        self.path.write_bytes(b"\xff\xfe")
        self.assertRaises(InvalidSettings, self.read, str(self.path))
        self.pipe(b"x" * 100_000)
        self.assertRaises(BadJoinToken, given_token, "-", False)
        error = self.assertRaises(InvalidSettings, self.read, "/nowhere/token")
        self.assertIn("/nowhere/token: No such file", str(error))


class DemoTokensTests(SynchronousTestCase):
    """A demo on this machine, and the next."""

    def setUp(self) -> None:
        """Run no demo yet, and let each admin socket make tokens."""
        self.demo: DemoInfo | None = None
        self.refusal: EdgeRefused | None = None
        self.asked: list[dict[str, object]] = []
        self.patch(token_sources, "find_demo", lambda: self.demo)
        self.patch(token_sources, "Admin", lambda path: SimpleNamespace(post=self.post))
        self.tokens = DemoTokens([])

    def post(self, *path: str, body: dict[str, object]) -> object:
        """Make a token, or refuse."""
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(body)
        token = JoinTokenText(TOKEN.edges, TOKEN.fingerprint, f"t{len(self.asked)}", TOKEN.secret)
        return {"token": format_token(token), "id": token.id, "hostnames": [], "labels": {}, "uses_left": 1,
                "created_at": 0.0, "expires_at": 1.0}  # fmt: skip

    def run_demo(self, pid: int) -> None:
        """Begin a demo in place of any other."""
        self.demo = DemoInfo(
            admin="a", zone="warp.localhost", http_port=1, https_port=2, dns_port=3, tunnel_port=4, pid=pid
        )

    def test_one_token_for_each_demo(self) -> None:
        """A demo is asked once; another one that runs later is asked for a token of its own."""
        self.assertIsNone(self.tokens(SETTINGS))
        self.run_demo(11)
        self.assertEqual([getattr(self.tokens(SETTINGS), "id", "") for _ in range(2)], ["t1", "t1"])
        self.demo = None
        self.assertIsNone(self.tokens(SETTINGS))
        self.run_demo(12)
        self.assertEqual([getattr(self.tokens(SETTINGS), "id", "") for _ in range(2)], ["t2", "t2"])
        self.assertEqual([body["hostnames"] for body in self.asked], [["*.warp.localhost"]] * 2)

    def test_hostnames(self) -> None:
        """The token permits what was asked for."""
        self.run_demo(11)
        DemoTokens(["a.warp.localhost"])(SETTINGS)
        self.assertEqual(self.asked[0]["hostnames"], ["a.warp.localhost"])

    def test_demo_that_refuses(self) -> None:
        """What the demo refuses is said to be the demo's, and that another fleet needs its own token."""
        self.run_demo(11)
        self.refusal = EdgeRefused("a.warp.example is outside")
        with self.assertRaisesRegex(EdgeRefused, "^the demo on this machine: a.* is outside; .* needs --token-file$"):
            DemoTokens(["a.warp.example"])(SETTINGS)
