"""Tests of the tables of states."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.visitors.memory_edge import MemoryEdge
from tests.edge.visitors.watched import Watched
from warp_twisted.edge.visitors.states import (
    EXCHANGE_TRANSITIONS,
    VISITOR_TRANSITIONS,
    Ending,
    ExchangeEvent,
    ExchangeState,
    Outcome,
    VisitorEvent,
    VisitorState,
    ending_of,
)


class TableTests(SynchronousTestCase):
    """What the tables promise."""

    def test_every_state_is_reached(self) -> None:
        """Each state but the first is somewhere an event leads, and each event leads somewhere."""
        self.assertEqual({VisitorState.NEW, *VISITOR_TRANSITIONS.values()}, set(VisitorState))
        self.assertEqual({event for _, event in VISITOR_TRANSITIONS}, set(VisitorEvent))
        self.assertEqual({ExchangeState.DECIDING, *EXCHANGE_TRANSITIONS.values()}, set(ExchangeState))
        self.assertEqual({event for _, event in EXCHANGE_TRANSITIONS}, set(ExchangeEvent))

    def test_the_end(self) -> None:
        """A connection may be cut in any state and an exchange ended in any but the last; nothing leads on."""
        for state in VisitorState:
            self.assertIs(VISITOR_TRANSITIONS[state, VisitorEvent.CUT], VisitorState.CLOSED)
        after = {VISITOR_TRANSITIONS.get((VisitorState.CLOSED, event)) for event in VisitorEvent}
        self.assertEqual(after, {None, VisitorState.CLOSED})
        self.assertNotIn(ExchangeState.ENDED, {state for state, _ in EXCHANGE_TRANSITIONS})

    def test_watched(self) -> None:
        """The fuzz tests notice a step that is not in the table."""
        visitor, _ = MemoryEdge().visitor(Watched)
        visitor.state = VisitorState.SERVING
        with self.assertRaisesRegex(AssertionError, "SERVING -> VisitorState.HEAD"):
            visitor.state = VisitorState.HEAD


class EndingTests(SynchronousTestCase):
    """What becomes of the connection."""

    def test_endings(self) -> None:
        """It stays after a whole request and answer; what is left of a request is dropped; a cut must be seen."""
        for outcome, keeps, is_read, shows_cut, ending in (
            (Outcome.ANSWERED, True, True, True, Ending.KEEP),
            (Outcome.OWN_ANSWER, False, True, True, Ending.CLOSE),
            (Outcome.OWN_ANSWER, True, False, True, Ending.LINGER),
            (Outcome.UPGRADE_ENDED, True, True, True, Ending.CLOSE),
            (Outcome.REFUSED, True, True, True, Ending.CLOSE),
            (Outcome.REFUSED, True, True, False, Ending.ABORT),
            (Outcome.VISITOR_GONE, True, True, True, Ending.ABORT),
        ):
            self.assertIs(ending_of(outcome, keeps=keeps, is_read=is_read, shows_cut=shows_cut), ending)
