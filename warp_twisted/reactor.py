"""The reactor's type, as `warp_base.reactor` has it: one type for the edge, the agent and the DNS server."""

from warp_base.reactor import Reactor, as_reactor

__all__ = ["Reactor", "as_reactor"]
