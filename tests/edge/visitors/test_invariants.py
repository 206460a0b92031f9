"""Tests that the invariants notice what is wrong."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.visitors.memory_edge import GET, MemoryEdge
from warp_twisted.edge.exchange.exchange import Exchange
from warp_twisted.edge.exchange.states import ExchangeState
from warp_twisted.edge.visitors.invariants import check_visitor
from warp_twisted.edge.visitors.states import VisitorState


class InvariantTests(SynchronousTestCase):
    """A connection that is in order, and then is damaged."""

    def setUp(self) -> None:
        self.visitor, self.transport = MemoryEdge().visitor()
        check_visitor(self.visitor)

    def test_state_without_conversation(self) -> None:
        """A state that does not go with the conversation."""
        self.visitor.state = VisitorState.SERVING
        with self.assertRaisesRegex(AssertionError, "SERVING goes with None"):
            check_visitor(self.visitor)

    def test_sums(self) -> None:
        """Bytes that are counted and nowhere."""
        self.visitor.unread_bytes = 1
        with self.assertRaisesRegex(AssertionError, "in the queue or in the transport"):
            check_visitor(self.visitor)

    def test_exchange(self) -> None:
        """An exchange whose state does not go with its stream."""
        self.visitor.dataReceived(GET)
        check_visitor(self.visitor)
        exchange = self.visitor.conversation
        assert isinstance(exchange, Exchange)
        exchange.state = ExchangeState.ASKED
        with self.assertRaisesRegex(AssertionError, "ASKED says what was reached"):
            check_visitor(self.visitor)
