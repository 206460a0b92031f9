"""
Tunnels of which any may serve a request, and which of them does.

The least busy is chosen, among four at most, and one after the other when they are equally busy. Those that are
suspected of being dead (`suspicion`), or whose origin fails (`ejection`) or is not healthy (`edge.health`), are chosen
only when there is no other, and of these one that is silent last. Those of other edges are chosen when none of this
edge's may serve; they count as healthy as any, so that what is decided by health does not depend on the edge.
`Member.is_suspected` is all that is asked about a tunnel's health otherwise.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from itertools import chain

from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.refusals import NO_TUNNEL, NOT_HEALTHY
from warp_twisted.edge.routes.pool import Borrower, Member, OriginStream
from warp_twisted.http1.refusals import Refusal
from warp_twisted.routing.outliers import OriginState
from warp_twisted.wire.errors import CannotOpenStream

_CHOICES = 4
_USED = OriginState.USED
ANY_STREAM = float("-inf")


class NoTunnel(EdgeError):
    """
    No tunnel can serve the route now.

    :cvar refusal: what visitors are told.
    :ivar detail: what only the access log says.
    """

    refusal: Refusal = NO_TUNNEL
    detail = ""


class NoneHealthy(NoTunnel):
    """No tunnel is healthy, and only one that is may serve the route."""

    refusal = NOT_HEALTHY

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"no tunnel of {name} is healthy")
        self.detail = detail


class AtLimit(NoTunnel):
    """
    Every origin that may serve the request has as many as it takes at once.

    :ivar members: the tunnels among which there was none.
    """

    def __init__(self, members: "Members") -> None:
        super().__init__(f"every origin of {members.name} has as many requests as it takes at once")
        self.members = members


class Members:
    """
    Tunnels that may serve a request.

    :ivar name: for logs.
    """

    __slots__ = ("_members", "_next", "_places", "_remote", "_suspected", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._members: list[Member] = []
        self._remote: list[Member] = []
        self._suspected: list[Member] = []
        self._places: dict[Member, int] = {}
        self._next = 0

    @property
    def members(self) -> Sequence[Member]:
        """The tunnels, those that are suspected last."""
        return [*self._members, *self._remote, *self._suspected]

    @property
    def complaints(self) -> Iterator[tuple[str, str]]:
        """The agents whose probes say that their origins are not healthy, once for each tunnel, and why."""
        for member in self._suspected:
            if member.complaint is not None:
                yield member.load.tunnel.agent, member.complaint

    @property
    def is_unwell(self) -> bool:
        """Whether there is no tunnel but such as are not healthy by their agents' probes."""
        return not self.healthy and all(member.complaint is not None for member in self._suspected)

    @property
    def healthy(self) -> int:
        """How many tunnels are not suspected."""
        return len(self._members) + len(self._remote)

    @property
    def count(self) -> int:
        """How many tunnels there are."""
        return len(self._places)

    @property
    def is_ejected(self) -> bool:
        """Whether no origin is used as any other: each was ejected, and has given no good answer since."""
        return all(member.origin.state is not _USED for member in self._places)

    def __contains__(self, member: object) -> bool:
        return member in self._places

    def has_besides(self, agent: str) -> bool:
        """Whether a tunnel of another agent is healthy; at most as many are looked at as the agent has, and one."""
        return any(member.load.tunnel.agent != agent for member in chain(self._members, self._remote))

    def borrow(
        self,
        receiver: Borrower,
        avoid: Collection[object] = (),
        *,
        used_after: float = ANY_STREAM,
        only_trusted: bool = False,
    ) -> OriginStream:
        """
        Lend a stream to the origin: an idle one if there is one, else a new one, on the least busy tunnel.

        :param avoid: tunnels and agents (by id) that are not asked.
        :param used_after: idle streams that have not been used since that instant are passed over; infinity asks
            for a new stream.
        :param only_trusted: whether a tunnel that is suspected is worse than none.
        :raises AtLimit: if some could, but for the number of requests that their origins take at once.
        :raises NoTunnel: if no tunnel is left that can open a stream.
        """
        members: Sequence[Member] = self._members
        if avoid:
            members = _besides(avoid, members)
        if not members:
            members = self._further(avoid, only_trusted=only_trusted)
        count = len(members)
        if not count:
            raise NoTunnel(f"no tunnel can serve {self.name} now")
        self._next = first = (self._next + 1) % count
        best = members[first]
        for step in range(1, count if count < _CHOICES else _CHOICES):
            member = members[(first + step) % count]
            if len(member.load.lent) < len(best.load.lent):
                best = member
        try:
            return best.lend(receiver, used_after)
        except CannotOpenStream:
            tiers = [members]
            if self._remote and not best.load.is_remote:
                tiers.append(_besides(avoid, self._remote))
            return self._lend_elsewhere(receiver, used_after, tiers, best)

    def _further(self, avoid: Collection[object], *, only_trusted: bool) -> Sequence[Member]:
        """Return what is chosen from where none of this edge's healthy tunnels may serve."""
        members = _besides(avoid, self._remote)
        if not members and not only_trusted:
            members = _besides(avoid, self._suspected)
            best = min(((member.is_silent, member.load.is_remote) for member in members), default=None)
            members = [member for member in members if (member.is_silent, member.load.is_remote) == best]
        return members

    def _lend_elsewhere(
        self, receiver: Borrower, used_after: float, tiers: Sequence[Sequence[Member]], full: Member
    ) -> OriginStream:
        """Lend a stream on any tunnel but one that takes no more, of the first tier that has one."""
        network = receiver.network
        are_limited = False
        for members in tiers:
            with_room = [member for member in members if member.has_room_for(network)]
            for member in sorted(with_room, key=lambda member: member.load.active):
                if member is not full:
                    with suppress(CannotOpenStream):
                        return member.lend(receiver, used_after)
            are_limited = are_limited or len(with_room) < len(members)
        if are_limited:
            raise AtLimit(self)
        raise NoTunnel(f"every tunnel of {self.name} is full")

    def put(self, member: Member) -> None:
        """Choose one more tunnel, as it is now: suspected or not."""
        members = self._tier_of(member)
        self._places[member] = len(members)
        members.append(member)

    def take(self, member: Member) -> None:
        """Choose a tunnel no more; it takes no longer where there are many. What it is must not have changed since."""
        members = self._tier_of(member)
        place = self._places.pop(member)
        last = members.pop()
        if last is not member:
            members[place] = last
            self._places[last] = place

    def _tier_of(self, member: Member) -> list[Member]:
        if member.is_suspected:
            return self._suspected
        return self._remote if member.load.is_remote else self._members


def _besides(avoid: Collection[object], members: Sequence[Member]) -> list[Member]:
    return [member for member in members if member.load.tunnel not in avoid and member.load.tunnel.agent not in avoid]
