"""`wire.relayed`: which route a stream from edge to edge is for."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.wire.pair import Pair
from warp_twisted.testing import RecordingReceiver
from warp_twisted.wire.errors import BadPreamble, MessageTooLarge, WireError
from warp_twisted.wire.preamble import PreambleReader, decode_preamble, encode_preamble
from warp_twisted.wire.relayed import (
    MAX_NAME_BYTES,
    MAX_RULE_BYTES,
    RelayPreamble,
    decode_link_preamble,
    decode_relay_preamble,
    encode_relay_preamble,
)
from warp_twisted.wire.streams import Stream

SAMPLE = RelayPreamble("*.warp.example", "blog-7f3a", "^/caf\N{LATIN SMALL LETTER E WITH ACUTE}", hops=0)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=80).filter(lambda text: len(text.encode()) < 256)


class RelayPreambleTests(SynchronousTestCase):
    """The codec."""

    @given(
        hostname=st.from_regex(r"(\*\.)?([a-z][a-z0-9]{0,20}\.){1,8}example", fullmatch=True),
        agent=NAMES,
        rule=st.just("") | NAMES,
        hops=st.sampled_from([0, 1]),
        rest=st.binary(max_size=20),
    )
    def test_there_and_back(self, hostname: str, agent: str, rule: str, hops: int, rest: bytes) -> None:
        """What is written is read, with whatever follows, and never before it is whole."""
        sent = RelayPreamble(hostname, agent, rule, hops)
        data = encode_relay_preamble(sent)
        self.assertEqual(decode_relay_preamble(data + rest), (len(data), 0, sent))
        for length in range(len(data)):
            self.assertIsNone(decode_relay_preamble(data[:length]))

    @given(st.binary(max_size=400) | st.binary(max_size=60).map(lambda tail: b"\x02\x01\x01\0\0\x04\0\x01\0\0" + tail))
    def test_anything(self, data: bytes) -> None:
        """Bytes that are no preamble are refused or waited for; what is read would be written the same way."""
        try:
            found = decode_relay_preamble(data)
        except BadPreamble:
            return
        if found is not None:
            again = encode_relay_preamble(found[2])
            self.assertEqual((again[:1], again[2:]), (data[:1], data[2 : found[0]]))

    def test_what_is_refused(self) -> None:
        """Each field that is out of its bounds is refused at once."""
        good = encode_relay_preamble(SAMPLE)
        for at, value in ((0, 1), (0, 3), (1, 3), (2, 2), (3, 1), (4, 1), (6, 1), (8, 0x10)):
            bad = bytearray(good)
            bad[at] = value
            if at == 8:
                bad[9] = 1  # 4,097 bytes
            self.assertRaises(BadPreamble, decode_relay_preamble, bytes(bad[:10]))
        for hostname in (b"App.example", b"app.example.", b"a b", b"\xff.example", b"127.0.0.1"):
            head = bytes([2, 1, 1, 0, 0, len(hostname), 0, 1, 0, 0])
            self.assertRaises(BadPreamble, decode_relay_preamble, head + hostname + b"a")
        self.assertRaises(BadPreamble, decode_relay_preamble, bytes([2, 1, 1, 0, 0, 1, 0, 1, 0, 1]) + b"aa\xff")
        self.assertRaises(BadPreamble, decode_relay_preamble, bytes([2, 1, 1, 0, 0, 0, 0, 1, 0, 0]))
        self.assertRaises(BadPreamble, decode_relay_preamble, bytes([2, 1, 1, 0, 0, 1, 0, 0, 0, 0]))

    def test_what_is_too_long(self) -> None:
        """Names that the other edge would refuse are not sent."""
        encode_relay_preamble(RelayPreamble("a" * MAX_NAME_BYTES, "b" * MAX_NAME_BYTES, "c" * MAX_RULE_BYTES))
        for hostname, agent, rule in (
            ("a" * (MAX_NAME_BYTES + 1), "b", ""),
            ("a", "b" * (MAX_NAME_BYTES + 1), ""),
            ("a", "b", "c" * (MAX_RULE_BYTES + 1)),
        ):
            self.assertRaises(MessageTooLarge, encode_relay_preamble, RelayPreamble(hostname, agent, rule))

    def test_on_a_link(self) -> None:
        """A link's own streams are told from relayed ones by their first byte."""
        self.assertEqual(decode_link_preamble(encode_preamble(0)), (8, 1, 0))
        data = encode_relay_preamble(SAMPLE)
        self.assertEqual(decode_link_preamble(data), (len(data), 0, SAMPLE))
        self.assertIsNone(decode_link_preamble(data[:1]))
        self.assertRaises(BadPreamble, decode_link_preamble, b"\x03" + data[1:])

    def test_on_a_stream(self) -> None:
        """A stream hears what it is for and then its bytes, in pieces too, and nothing is acknowledged by itself."""
        for chunk in (0, 1, 7):
            read, failures = self.receive(encode_relay_preamble(SAMPLE) + b"GET", chunk)
            self.assertEqual((read, failures, self.receiver.data), ([SAMPLE], [], b"GET"))
            self.assertEqual(self.stream.mark, 0)

    def test_an_agents_preamble(self) -> None:
        """One kind of preamble is refused where the other is expected."""
        read, failures = self.receive(encode_preamble(7) + b"GET / HTTP/1.1\r\n", 0)
        self.assertEqual(read, [])
        self.assertIsInstance(failures[0], BadPreamble)
        self.assertRaises(BadPreamble, decode_preamble, encode_relay_preamble(SAMPLE))

    def receive(self, data: bytes, chunk: int) -> tuple[list[RelayPreamble], list[WireError]]:
        read: list[RelayPreamble] = []
        failures: list[WireError] = []
        self.receiver = RecordingReceiver()

        def arrived(stream: Stream, relayed: RelayPreamble) -> None:
            read.append(relayed)
            self.stream = stream
            self.receiver.attach(stream)

        pair = Pair(chunk)
        pair.agent.connection._stream_opened = lambda stream: _listen(stream, arrived, failures)
        pair.edge.open(data)
        pair.pump()
        return read, failures


def _listen(stream: Stream, arrived: object, failures: list[WireError]) -> None:
    PreambleReader(stream, arrived, lambda _, error: failures.append(error), decode_relay_preamble)  # type: ignore[arg-type]
