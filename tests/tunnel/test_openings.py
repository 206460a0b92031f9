"""`tunnel.openings`: streams that wait for their preamble."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.wire.pair import Pair
from warp_twisted.tunnel.openings import Openings
from warp_twisted.wire.errors import BadPreamble, StreamReset, WireError
from warp_twisted.wire.preamble import decode_preamble, encode_preamble
from warp_twisted.wire.streams import Stream


class OpeningsTests(SynchronousTestCase):
    """`Openings` on the agent's side of a pair."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.opened: list[int] = []
        self.failed: list[WireError] = []
        self.openings = Openings(self.clock, self.note_opened, self.note_failed, decode_preamble)
        self.pair = Pair()
        self.pair.agent.connection._stream_opened = self.openings.add

    def note_opened(self, stream: Stream, route_id: int) -> None:
        self.opened.append(route_id)

    def note_failed(self, stream: Stream, error: WireError) -> None:
        self.failed.append(error)

    def test_complete(self) -> None:
        """A preamble that has come whole makes its stream known, and nothing waits."""
        stream, _ = self.pair.edge.open(encode_preamble(7)[:3])
        self.pair.pump()
        self.assertEqual((len(self.openings), self.opened), (1, []))
        stream.write(encode_preamble(7)[3:])
        self.pair.pump()
        self.assertEqual((len(self.openings), self.opened, self.failed), (0, [7], []))

    def test_nothing(self) -> None:
        """A stream that ends, is cut, or begins with something else comes to nothing, with the reason."""
        self.pair.edge.open(b"\xff" * 8)
        self.pair.edge.open(b"\1")[0].end()
        self.pair.edge.open()[0].reset()
        self.pair.pump()
        self.assertEqual([type(error) for error in self.failed], [BadPreamble, BadPreamble, StreamReset])
        self.assertEqual((len(self.openings), self.opened), (0, []))

    def test_too_late(self) -> None:
        """Those that were opened too long ago are cut, the others wait on."""
        _, late = self.pair.edge.open(b"\1")
        self.pair.pump()
        self.clock.advance(10)
        _, young = self.pair.edge.open(b"\1")
        self.pair.pump()
        self.openings.cut_older(self.clock.seconds() - 10)
        self.pair.pump()
        self.assertEqual([type(error) for error in late.errors], [StreamReset])
        self.assertEqual((young.errors, len(self.openings)), ([], 1))
        self.openings.clear()
        self.assertEqual(len(self.openings), 0)
