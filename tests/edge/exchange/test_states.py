"""Tests of the table of an exchange's states."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.exchange.states import (
    EXCHANGE_TRANSITIONS,
    SPLICE_TRANSITIONS,
    Ending,
    ExchangeEvent,
    ExchangeState,
    Outcome,
    SpliceEvent,
    SpliceState,
    ending_of,
)


class TableTests(SynchronousTestCase):
    """What the table promises."""

    def test_every_state_is_reached(self) -> None:
        """Each state but the first is somewhere an event leads, and each event leads somewhere."""
        self.assertEqual({ExchangeState.DECIDING, *EXCHANGE_TRANSITIONS.values()}, set(ExchangeState))
        self.assertEqual({event for _, event in EXCHANGE_TRANSITIONS}, set(ExchangeEvent))

    def test_the_end(self) -> None:
        """An exchange ends in any state but the last; nothing leads on."""
        self.assertNotIn(ExchangeState.ENDED, {state for state, _ in EXCHANGE_TRANSITIONS})


class SpliceTableTests(SynchronousTestCase):
    """What the table of an upgraded connection promises."""

    def test_every_state_is_reached(self) -> None:
        """Each state but the first is somewhere an event leads, and each event leads somewhere; the last is the end."""
        self.assertEqual({SpliceState.BOTH, *SPLICE_TRANSITIONS.values()}, set(SpliceState))
        self.assertEqual({event for _, event in SPLICE_TRANSITIONS}, set(SpliceEvent))
        self.assertNotIn(SpliceState.ENDED, {state for state, _ in SPLICE_TRANSITIONS})

    def test_both_ends(self) -> None:
        """Both ends, in either order, are the end of all."""
        for events in (
            (SpliceEvent.VISITOR_ENDED, SpliceEvent.ORIGIN_ENDED),
            (SpliceEvent.ORIGIN_ENDED, SpliceEvent.VISITOR_ENDED),
        ):
            state = SpliceState.BOTH
            for event in events:
                state = SPLICE_TRANSITIONS[state, event]
            self.assertIs(state, SpliceState.ENDED)


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
