"""Tests of the registry's values and how they are written down."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.names import Hostname
from warp_twisted.registry.acme.challenges import Challenge, EdgeChallenges
from warp_twisted.registry.acme.records import AcmeAccount, AcmeOrder, OrderedCertificate, SealedCopy
from warp_twisted.registry.ban_records import KeptBan
from warp_twisted.registry.edge_records import EdgePolicy, EdgeRecord
from warp_twisted.registry.errors import BadValue
from warp_twisted.registry.model import (
    Agent,
    CurrentPolicy,
    Edge,
    GivenName,
    JoinToken,
    Owner,
    PolicyVersion,
    Revocation,
    ServiceToken,
    Tunnel,
    Value,
    decode,
    encode,
)
from warp_twisted.registry.route_records import Guarded, RouteKey, Shift

VALUES: list[Value] = [
    Edge(name="edge1", addresses=("192.0.2.1", "2001:db8::1"), http_port=80, draining=True),
    Edge(name="edge2", addresses=("192.0.2.2",), relays_to=("edge1", "edge3")),
    EdgeRecord(name="edge1", addresses=("192.0.2.1:7844", "[2001:db8::1]:7844"), authority_key="MFkw"),
    Tunnel(id="t-1", agent="a-1", slot=2, edge="edge1", hostnames=(Hostname("a.example"),), labels={"k": "v"}),
    Agent(
        id="a-1",
        hostnames=("*.team.example", "app.example"),
        labels={"release": "stable"},
        token="x",
        group="g",
        policy=False,
    ),
    JoinToken(id="x", secret_sha256="00" * 32, hostnames=("*.example",), uses_left=3, expires_at=5.5, policy=False),
    Revocation(agent="a-1", revoked_at=7.0, reason="lost laptop"),
    GivenName(hostname=Hostname("calm-otter-481.example"), agent="a-1"),
    ServiceToken(id="0123456789abcdef", name="ci", secret_sha256="ab" * 32, created_at=1.0, expires_at=2.0),
    Owner(hostname="*.team.example", group="g", since=3.0, is_exact=True, agents=("a-1",), away_since=9.0),
    PolicyVersion(number=12, sha256="ab" * 32, size_bytes=7, applied_at=1.0, author="ann", message="m", restores=3),
    CurrentPolicy(number=12),
    KeptBan(network="2001:db8::", seconds=60.0, until=7.0, reason="abuse report"),
    RouteKey(number=7, secret="ab" * 32, created_at=1.0),
    Shift(
        hostname="*.team.example",
        split="ab",
        selector="release=canary",
        start=1_000,
        target=2_500,
        began_at=1.0,
        over_seconds=600.0,
        author="ann",
    ),
    Guarded(
        hostname="*.team.example",
        split="ab",
        selector="release=canary",
        shift_began_at=1.0,
        progress_seconds=5.0,
        action="back",
        reason="errors",
        edge="edge1",
        at=9.0,
    ),
    EdgePolicy(edge="edge1", version=11, error="a file is missing"),
    AcmeAccount(directory="https://ca.example/", url="u", copies={"edge1": SealedCopy(key="k", text="1.x")}),
    AcmeOrder(name="*.a.example", state="{}"),
    OrderedCertificate(name="*.a.example", chain="pem"),
    EdgeChallenges(
        edge="edge1", challenges=(Challenge(kind="http-01", name="a.example", token="t", value="t." + "a" * 43),)
    ),
]


class CodecTests(SynchronousTestCase):
    """Writing values down and reading them again."""

    def test_each_kind_is_read_back(self) -> None:
        """A value of each kind is equal to itself after writing and reading, under a key of its own."""
        for value in VALUES:
            self.assertEqual(decode(value.key, encode(value)), value)
        self.assertEqual(len({value.key for value in VALUES}), len(VALUES))

    def test_unknown_fields_are_ignored(self) -> None:
        """A field that a newer edge wrote does not stop an older one from reading the rest."""
        self.assertEqual(
            decode("warp/revocations/a-1", b'{"agent":"a-1","newer":1}'), Revocation(agent="a-1", revoked_at=0.0)
        )

    def test_group_of_a_token(self) -> None:
        """The agents of a token are of the group that its share word names, or of its own."""
        token = JoinToken(id="x", secret_sha256="00", hostnames=())
        self.assertEqual((token.group, replace(token, share="shop").group), ("x", "shop"))

    def test_value_under_a_foreign_key(self) -> None:
        """A value that belongs under another key is refused."""
        self.assertRaises(BadValue, decode, "warp/agents/a-2", encode(VALUES[2]))

    def test_unknown_kind(self) -> None:
        """A key of no known kind is refused."""
        for key in ("warp/nothing/x", "warp/", "", "else/agents/x"):
            self.assertRaises(BadValue, decode, key, b"{}")

    def test_bad_pattern(self) -> None:
        """An agent whose patterns cannot be read is refused at the door, not at its use."""
        self.assertRaises(BadValue, decode, "warp/agents/a", b'{"id":"a","hostnames":["a.*.example"]}')

    def test_secret_hash_is_not_shown(self) -> None:
        """The repr of a join token does not hold the hash of its secret."""
        self.assertNotIn("00" * 32, repr(VALUES[3]))

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(st.sampled_from([value.key for value in VALUES]), st.binary(max_size=80))
    def test_any_text_is_read_or_refused(self, key: str, text: bytes) -> None:
        """Whatever the store holds, reading it raises nothing but BadValue."""
        try:
            decode(key, text)
        except BadValue as error:
            self.assertIn(key, str(error))
