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
        """The times of spec.md §5 to §7; a peer that is asked has ten seconds to answer."""
        times = TunnelTimes()
        self.assertEqual((times.ping_seconds, times.silence_seconds, times.preamble_seconds), (20.0, 30.0, 10.0))
        self.assertEqual((times.ping_jitter, times.empty_frames_per_second), (0.1, 100.0))

    def test_stated(self) -> None:
        """What the edge states replaces the defaults; who states one of the two is not taken at half its word."""
        times = TunnelTimes(preamble_seconds=1.0)
        stated = TunnelTimes(preamble_seconds=1.0, ping_seconds=2.0, silence_seconds=3.0)
        self.assertEqual(times.stated(2.0, 3.0), stated)
        for ping, silence in ((None, None), (2.0, None), (None, 3.0)):
            self.assertIs(times.stated(ping, silence), times)
