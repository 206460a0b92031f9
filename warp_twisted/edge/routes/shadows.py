"""The shadow of a split: which tunnels of one route get copies of its requests, and of which requests."""

from secrets import randbits

from warp_twisted.edge.routes.members import Members
from warp_twisted.edge.routes.mirror_counters import MirrorCounters
from warp_twisted.routing.draws import Draws
from warp_twisted.routing.mirror import COPIED, Mirror


class Shadow:
    """
    The shadow of one split at one route.

    :ivar members: its tunnels: those of a share, or its own.
    :ivar counters: what is counted of its mirror.
    """

    __slots__ = ("_draws", "counters", "hostname", "members", "mirror")

    def __init__(self, hostname: str, mirror: Mirror, members: Members, counters: MirrorCounters) -> None:
        """
        Begin with no copy due.

        :param hostname: of the entry, for logs.
        """
        self.hostname = hostname
        self.mirror = mirror
        self.members = members
        self.counters = counters
        self._draws = Draws(randbits(64))

    def is_due(self, method: bytes, *, has_body: bool) -> bool:
        """
        Say whether a request is copied; asked once of each.

        :param has_body: or an upgrade that is asked for: neither can be sent twice.
        """
        return method in COPIED and not has_body and self.mirror.takes(self._draws.next())
