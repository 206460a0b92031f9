"""`tunnel.limits`: what each side accepts of the other."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.tunnel.limits import AGENT_LIMITS, EDGE_LIMITS, TunnelTimes


class TunnelLimitsTests(SynchronousTestCase):
    """The defaults, as far as the protocol fixes them."""

    def test_edge_takes_the_control_stream_only(self) -> None:
        """An agent may open one stream, the control stream; an edge as many as a tunnel carries (spec.md §3)."""
        self.assertEqual(EDGE_LIMITS.max_peer_streams, 1)
        self.assertEqual(AGENT_LIMITS.max_peer_streams, AGENT_LIMITS.max_streams)

    def test_times(self) -> None:
        """A tunnel is given up only after a peer had two pings' time to answer (spec.md §5)."""
        times = TunnelTimes()
        self.assertGreaterEqual(times.silence_seconds, 2 * times.ping_seconds)
        self.assertEqual((times.ping_seconds, times.silence_seconds, times.preamble_seconds), (10.0, 30.0, 10.0))
