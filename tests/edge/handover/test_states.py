"""Tests of the table of a hand-over: every event in every state, and what both processes have together."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.handover.states import HOLDS, TRANSITIONS, WORDS, Action, Event, State, step
from warp_twisted.keeper.messages import ASKED_OF_SERVING

ORDERS = frozenset(WORDS.values())


class TableTests(SynchronousTestCase):
    """`step`."""

    def test_every_event_in_every_state(self) -> None:
        """What the table does not list changes nothing; the keeper is told if it was its word."""
        for state in State:
            for event in Event:
                after, action = step(state, event)
                if (state, event) in TRANSITIONS:
                    self.assertEqual((after, action), TRANSITIONS[state, event])
                elif event is Event.KEEPER_LOST:
                    expected = Action.NONE if state is State.ENDED else Action.ABORT
                    self.assertEqual((after, action), (State.ENDED, expected))
                else:
                    expected = Action.REFUSE if event in ORDERS else Action.NONE
                    self.assertEqual((after, action), (state, expected), (state, event))

    def test_words(self) -> None:
        """The table has an event for every word that a keeper may say, and no other."""
        self.assertEqual(set(WORDS), set(ASKED_OF_SERVING))

    def test_every_state_is_reached_and_left(self) -> None:
        """From the first state each other can be reached, and each but the last has a way on."""
        reached = {State.PREPARING}
        while more := {after for (before, _), (after, _) in TRANSITIONS.items() if before in reached} - reached:
            reached |= more
        self.assertEqual(reached, set(State))
        self.assertEqual(set(State) - {before for before, _ in TRANSITIONS}, {State.ENDED})

    def test_resume_leads_back(self) -> None:
        """From wherever a release has led, a resume leads to serving."""
        for state in (State.RELEASING, State.RELEASED, State.MOVING, State.DRAINING, State.RESUMING):
            after, _ = step(state, Event.RESUME)
            self.assertEqual(step(after, Event.RESUMED), (State.SERVING, Action.SAY_RESUMED), state)

    def test_steps_that_end_too_late(self) -> None:
        """What a step reports after a resume has come between changes nothing."""
        for event in (Event.RELEASED, Event.KEPT, Event.DRAINED, Event.TAKEN):
            self.assertEqual(step(State.RESUMING, event), (State.RESUMING, Action.NONE))

    def test_one_lock_and_somebody_for_visitors(self) -> None:
        """In the order in which a keeper leads two processes one at most has the lock, and one at least visitors."""
        sequence = [
            (State.SERVING, State.PREPARING),
            (State.SERVING, State.PREPARED),
            (State.RELEASED, State.PREPARED),
            (State.RELEASED, State.TAKING),
            (State.MOVING, State.TAKING),
            (State.MOVING, State.SERVING),
            (State.DRAINING, State.SERVING),
        ]
        for pair in sequence:
            locks, _, visitors = zip(*(HOLDS[state] for state in pair), strict=True)
            self.assertLessEqual(sum(locks), 1, pair)
            self.assertGreaterEqual(sum(visitors), 1, pair)
