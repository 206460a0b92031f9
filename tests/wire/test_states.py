"""`wire.states`: the tables are whole, and say of each state what it allows."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.wire.states import (
    CONNECTION_TRANSITIONS,
    STREAM_TRANSITIONS,
    ConnectionEvent,
    ConnectionState,
    StreamEvent,
    StreamState,
)


class StreamTableTests(SynchronousTestCase):
    """The life of a stream."""

    def test_directions(self) -> None:
        """An end of either side takes away its direction and no other; a cut takes both."""
        for (before, event), after in STREAM_TRANSITIONS.items():
            if event is StreamEvent.CUT:
                self.assertIs(after, StreamState.CLOSED)
                continue
            ends_ours = event is StreamEvent.LOCAL_END
            ends_theirs = event is StreamEvent.REMOTE_END
            self.assertEqual(after.can_send, before.can_send and not ends_ours, f"{before}, {event}")
            self.assertEqual(after.can_receive, before.can_receive and not ends_theirs, f"{before}, {event}")
            self.assertEqual(after.can_write, before.can_write and ends_theirs, f"{before}, {event}")

    def test_every_event_that_may_come(self) -> None:
        """Each state but CLOSED knows the cut, and the ends of the directions that are still there."""
        for state in StreamState:
            known = {event for before, event in STREAM_TRANSITIONS if before is state}
            expected: set[StreamEvent] = set()
            if state is not StreamState.CLOSED:
                expected.add(StreamEvent.CUT)
            if state.can_send:
                expected.add(StreamEvent.LOCAL_END)
            if state.can_write:
                expected.add(StreamEvent.LOCAL_END_QUEUED)
            if state.can_receive:
                expected.add(StreamEvent.REMOTE_END)
            self.assertEqual(known, expected, state)

    def test_no_state_is_out_of_reach(self) -> None:
        """Every state follows from OPEN."""
        self.assertEqual({StreamState.OPEN, *STREAM_TRANSITIONS.values()}, set(StreamState))


class ConnectionTableTests(SynchronousTestCase):
    """The life of a connection."""

    def test_whole(self) -> None:
        """Every event has its place in every state, because a peer or a user may cause any at any time."""
        pairs = {(state, event) for state in ConnectionState for event in ConnectionEvent}
        self.assertEqual(set(CONNECTION_TRANSITIONS), pairs)

    def test_nothing_comes_back(self) -> None:
        """What a state no longer allows, no later state allows."""
        for (before, _), after in CONNECTION_TRANSITIONS.items():
            self.assertLessEqual(after.can_accept, before.can_accept)
            self.assertLessEqual(after.can_receive, before.can_receive)

    def test_drains_of_both_sides(self) -> None:
        """Either side may drain first; our own drain is what stops the peer's streams."""
        first_ours = CONNECTION_TRANSITIONS[ConnectionState.DRAINING, ConnectionEvent.PEER_DRAIN]
        first_theirs = CONNECTION_TRANSITIONS[ConnectionState.PEER_DRAINING, ConnectionEvent.DRAIN]
        self.assertEqual((first_ours, first_theirs), (ConnectionState.BOTH_DRAINING,) * 2)
        self.assertTrue(ConnectionState.PEER_DRAINING.can_accept)
        self.assertFalse(ConnectionState.DRAINING.can_accept)
        self.assertEqual(
            [state for state in ConnectionState if state.is_draining],
            [ConnectionState.DRAINING, ConnectionState.BOTH_DRAINING],
        )
