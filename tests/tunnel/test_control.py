"""`tunnel.control`: messages over the control stream, and its end."""

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.wire.pair import Pair
from warp_twisted.tunnel.control import ControlChannel
from warp_twisted.wire.control import ControlMessage, Hello, Notice, OriginHealth, encode_message
from warp_twisted.wire.errors import BadControlMessage, CannotOpenStream, ConnectionLost, StreamReset, WireError
from warp_twisted.wire.frames import INITIAL_WINDOW_BYTES

HEALTHY = OriginHealth(route_id=1, healthy=True)
HELLO = Hello(version=1, software="test", agent_id="a-1", session="s", slot=0)


class ControlChannelTests(SynchronousTestCase):
    """`ControlChannel` on the edge's side of a pair; the agent's side is a plain stream."""

    def setUp(self) -> None:
        self.messages: list[ControlMessage] = []
        self.ends: list[WireError] = []
        self.channel = ControlChannel(self.messages.append, self.ends.append)
        self.pair = Pair()
        self.stream, self.receiver = self.pair.agent.open()
        self.pair.pump()
        self.channel.attach(self.pair.edge.opened[0])

    def test_messages(self) -> None:
        """Each complete message is passed on, whatever the pieces."""
        text = encode_message(HEALTHY)
        self.stream.write(text + text[:5])
        self.pair.pump()
        self.assertEqual(self.messages, [HEALTHY])
        self.stream.write(text[5:])
        self.pair.pump()
        self.assertEqual((self.messages, self.ends), ([HEALTHY] * 2, []))

    def test_send(self) -> None:
        """A message that is sent arrives as it was encoded."""
        self.channel.send(HEALTHY)
        self.pair.pump()
        self.assertEqual(self.receiver.data, encode_message(HEALTHY))

    def test_kind_that_the_peer_does_not_know(self) -> None:
        """A kind with a word is not sent before the peer has said it; then it is."""
        notice = Notice(code="x", text="y")
        self.assertFalse(self.channel.send(notice))
        self.stream.write(encode_message(HELLO))
        self.pair.pump()
        self.assertFalse(self.channel.send(notice))
        self.stream.write(encode_message(msgspec.structs.replace(HELLO, knows=["later", "notice"])))
        self.pair.pump()
        self.assertTrue(self.channel.send(notice))
        self.pair.pump()
        self.assertEqual(self.receiver.data, encode_message(notice))

    def test_credit_comes_back(self) -> None:
        """What was read is returned as credit, so the peer can go on for ever."""
        text = encode_message(OriginHealth(route_id=1, healthy=True, detail="x" * 1000))
        for _ in range(2 * INITIAL_WINDOW_BYTES // len(text)):
            self.assertTrue(self.stream.write(text))
            self.pair.pump()
        self.assertEqual(self.stream.queued_bytes, 0)

    def test_before_it_is_attached(self) -> None:
        """Nothing can be sent before the stream is known."""
        channel = ControlChannel(self.messages.append, self.ends.append)
        self.assertRaises(CannotOpenStream, channel.send, HEALTHY)

    def test_no_message(self) -> None:
        """Bytes that are no message raise, which ends the tunnel."""
        self.stream.write(b"\0\0\0\x02{}")
        self.assertRaises(BadControlMessage, self.pair.pump)

    def test_ends(self) -> None:
        """The stream's end and its reset are each told with their reason."""
        self.stream.end()
        self.pair.pump()
        self.assertEqual(
            [(type(end), str(end)) for end in self.ends], [(ConnectionLost, "the peer ended the control stream")]
        )
        self.setUp()
        self.stream.reset()
        self.pair.pump()
        self.assertEqual([type(end) for end in self.ends], [StreamReset])
