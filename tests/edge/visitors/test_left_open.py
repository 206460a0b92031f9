"""Tests of what an edge that drains has left."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.visitors.memory_edge import GET, OK, MemoryEdge
from warp_twisted.edge.visitors.left_open import LOOKED_AT_IN_A_STEP, count_left, say_left

UPGRADE = GET[:-2] + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


class LeftOpenTests(SynchronousTestCase):
    """Counting, and the words."""

    def test_count(self) -> None:
        """WebSockets and requests that are not answered count, connections on which nobody asks do not; in steps."""
        edge = MemoryEdge()
        for _ in range(LOOKED_AT_IN_A_STEP):
            edge.visitor()
        for head, answer in (
            (UPGRADE, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
            (GET, OK),
            (GET, b""),
        ):
            visitor, _ = edge.visitor()
            visitor.dataReceived(head)
            stream = edge.tunnel.protocol.opened[-1][1]
            if answer:
                edge.tunnel.protocol.answer(stream)
                edge.tunnel.protocol.arrive(stream, answer)
        steps = count_left(edge.visitors.connections)
        next(steps)
        with self.assertRaises(StopIteration) as end:
            next(steps)
        self.assertEqual(end.exception.value, (1, 1))

    def test_words(self) -> None:
        """What there is none of is not named."""
        for counts, words in (
            ((0, 0), ""),
            ((1, 0), "1 WebSocket"),
            ((0, 1), "1 request"),
            ((2, 3), "2 WebSockets and 3 requests"),
        ):
            self.assertEqual(say_left(*counts), words)
