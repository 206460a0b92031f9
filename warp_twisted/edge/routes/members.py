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
from itertools import chain, islice

from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.refusals import NO_TUNNEL, NOT_HEALTHY
from warp_twisted.edge.routes.pool import Borrower, Member, OriginStream
from warp_twisted.http1.refusals import Refusal
from warp_twisted.routing.outliers import OriginState
from warp_twisted.wire.errors import CannotOpenStream

_CHOICES = 4
_LOOKED_AT = 128  # tunnels for one request, where the first choice takes no more: 30 µs
_ROUNDS = 1 << 30
_LOCAL, _REMOTE, _SUSPECTED, _TIERS = 0, 1, 2, 6
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

    They are kept in tiers (`_tier_of`), so that choosing one takes no longer where there are many, whatever they are.

    :ivar name: for logs.
    """

    __slots__ = ("_complaining", "_next", "_places", "_tiers", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._tiers: tuple[list[Member], ...] = tuple([] for _ in range(_TIERS))
        self._places: dict[Member, tuple[int, int, bool]] = {}  # tier, place in it, and whether it complains
        self._complaining = 0
        self._next = 0

    @property
    def members(self) -> Sequence[Member]:
        """The tunnels, those that are suspected last."""
        return [*chain.from_iterable(self._tiers)]

    @property
    def complaints(self) -> Iterator[tuple[str, str]]:
        """Agents whose probes say that their origins are not healthy, and why; some tunnels are looked at."""
        for member in islice(chain.from_iterable(self._tiers[_SUSPECTED:]), _LOOKED_AT):
            if member.complaint is not None:
                yield member.load.tunnel.agent, member.complaint

    @property
    def is_unwell(self) -> bool:
        """Whether there is no tunnel but such as are not healthy by their agents' probes."""
        return self._complaining == len(self._places)

    @property
    def healthy(self) -> int:
        """How many tunnels are not suspected."""
        return len(self._tiers[_LOCAL]) + len(self._tiers[_REMOTE])

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
        healthy = chain(self._tiers[_LOCAL], self._tiers[_REMOTE])
        return any(member.load.tunnel.agent != agent for member in healthy)

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

        :param avoid: tunnels and agents (by id) that are not asked; it takes longer by as many tunnels as these are.
        :param used_after: idle streams that have not been used since that instant are passed over; infinity asks
            for a new stream.
        :param only_trusted: whether a tunnel that is suspected is worse than none.
        :raises AtLimit: if some could, but for the number of requests that their origins take at once.
        :raises NoTunnel: if no tunnel is left that can open a stream.
        """
        tier, members = _LOCAL, self._tiers[_LOCAL]
        self._next = first = (self._next + 1) % _ROUNDS
        if avoid or not members:
            tier, members = self._candidates(avoid, only_trusted=only_trusted)
            first = 0  # they begin elsewhere each time
        count = len(members)
        if not count:
            raise NoTunnel(f"no tunnel can serve {self.name} now")
        first %= count
        best = members[first]
        for step in range(1, count if count < _CHOICES else _CHOICES):
            member = members[(first + step) % count]
            if len(member.load.lent) < len(best.load.lent):
                best = member
        try:
            return best.lend(receiver, used_after)
        except CannotOpenStream:
            tiers = (_LOCAL, _REMOTE) if tier == _LOCAL else (tier,)
            return self._lend_elsewhere(receiver, used_after, [self._some_of(each, avoid) for each in tiers], best)

    def _candidates(self, avoid: Collection[object], *, only_trusted: bool) -> tuple[int, list[Member]]:
        """Return some of the best tier in which any tunnel may serve, and which tier that is."""
        for tier in range(_SUSPECTED if only_trusted else _TIERS):
            members = self._some_of(tier, avoid, _CHOICES)
            if members:
                return tier, members
        return _LOCAL, []

    def _some_of(self, tier: int, avoid: Collection[object], most: int = _LOOKED_AT) -> list[Member]:
        """Return some of a tier that are not to be avoided; others each time."""
        members = self._tiers[tier]
        if not members:
            return []
        count, first = len(members), self._next
        found = (members[(first + step) % count] for step in range(count))
        return list(islice((each for each in found if not avoid or _is_besides(avoid, each)), most))

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
        tier, complains = _tier_of(member), member.complaint is not None
        members = self._tiers[tier]
        self._places[member] = tier, len(members), complains
        self._complaining += complains
        members.append(member)

    def take(self, member: Member) -> None:
        """Choose a tunnel no more; it takes no longer where there are many. It is found as it was put."""
        tier, place, complains = self._places.pop(member)
        self._complaining -= complains
        members = self._tiers[tier]
        last = members.pop()
        if last is not member:
            members[place] = last
            self._places[last] = tier, place, self._places[last][2]


def _tier_of(member: Member) -> int:
    """Return 0 for what is chosen first: this edge's, other edges', then those suspected, and last the silent."""
    is_remote = member.load.is_remote
    if not member.is_suspected:
        return _REMOTE if is_remote else _LOCAL
    return _SUSPECTED + 2 * member.is_silent + is_remote


def _is_besides(avoid: Collection[object], member: Member) -> bool:
    return member.load.tunnel not in avoid and member.load.tunnel.agent not in avoid
