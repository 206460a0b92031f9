"""
One route: a hostname and a path rule, and the tunnels that may serve them.

Of a route's tunnels the least busy is chosen, among four at most, and one after the other when they are equally busy.
Those that are suspected of being dead (`suspicion`) are chosen only when there is no other.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress

from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.routes.counters import HostCounters
from warp_twisted.edge.routes.load import TunnelLoad
from warp_twisted.edge.routes.pool import Borrower, Member, OriginStream
from warp_twisted.edge.routes.rules import PathRule
from warp_twisted.wire.errors import CannotOpenStream

_CHOICES = 4
_DESPERATE = float("-inf")


class NoTunnel(EdgeError):
    """No tunnel can serve the route now."""


class Route:
    """
    A hostname and a path rule, and the tunnels that may serve them.

    :ivar name: for logs: the hostname, and the path rule after it.
    :ivar counters: of the hostname.
    :ivar gone_at: when the last tunnel went away, or None while there is one.
    :ivar left_by: the agent whose tunnel went last.
    """

    __slots__ = (
        "_agents", "_by_load", "_members", "_next", "_suspected", "counters", "gone_at", "hostname", "left_by", "name",
        "path", "rule",
    )  # fmt: skip

    def __init__(self, hostname: str, path: str, counters: HostCounters, rule: PathRule | None) -> None:
        self.hostname = hostname
        self.path = path
        self.name = f"{hostname} {path}" if path else hostname
        self.counters = counters
        self.gone_at: float | None = None
        self.left_by = ""
        self.rule = rule
        self._members: list[Member] = []
        self._suspected: list[Member] = []
        self._by_load: dict[TunnelLoad, Member] = {}
        self._agents: dict[str, int] = {}
        self._next = 0

    def __repr__(self) -> str:
        return f"<Route {self.name} tunnels={len(self._by_load)}>"

    @property
    def members(self) -> Sequence[Member]:
        """The tunnels that take new streams for this route, those that are suspected last."""
        return [*self._members, *self._suspected]

    @property
    def instructions(self) -> int:
        """How large the path rule is."""
        return 0 if self.rule is None else self.rule.instructions

    def matches(self, path: bytes) -> bool:
        """Whether the path rule matches a decoded path."""
        return self.rule is None or self.rule.matches(path)

    def is_served_by(self, agent: str) -> bool:
        """Whether a tunnel of an agent takes new streams for this route."""
        return agent in self._agents

    def member_of(self, load: TunnelLoad) -> Member | None:
        """Return what stands for a tunnel here, if it takes new streams for this route."""
        return self._by_load.get(load)

    def borrow(
        self,
        receiver: Borrower,
        avoid: Collection[object] = (),
        *,
        used_after: float = _DESPERATE,
        only_trusted: bool = False,
    ) -> OriginStream:
        """
        Lend a stream to the origin: an idle one if there is one, else a new one, on the least busy tunnel.

        :param avoid: tunnels and agents (by id) that are not asked.
        :param used_after: idle streams that have not been used since that instant are passed over; infinity asks
            for a new stream.
        :param only_trusted: whether a tunnel that is suspected is worse than none.
        :raises NoTunnel: if no tunnel is left that can open a stream.
        """
        members: Sequence[Member] = self._members
        if avoid:
            members = _besides(avoid, members)
        if not members and not only_trusted:
            members = _besides(avoid, self._suspected)
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
            origin = best.take_idle(used_after) or best.open()
        except CannotOpenStream:
            origin = self._open_elsewhere(members, best)
        origin.lend(receiver)
        return origin

    def _open_elsewhere(self, members: Sequence[Member], full: Member) -> OriginStream:
        """Open a stream on any tunnel but one that takes no more."""
        for member in sorted(members, key=lambda member: member.load.active):
            if member is not full:
                with suppress(CannotOpenStream):
                    return member.open()
        raise NoTunnel(f"every tunnel of {self.name} is full")

    def join(self, member: Member) -> None:
        """Use one more tunnel."""
        self._put(member)
        self._by_load[member.load] = member
        agent = member.load.tunnel.agent
        self._agents[agent] = self._agents.get(agent, 0) + 1
        self.gone_at = None

    def leave(self, load: TunnelLoad, now: float) -> None:
        """Use a tunnel no longer; its idle streams are closed. It takes no longer where there are many tunnels."""
        member = self._by_load.pop(load, None)
        if member is not None:
            self._take(member)
            member.retire()
            self.left_by = agent = load.tunnel.agent
            self._agents[agent] -= 1
            if not self._agents[agent]:
                del self._agents[agent]
        if not self._by_load and self.gone_at is None:
            self.gone_at = now

    def suspect(self, load: TunnelLoad) -> None:
        """Choose a tunnel only when there is no other; it takes no longer where there are many tunnels."""
        member = self._by_load.get(load)
        if member is not None and not member.is_suspected:
            self._take(member)
            member.is_suspected = True
            self._put(member)

    def trust(self, load: TunnelLoad) -> None:
        """Choose a tunnel as any other again."""
        member = self._by_load.get(load)
        if member is not None and member.is_suspected:
            self._take(member)
            member.is_suspected = False
            self._put(member)

    def _put(self, member: Member) -> None:
        members = self._suspected if member.is_suspected else self._members
        member.position = len(members)
        members.append(member)

    def _take(self, member: Member) -> None:
        members = self._suspected if member.is_suspected else self._members
        last = members.pop()
        if last is not member:
            members[member.position] = last
            last.position = member.position


def _besides(avoid: Collection[object], members: Sequence[Member]) -> list[Member]:
    return [member for member in members if member.load.tunnel not in avoid and member.load.tunnel.agent not in avoid]
