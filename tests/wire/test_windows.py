"""`wire.windows`: which windows grow, and how far."""

from twisted.trial.unittest import SynchronousTestCase

from tests.wire.pair import ACK, DATA, FIN, PING, SYN, WINDOW_UPDATE, End, Pair, frame
from warp_twisted.wire.frames import INITIAL_WINDOW_BYTES, Role
from warp_twisted.wire.limits import Limits

WINDOW = INITIAL_WINDOW_BYTES
HALF = WINDOW // 2


class WindowGrowthTests(SynchronousTestCase):
    """A window grows when half of it is consumed within a round trip."""

    def setUp(self) -> None:
        self.end = End(Role.SERVER)
        self.stream, self.receiver = self.end.open()
        self.end.connection.data_to_send()

    def fill(self, size: int) -> bytes:
        self.end.receive(frame(DATA, 0, 2, b"x" * size))
        return self.end.connection.data_to_send()

    def test_doubles(self) -> None:
        """A reader that consumes half a window before the probe's answer gets twice the window."""
        self.assertEqual(self.fill(HALF), frame(WINDOW_UPDATE, 0, 2, HALF) + frame(PING, SYN, 0, 0))
        self.assertEqual(self.fill(HALF), frame(WINDOW_UPDATE, 0, 2, HALF))
        self.end.receive(frame(PING, ACK, 0, 0))
        self.assertEqual(self.end.connection.data_to_send(), frame(WINDOW_UPDATE, 0, 2, WINDOW))
        self.assertEqual(self.stream.window, 2 * WINDOW)
        self.fill(2 * WINDOW)
        self.assertEqual(self.end.pongs, [])

    def test_slow_reader_keeps_its_window(self) -> None:
        """A reader that consumes less in a round trip keeps its window."""
        self.fill(HALF)
        self.fill(HALF - 1)
        self.end.receive(frame(PING, ACK, 0, 0))
        self.assertEqual(self.end.connection.data_to_send(), b"")
        self.assertEqual(self.stream.window, WINDOW)

    def test_most(self) -> None:
        """No window grows beyond the limit, and a full-grown one sends no more probes."""
        pair = Pair()
        stream, _ = pair.edge.open()
        for _ in range(20):
            stream.write(b"x" * 1024 * 1024)
            pair.pump()
        self.assertEqual(pair.agent.opened[0].window, Limits().max_window_bytes)

    def test_budget(self) -> None:
        """All windows together grow by no more than the budget, which closed streams give back."""
        self.end = End(Role.SERVER, Limits(max_growth_bytes=WINDOW + 5))
        streams = [self.end.open()[0] for _ in range(3)]

        def grow(stream_id: int) -> None:
            self.end.connection.data_to_send()
            for _ in range(2):
                self.end.receive(frame(DATA, 0, stream_id, b"x" * HALF))
            for value in range(10):
                self.end.receive(frame(PING, ACK, 0, value))

        for stream in streams:
            grow(stream.id)
        self.assertEqual([stream.window for stream in streams], [2 * WINDOW, WINDOW + 5, WINDOW])
        streams[0].reset()
        grow(6)
        self.assertEqual(streams[2].window, 2 * WINDOW)

    def test_stream_that_ends_meanwhile(self) -> None:
        """A stream that ends or closes while it is measured does not grow."""
        self.fill(HALF)
        self.fill(HALF)
        self.end.receive(frame(DATA, FIN, 2))
        self.end.receive(frame(PING, ACK, 0, 0))
        self.assertEqual((self.end.connection.data_to_send(), self.stream.window), (b"", WINDOW))
        stream, _ = self.end.open()
        for _ in range(2):
            self.end.receive(frame(DATA, 0, 4, b"x" * HALF))
        stream.reset()
        self.end.connection.data_to_send()
        self.end.receive(frame(PING, ACK, 0, 1))
        self.assertEqual(self.end.connection.data_to_send(), b"")

    def test_off(self) -> None:
        """With the limit at yamux's window nothing is measured."""
        self.end = End(Role.SERVER, Limits(max_window_bytes=WINDOW))
        self.end.open()
        self.end.connection.data_to_send()
        self.assertEqual(self.fill(HALF), frame(WINDOW_UPDATE, 0, 2, HALF))
