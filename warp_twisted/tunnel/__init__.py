"""
The tunnel on Twisted: TLS with both sides verified, one write per turn, pings, drain, and streams as transports.

The shell of `warp_twisted.wire`. Edge and agent build on `TunnelProtocol` and a `TunnelDelegate` of their own; the
edge listens with `TunnelListener`, the agent calls `dial`.
"""

from warp_twisted.tunnel.contexts import agent_context, edge_context
from warp_twisted.tunnel.endpoints import TunnelListener, dial, enroll, fetch_root, fetch_time
from warp_twisted.tunnel.limits import TunnelTimes
from warp_twisted.tunnel.protocol import TunnelDelegate, TunnelProtocol
from warp_twisted.tunnel.turns import Turn

__all__ = [
    "TunnelDelegate",
    "TunnelListener",
    "TunnelProtocol",
    "TunnelTimes",
    "Turn",
    "agent_context",
    "dial",
    "edge_context",
    "enroll",
    "fetch_root",
    "fetch_time",
]
