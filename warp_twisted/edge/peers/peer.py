"""
What this edge knows of one other edge and of the link with it. Plain values; `links` changes them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from warp_twisted.edge.peers.link import Link
from warp_twisted.edge.peers.states import LinkState
from warp_twisted.registry.edge_records import EdgeRecord
from warp_twisted.tunnel import TunnelProtocol


@dataclass(eq=False, slots=True)
class Peer:
    """
    Another edge, as this one sees it.

    :ivar keys: of what it told and is believed, or is being taken out of the mirror.
    :ivar since: since when it is in its state, by the monotonic clock.
    :ivar problem: why there is no link; empty: there is one, or nothing was tried.
    """

    record: EdgeRecord
    since: float
    state: LinkState = LinkState.AWAY
    link: Link | None = None
    keys: set[str] = field(default_factory=set)
    dialing: Deferred[TunnelProtocol] | None = None
    retry: IDelayedCall | None = None
    attempts: int = 0
    unopened: set[TunnelProtocol] = field(default_factory=set)
    losses: int = 0
    problem: str = ""
    forgetting: Deferred[Iterator[object]] | None = None
