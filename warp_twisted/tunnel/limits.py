"""
What a tunnel may hold on either side, and how long it waits.
"""

from dataclasses import dataclass, replace

from warp_twisted.wire.limits import Limits

EDGE_LIMITS = Limits(max_peer_streams=1)
AGENT_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelTimes:
    """
    :ivar ping_seconds: a peer that was silent for so long is asked for a sign of life.
    :ivar ping_jitter: by what part of that, at most, an edge asks sooner and an agent later.
    :ivar measure_seconds: how often the round trip is measured all the same.
    :ivar silence_seconds: without a byte from the peer for this long, the tunnel is lost.
    :ivar preamble_seconds: how long an opened stream may take to say what it is for, and a tunnel to open stream 1.
    :ivar empty_frames_per_second: how many frames that carry nothing a peer may send for long (spec.md §5).
    """

    ping_seconds: float = 20.0
    ping_jitter: float = 0.1
    measure_seconds: float = 120.0
    silence_seconds: float = 30.0
    preamble_seconds: float = 10.0
    empty_frames_per_second: float = 100.0

    def stated(self, ping_seconds: float | None, silence_seconds: float | None) -> "TunnelTimes":
        """Return these times with those that the edge stated, if it did: a release that states one states both."""
        if ping_seconds is None or silence_seconds is None:
            return self
        return replace(self, ping_seconds=ping_seconds, silence_seconds=silence_seconds)
