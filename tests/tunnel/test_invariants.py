"""`tunnel.invariants`: what it finds."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.testing import RecordingDelegate, tunnel_pair
from warp_twisted.tunnel.invariants import check_tunnel
from warp_twisted.tunnel.states import TunnelState


class InvariantTests(SynchronousTestCase):
    """A tunnel that is sound passes, in every state; one that is spoilt is named."""

    def setUp(self) -> None:
        self.pair = tunnel_pair(RecordingDelegate(), RecordingDelegate())

    def test_sound(self) -> None:
        """From its beginning to its end a tunnel is sound."""
        check_tunnel(self.pair.edge)
        self.pair.edge.close()
        check_tunnel(self.pair.edge)
        self.pair.pump()
        check_tunnel(self.pair.edge)
        self.assertIs(self.pair.edge.state, TunnelState.DISCONNECTED)

    def test_state_without_outcome(self) -> None:
        """A tunnel that says it has ended and not how is found."""
        self.pair.edge.state = TunnelState.ENDED
        with self.assertRaisesRegex(AssertionError, "a tunnel that is ended has outcome None"):
            check_tunnel(self.pair.edge)

    def test_what_is_left_behind(self) -> None:
        """A timer that outlives its tunnel is found."""
        self.pair.edge.close()
        self.pair.edge._turn.watch.add(self.pair.edge, 1.0)
        with self.assertRaisesRegex(AssertionError, "waits for nothing"):
            check_tunnel(self.pair.edge)
