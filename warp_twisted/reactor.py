"""The reactor that services are handed, as one type: that of `warp_base.reactor`."""

from warp_base.reactor import Reactor, as_reactor

__all__ = ["Reactor", "as_reactor"]
