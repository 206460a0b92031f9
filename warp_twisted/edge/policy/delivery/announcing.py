"""
Telling the fleet which policy this edge has in force: a record of its own in the registry, under the edge's lease.
"""

from twisted.internet.defer import Deferred, succeed

from warp_twisted.edge.policy.delivery.following import PolicyFollower
from warp_twisted.registry.claims import Claim, Claims
from warp_twisted.registry.edge_records import EdgePolicy

MAX_ERROR = 2000  # characters; a registry's value is bounded, and so is what operators read


class AnnouncedPolicy:
    """
    The record of one edge.

    :param edge: its name.
    """

    def __init__(self, claims: Claims, follower: PolicyFollower, edge: str) -> None:
        self._claims = claims
        self._follower = follower
        self._edge = edge
        self._claim: Claim | None = None

    def start(self) -> Deferred[None]:
        """Tell it, and whenever it changes; fires when it was tried to be written."""
        self._follower.changed = self._refresh
        self._claim, settled = self._claims.put(self.describe())
        return settled

    def _refresh(self) -> Deferred[None]:
        return self._claim.keep_to(self.describe()) if self._claim is not None else succeed(None)

    def describe(self) -> EdgePolicy:
        """Return what the registry is to hold."""
        standing = self._follower.standing
        return EdgePolicy(
            edge=self._edge,
            file=standing.file is not None,
            version=standing.version,
            error=standing.error[:MAX_ERROR],
        )
