"""Tests of the table of a connection's states."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.visitors.memory_edge import MemoryEdge
from tests.edge.visitors.watched import Watched
from warp_twisted.edge.visitors.states import VISITOR_TRANSITIONS, VisitorEvent, VisitorState


class TableTests(SynchronousTestCase):
    """What the table promises."""

    def test_every_state_is_reached(self) -> None:
        """Each state but the first is somewhere an event leads, and each event leads somewhere."""
        self.assertEqual({VisitorState.NEW, *VISITOR_TRANSITIONS.values()}, set(VisitorState))
        self.assertEqual({event for _, event in VISITOR_TRANSITIONS}, set(VisitorEvent))

    def test_the_end(self) -> None:
        """A connection may be cut in any state; nothing leads on."""
        for state in VisitorState:
            self.assertIs(VISITOR_TRANSITIONS[state, VisitorEvent.CUT], VisitorState.CLOSED)
        after = {VISITOR_TRANSITIONS.get((VisitorState.CLOSED, event)) for event in VisitorEvent}
        self.assertEqual(after, {None, VisitorState.CLOSED})

    def test_watched(self) -> None:
        """The fuzz tests notice a step that is not in the table."""
        visitor, _ = MemoryEdge().visitor(Watched)
        visitor.state = VisitorState.SERVING
        with self.assertRaisesRegex(AssertionError, "SERVING -> VisitorState.HEAD"):
            visitor.state = VisitorState.HEAD
