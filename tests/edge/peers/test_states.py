"""`edge.peers.states`: the table of a link is whole and says what it means."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.peers.states import LINK_TRANSITIONS, LinkEvent, LinkState


class TableTests(SynchronousTestCase):
    """The table."""

    def test_every_state_is_left_and_reached(self) -> None:
        """Every state but the first is reached from another, and each has a way to go."""
        others = {(before, after) for (before, _), after in LINK_TRANSITIONS.items() if before is not after}
        self.assertEqual({after for _, after in others}, set(LinkState))
        self.assertEqual({before for before, _ in others}, set(LinkState))

    def test_a_loss_is_death(self) -> None:
        """Whoever is connected counts as dead as soon as the connection is lost."""
        for state in LinkState:
            if state.is_connected:
                self.assertIs(LINK_TRANSITIONS[state, LinkEvent.LOSS], LinkState.AWAY)
                self.assertTrue(LINK_TRANSITIONS[state, LinkEvent.CONNECTION].is_connected)
            else:
                self.assertNotIn((state, LinkEvent.LOSS), LINK_TRANSITIONS)
        self.assertFalse(LinkState.AWAY.is_alive)

    def test_only_a_whole_snapshot_brings_to_life(self) -> None:
        """No other event makes an edge that was dead alive."""
        born = {event for (before, event), after in LINK_TRANSITIONS.items() if after.is_alive and not before.is_alive}
        self.assertEqual(born, {LinkEvent.SNAPSHOT})

    def test_another_connection_kills_nobody(self) -> None:
        """An edge that is alive stays so when it connects again, or a dial fails."""
        for state in LinkState:
            if state.is_alive:
                for event in (LinkEvent.DIAL, LinkEvent.FAILURE, LinkEvent.CONNECTION):
                    self.assertTrue(LINK_TRANSITIONS[state, event].is_alive)
