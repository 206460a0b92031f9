"""Tests of join tokens: their text, and the judgement over them."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.ca.errors import BadJoinToken, TokenExpired, TokenUnknown, TokenUsedUp
from warp_twisted.ca.tokens import (
    MAX_TEXT,
    PREFIX,
    JoinTokenText,
    check_token,
    decode_token_file,
    format_token,
    new_token,
    parse_token,
)
from warp_twisted.errors import InvalidName
from warp_twisted.registry.model import JoinToken

TEXT = JoinTokenText(("192.0.2.1:7844", "[2001:db8::1]:7844", "edge1.warp.example:7844"), b"f" * 32, "ab12", "5e" * 32)


def make(**changes: object) -> tuple[JoinToken, JoinTokenText]:
    """Make a token for one agent and an hour."""
    arguments: dict[str, object] = {
        "edges": ["192.0.2.1:7844"],
        "fingerprint": b"f" * 32,
        "hostnames": ["*.Team.example"],
        "labels": {"release": "stable"},
        "uses": 1,
        "ttl_seconds": 3600,
        "now": 1000.0,
    }
    return new_token(**(arguments | changes))  # type: ignore[arg-type]


class TextTests(SynchronousTestCase):
    """The text that is handed to agents."""

    def test_read_back(self) -> None:
        """A token is read back as it was written, white space around it included."""
        text = format_token(TEXT)
        self.assertEqual(parse_token(text), TEXT)
        self.assertEqual(parse_token(f"  {text}\n"), TEXT)

    def test_as_editors_and_shells_leave_it(self) -> None:
        """Line ends, byte order marks, UTF-16, wrapped lines, quotes and NULs make no other token of it."""
        text = format_token(TEXT).encode()
        wrapped = b"\n".join(text[at : at + 76] for at in range(0, len(text), 76))
        for content in (
            text + b"\r\n", b"\n\n" + text + b"\n\n", b"\xef\xbb\xbf" + text + b"\r\n", text.decode().encode("utf-16"),
            b"\xfe\xff" + text.decode().encode("utf-16-be"), wrapped, b'"' + text + b'"\n', text + b"\0",
        ):  # fmt: skip
            self.assertEqual(parse_token(decode_token_file(content)), TEXT, content[:8])
        for content in (b"\xff\xfe", b"\xff\xfew\0a", b"\x80" * 9):
            self.assertRaises(BadJoinToken, parse_token, decode_token_file(content))

    def test_text_is_one_word(self) -> None:
        """The text survives shells, YAML and double clicks: letters, digits, hyphen and underscore only."""
        self.assertRegex(format_token(TEXT), r"^warp1-[A-Za-z0-9_-]+$")

    def test_secret_is_masked(self) -> None:
        """The repr holds no secret."""
        self.assertNotIn("5e5e", repr(TEXT))
        self.assertNotIn("5e5e", repr(TEXT.__rich_repr__()))

    def test_not_a_token(self) -> None:
        """Text of another kind is told so."""
        for text in ("", "hello", "warp2-abc"):
            self.assertIn(PREFIX, str(self.assertRaises(BadJoinToken, parse_token, text)))

    def test_damaged(self) -> None:
        """Every shortened token, and one with any character changed, is told that it is damaged."""
        text = format_token(TEXT)
        for end in range(len(PREFIX), len(text)):
            self.assertRaises(BadJoinToken, parse_token, text[:end])
        for at in range(len(PREFIX), len(text) - 1):
            other = "A" if text[at] != "A" else "B"
            self.assertRaises(BadJoinToken, parse_token, text[:at] + other + text[at + 1 :])

    def test_too_long(self) -> None:
        """A text over the limit is refused."""
        self.assertIn(str(MAX_TEXT), str(self.assertRaises(BadJoinToken, parse_token, PREFIX + "A" * MAX_TEXT)))

    def test_edge_that_is_no_address(self) -> None:
        """A token that names something else than host:port is refused."""
        for edge in ("http://x", "host", "host:port", "a b:1", "x:123456", ""):
            text = format_token(replace(TEXT, edges=(edge,)))
            self.assertRaises(BadJoinToken, parse_token, text)

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(
        st.one_of(
            st.text(max_size=100),
            st.text(alphabet="ABCDEFabcdef0123456789-_", max_size=200).map(lambda text: PREFIX + text),
        )
    )
    def test_any_text(self, text: str) -> None:
        """Any text is refused as a bad token, never by another exception."""
        self.assertRaises(BadJoinToken, parse_token, text)

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(
        st.lists(st.integers(1, 65535).map(lambda port: f"192.0.2.7:{port}"), min_size=1, max_size=32),
        st.binary(min_size=32, max_size=32),
        st.from_regex(r"\A[a-z0-9]{1,32}\Z"),
        st.binary(min_size=32, max_size=32),
    )
    def test_any_token_is_read_back(self, edges: list[str], pin: bytes, name: str, secret: bytes) -> None:
        """Whatever is written is read back."""
        token = JoinTokenText(tuple(edges), pin, name, secret.hex())
        self.assertEqual(parse_token(format_token(token)), token)


class NewTokenTests(SynchronousTestCase):
    """Making tokens."""

    def test_registry_keeps_no_secret(self) -> None:
        """What is kept holds neither the secret nor anything it could be read from."""
        kept, text = make()
        self.assertNotIn(text.secret, repr(kept.secret_sha256))
        self.assertEqual((kept.id, kept.hostnames), (text.id, ("*.team.example",)))
        self.assertEqual(kept.expires_at, 4600.0)

    def test_share_word(self) -> None:
        """A share word is kept, one that breaks the grammar refused."""
        self.assertEqual([make(share=word)[0].share for word in ("", "warp.example")], ["", "warp.example"])
        self.assertRaises(InvalidName, make, share="Two Words")

    def test_policy(self) -> None:
        """Whether agents may ask for a policy of their own is kept; they may unless it is said."""
        self.assertEqual([make()[0].policy, make(policy=False)[0].policy], [True, False])

    def test_secrets_differ(self) -> None:
        """No two tokens have one secret or one id."""
        made = [make()[1] for _ in range(10)]
        self.assertEqual(len({text.secret for text in made}), 10)
        self.assertEqual(len({text.id for text in made}), 10)

    def test_refusals(self) -> None:
        """Patterns, labels, uses and time are checked when the token is made."""
        for changes, error in (
            ({"hostnames": ["a.*.example"]}, InvalidName),
            ({"hostnames": []}, ValueError),
            ({"labels": {"-": "x"}}, InvalidName),
            ({"uses": 0}, ValueError),
            ({"ttl_seconds": 0}, ValueError),
            ({"ttl_seconds": float("nan")}, ValueError),
        ):
            self.assertRaises(error, make, **changes)


class JudgementTests(SynchronousTestCase):
    """Whether a token lets an agent in."""

    def test_right_secret(self) -> None:
        """The holder of the secret is let in."""
        kept, text = make()
        self.assertEqual(check_token(kept, text.secret, 1001.0), kept)

    def test_wrong_secret_and_no_token(self) -> None:
        """A wrong secret and an unknown id get the same answer."""
        kept, text = make()
        refusals = {
            str(self.assertRaises(TokenUnknown, check_token, token, secret, 1001.0))
            for token, secret in ((kept, "00" * 32), (kept, ""), (None, text.secret), (kept, "\ud800"))
        }
        self.assertEqual(len(refusals), 1)

    def test_expired(self) -> None:
        """After its time a token lets nobody in, and only the holder of the secret hears why."""
        kept, text = make()
        self.assertRaises(TokenExpired, check_token, kept, text.secret, 4600.0)
        self.assertRaises(TokenUnknown, check_token, kept, "00" * 32, 4600.0)

    def test_used_up(self) -> None:
        """A token without uses left lets nobody in."""
        kept, text = make()
        self.assertRaises(TokenUsedUp, check_token, replace(kept, uses_left=0), text.secret, 1001.0)
