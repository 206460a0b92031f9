"""
How many requests an agent's origin is given at once, where its agent says that it takes only so many.

A request has a place from when it is given a stream until the stream is given back; after an upgrade it has none. What
is without a place waits in the route's `queue`. Members without such a limit are plain ones of `pool`, and know nothing
of this.
"""

from collections.abc import Callable

from warp_twisted.edge.routes.load import TunnelLoad
from warp_twisted.edge.routes.pool import Borrower, Member, OriginStream
from warp_twisted.http1.limits import ResponseRules
from warp_twisted.wire.errors import CannotOpenStream

KEPT_SHARE = 4  # one place of so many is never had by one network that has all the others


class NoPlace(CannotOpenStream):
    """The origin has as many requests as it takes at once."""


class Places:
    """
    The places of one agent's origin at one route, over all tunnels of the agent.

    :param freed: called with these places when one is free again.
    :ivar limit: how many there are.
    :ivar taken: how many requests have one; `held`: by network.
    :ivar promised: how many are free, and kept for who waits.
    :ivar members: the agent's tunnels that serve the route now.
    """

    __slots__ = ("_freed", "held", "limit", "members", "promised", "taken")

    def __init__(self, limit: int, freed: "Callable[[Places], None]") -> None:
        self._freed = freed
        self.limit = limit
        self.taken = 0
        self.promised = 0
        self.held: dict[str, int] = {}
        self.members: set[Member] = set()

    @property
    def of_one(self) -> int:
        """How many one network may have, so that some are left for the others."""
        return self.limit - self.limit // KEPT_SHARE

    def has_room_for(self, network: str) -> bool:
        """Whether another request of a network may have one."""
        return self.taken + self.promised < self.limit and self.held.get(network, 0) < self.of_one

    def take(self, network: str) -> None:
        """Note that a request has one."""
        self.taken += 1
        self.held[network] = self.held.get(network, 0) + 1

    def leave(self, network: str) -> None:
        """Note that a request has one no longer."""
        self.taken -= 1
        left = self.held.pop(network) - 1
        if left:
            self.held[network] = left
        self._freed(self)


class LimitedMember(Member):
    """One tunnel of an agent whose origin takes only so many requests at once."""

    __slots__ = ("places",)

    def __init__(
        self,
        load: TunnelLoad,
        route_id: int,
        response_rules: ResponseRules,
        idle_streams: int,
        watch: Callable[[Member], None] | None,
        places: Places,
    ) -> None:
        super().__init__(load, route_id, response_rules, idle_streams, watch)
        self.places = places
        places.members.add(self)

    @property
    def max_requests(self) -> int:
        """How many requests the origin takes at once."""
        return self.places.limit

    def has_room_for(self, network: str) -> bool:
        """Whether a request of a network may be sent here now."""
        return self.places.has_room_for(network)

    def lend(self, receiver: Borrower, used_after: float) -> OriginStream:
        """Lend a stream, if there is a place; raises `NoPlace` otherwise."""
        if not self.places.has_room_for(receiver.network):
            raise NoPlace("the origin has as many requests as it takes at once")
        return super().lend(receiver, used_after)

    def make_stream(self) -> OriginStream:
        """Return the stream that is to be opened."""
        return LimitedStream(self, self.make_reader())

    def retire(self) -> None:
        """The tunnel no longer serves the route; what is under way keeps its places."""
        self.places.members.discard(self)
        super().retire()


class LimitedStream(OriginStream):
    """One stream to such an origin: who uses it has a place."""

    __slots__ = ("_network", "_places")

    member: LimitedMember
    _network: str | None
    _places: Places

    def lend(self, borrower: Borrower) -> None:
        """Give the stream, and a place, to who will use it for one exchange."""
        self._network = borrower.network
        self._places = self.member.places
        self._places.take(self._network)
        super().lend(borrower)

    def release(self, now: float) -> None:
        """Take the stream back after a whole exchange, for the next one."""
        super().release(now)
        self.leave_place()

    def take_back(self) -> None:
        """Nobody uses the stream any more."""
        super().take_back()
        self.leave_place()

    def leave_place(self) -> None:
        """Let others have the place, if that has not been done."""
        network, self._network = self._network, None
        if network is not None:
            self._places.leave(network)
