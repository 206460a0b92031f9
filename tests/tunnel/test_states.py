"""`tunnel.states`: the tables of a tunnel and of a stream that serves as a transport."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.tunnel.states import (
    TRANSPORT_TRANSITIONS,
    TUNNEL_TRANSITIONS,
    Outcome,
    TransportEvent,
    TransportState,
    TunnelEvent,
    TunnelState,
    peers_end,
)
from warp_twisted.wire.errors import ConnectionLost
from warp_twisted.wire.frames import GoAwayCode


class TunnelTableTests(SynchronousTestCase):
    """The life of a tunnel."""

    def test_ends_once(self) -> None:
        """A tunnel ends from wherever it is, never twice, and is disconnected only after its end."""
        ends = {before for before, event in TUNNEL_TRANSITIONS if event is TunnelEvent.END}
        self.assertEqual(ends, {TunnelState.NEW, TunnelState.OPEN, TunnelState.PEER_DRAINING})
        gone = {before for before, event in TUNNEL_TRANSITIONS if event is TunnelEvent.DISCONNECTION}
        self.assertEqual(gone, {TunnelState.ENDED})

    def test_no_state_is_out_of_reach(self) -> None:
        """Every state follows from NEW."""
        self.assertEqual({TunnelState.NEW, *TUNNEL_TRANSITIONS.values()}, set(TunnelState))

    def test_outcome_of_a_cut(self) -> None:
        """Unless it says otherwise, an outcome has no code, and is nobody's word."""
        outcome = Outcome(error=ConnectionLost("the cable was cut"))
        self.assertEqual((outcome.code, outcome.by_peer, str(outcome.error)), (None, False, "the cable was cut"))

    def test_outcome_of_the_peer(self) -> None:
        """A peer's code is named if it is known here, and passed on if it is a newer release's."""
        for code, name in ((GoAwayCode.REVOKED, "REVOKED"), (0x99, "code 153")):
            outcome = peers_end(code)
            self.assertEqual((outcome.code, outcome.by_peer), (code, True))
            self.assertEqual(str(outcome.error), f"the peer ended the tunnel: {name}")


class TransportTableTests(SynchronousTestCase):
    """The life of a stream that serves as a transport."""

    def test_whole(self) -> None:
        """A protocol may call anything at any time, so every event has its place in every state."""
        pairs = {(state, event) for state in TransportState for event in TransportEvent}
        self.assertEqual(set(TRANSPORT_TRANSITIONS), pairs)

    def test_order(self) -> None:
        """No event leads back."""
        order = list(TransportState)
        for (before, _), after in TRANSPORT_TRANSITIONS.items():
            self.assertGreaterEqual(order.index(after), order.index(before))
