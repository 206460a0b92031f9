"""`edge.peers.messages`: what is written is read again, whatever the chunks; what breaks the rules is refused."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.peers.samples import CHALLENGES, EDGE, POLICY, tunnel
from warp_twisted.edge.errors import BadPeerMessage
from warp_twisted.edge.peers.messages import (
    BATCH_VALUES,
    MAX_MESSAGE_BYTES,
    Complete,
    Greeting,
    MessageReader,
    PeerMessage,
    Told,
    encode_message,
    encode_told,
    encode_value,
)
from warp_twisted.edge.peers.notices import Renewal
from warp_twisted.registry.ban_records import KeptBan
from warp_twisted.registry.model import Revocation

MESSAGES: list[PeerMessage] = [
    Greeting(version=1, run="abc", software="warp 1"),
    Told(
        edge=EDGE,
        edge_policy=POLICY,
        challenges=CHALLENGES,
        tunnels=[tunnel(1), tunnel(2)],
        gone=["warp/tunnels/edge2/t-3"],
        revocations=[Revocation(agent="a-1", revoked_at=2.0, reason="lost")],
        bans=[KeptBan(network="192.0.2.7", seconds=60, until=100.0, reason="")],
        lifted=["192.0.2.8"],
        renewals=[Renewal(agent="a-2", expires_at=9.0, key_sha256="a" * 64)],
        policy_version=4,
    ),
    Complete(),
]


def read_all(reader: MessageReader) -> list[PeerMessage]:
    """Return every message that is complete."""
    return list(iter(reader.next_message, None))


class ReaderTests(SynchronousTestCase):
    """Bytes to messages."""

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.integers(1, 400), min_size=1, max_size=30))
    def test_any_chunks(self, sizes: list[int]) -> None:
        """Messages come out as they went in, however the bytes are cut."""
        data = b"".join(map(encode_message, MESSAGES))
        reader, found, at = MessageReader(), [], 0
        while at < len(data):
            size = sizes[at % len(sizes)]
            reader.feed(data[at : at + size])
            found += read_all(reader)
            at += size
        self.assertEqual(found, MESSAGES)

    def test_pieces(self) -> None:
        """A message that is put together of encoded values is the same as one that is encoded whole."""
        reader = MessageReader()
        reader.feed(encode_told({"tunnels": [encode_value(tunnel(1))]}, {"edge": encode_value(EDGE)}))
        self.assertEqual(read_all(reader), [Told(edge=EDGE, tunnels=[tunnel(1)])])

    def test_newer_releases(self) -> None:
        """Keys that this release does not know are passed over, in messages and values."""
        reader = MessageReader()
        body = b'{"type":"told","edge":{"name":"edge2","addresses":["192.0.2.2"],"new":1},"more":{"x":[]}}'
        reader.feed(len(body).to_bytes(4, "big") + body)
        (told,) = read_all(reader)
        assert isinstance(told, Told)
        assert told.edge is not None
        self.assertEqual(told.edge.name, "edge2")

    def test_what_is_refused(self) -> None:
        """A length, type, or number of values out of bounds is an error, before anything is believed."""
        many = [tunnel(number) for number in range(BATCH_VALUES + 1)]
        bodies = [b"nonsense", b"[]", b'{"type":"other"}', b'{"type":"told","tunnels":[{"id":1}]}', b"[" * 100_000]
        for data in (
            (MAX_MESSAGE_BYTES + 1).to_bytes(4, "big"),
            encode_message(Told(tunnels=many)),
            *(len(body).to_bytes(4, "big") + body for body in bodies),
        ):
            reader = MessageReader()
            reader.feed(data)
            self.assertRaises(BadPeerMessage, reader.next_message)

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=300))
    def test_any_bytes(self, data: bytes) -> None:
        """Hostile bytes are a message, not complete yet, or refused; nothing else is raised."""
        reader = MessageReader()
        reader.feed(len(data).to_bytes(4, "big") + data)
        try:
            self.assertNotEqual(read_all(reader), None)
        except BadPeerMessage as error:
            self.assertTrue(str(error))
