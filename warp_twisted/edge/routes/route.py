"""
One route: a hostname and a path rule, and the tunnels that may serve them.

`members` says which of the tunnels serves a request.
"""

from collections.abc import Callable, Sequence

from warp_twisted.edge.routes.counters import HostCounters
from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.edge.routes.load import TunnelLoad
from warp_twisted.edge.routes.members import Members
from warp_twisted.edge.routes.places import LimitedMember
from warp_twisted.edge.routes.pool import Member
from warp_twisted.edge.routes.queue import Queues, RequestQueue
from warp_twisted.edge.routes.rules import PathRule
from warp_twisted.edge.routes.splitting import RouteSplits, SplitUse
from warp_twisted.http1.host_rewriting import parse_rewriting
from warp_twisted.routing.outliers import Origin
from warp_twisted.routing.table import Covering
from warp_twisted.wire.control import RouteOffer


class Route(Members):
    """
    A hostname and a path rule, and the tunnels that may serve them.

    :ivar name: for logs: the hostname, and the path rule after it.
    :ivar counters: of the hostname.
    :ivar gone_at: when the last tunnel went away, or None while there is one.
    :ivar left_by: the agent whose tunnel went last.
    :ivar origins: by agent, what is known of them.
    :ivar queue: of requests that wait for a place at an origin; None if no agent says how many its origin takes.
    :ivar splits: which of the tunnels requests go to by their labels; None: to any of them.
    """

    __slots__ = (
        "_agents", "_by_load", "counters", "gone_at", "hostname", "left_by", "origins", "path", "queue", "rule",
        "splits",
    )  # fmt: skip

    def __init__(self, hostname: str, path: str, counters: HostCounters, rule: PathRule | None) -> None:
        super().__init__(f"{hostname} {path}" if path else hostname)
        self.hostname = hostname
        self.path = path
        self.counters = counters
        self.gone_at: float | None = None
        self.left_by = ""
        self.rule = rule
        self.splits: RouteSplits | None = None
        self._by_load: dict[TunnelLoad, Member] = {}
        self._agents: dict[str, list[Member]] = {}
        self.origins: dict[str, Origin] = {}
        self.queue: RequestQueue | None = None

    def __repr__(self) -> str:
        return f"<Route {self.name} tunnels={len(self._by_load)}>"

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

    def members_of(self, agent: str) -> Sequence[Member]:
        """Return what stands for the tunnels of an agent here, those of other edges included."""
        return self._agents.get(agent, ())

    def member_of(self, load: TunnelLoad) -> Member | None:
        """Return what stands for a tunnel here, if it takes new streams for this route."""
        return self._by_load.get(load)

    def is_joined(self, load: TunnelLoad, offer: RouteOffer) -> bool:
        """Whether a tunnel serves this route as its agent offers it now."""
        member = self._by_load.get(load)
        return member is not None and (member.route_id, member.max_requests, member.rewriting) == (
            offer.id,
            offer.max_requests,
            parse_rewriting(offer.host_header, offer.own_scheme),
        )

    def member_for(
        self,
        load: TunnelLoad,
        offer: RouteOffer,
        limits: VisitorLimits,
        watch: Callable[[Member], None],
        queues: Queues,
    ) -> Member:
        """Make what stands for a tunnel here, as its agent offers the route."""
        member: Member
        if offer.max_requests:
            if self.queue is None:
                self.queue = RequestQueue(queues, self.hostname, self.path)
            places = self.queue.places_of(load.tunnel.agent, offer.max_requests)
            # A stream that is kept for the next request would keep a place at the edge that relays it.
            idle_streams = 0 if load.is_remote else limits.idle_streams
            member = LimitedMember(load, offer.id, limits.response, idle_streams, watch, places)
        else:
            member = Member(load, offer.id, limits.response, limits.idle_streams, watch)
        member.rewriting = parse_rewriting(offer.host_header, offer.own_scheme)
        return member

    def join(self, member: Member) -> None:
        """Use one more tunnel."""
        agent = member.load.tunnel.agent
        member.origin = self.origins.setdefault(agent, member.origin)
        member.is_suspected = _is_suspected(member)
        member.standing = (member.is_suspected, member.is_silent, member.complaint is not None)
        self.put(member)
        if self.splits is not None:
            self.splits.put(member)
        self._by_load[member.load] = member
        self._agents.setdefault(agent, []).append(member)
        self.gone_at = None
        if self.queue is not None:
            self.queue.look()

    def leave(self, load: TunnelLoad, now: float) -> None:
        """Use a tunnel no longer; its idle streams are closed. It takes no longer where there are many tunnels."""
        member = self._by_load.pop(load, None)
        if member is not None:
            self.take(member)
            if self.splits is not None:
                self.splits.take(member)
            member.retire()
            self.left_by = agent = load.tunnel.agent
            self._agents[agent].remove(member)
            if not self._agents[agent]:
                del self._agents[agent]
                del self.origins[agent]
            if self.queue is not None:
                self.queue.forget_unused(agent)
                self.queue.look()
        if not self._by_load and self.gone_at is None:
            self.gone_at = now

    def suspect(self, load: TunnelLoad) -> None:
        """Choose a tunnel only when there is no other; it takes no longer where there are many tunnels."""
        member = self._by_load.get(load)
        if member is not None:
            member.is_silent = True
            self._place(member)

    def trust(self, load: TunnelLoad) -> None:
        """Choose a tunnel as any other again."""
        member = self._by_load.get(load)
        if member is not None:
            member.is_silent = False
            self._place(member)

    def report(self, load: TunnelLoad, complaint: str | None, now: float) -> None:
        """
        Note what the agent's probes say of the origin; it takes no longer where there are many tunnels.

        :param complaint: why it is not healthy: then it is chosen only when there is no other; None: it is.
        """
        member = self._by_load.get(load)
        if member is not None:
            member.complaint = complaint
            member.origin.probed(now, is_well=complaint is None)
            self._place(member)

    def place_agent(self, agent: str) -> None:
        """Choose the tunnels of an agent as its origin's state says now."""
        for member in self.members_of(agent):
            self._place(member)

    def _place(self, member: Member) -> None:
        """Put a member among those that are chosen like it is."""
        is_suspected = _is_suspected(member)
        standing = (is_suspected, member.is_silent, member.complaint is not None)
        if member.standing == standing:
            return
        member.standing = standing
        for tunnels in (self, self.splits):
            if tunnels is not None:
                tunnels.take(member)
        member.is_suspected = is_suspected
        for tunnels in (self, self.splits):
            if tunnels is not None:
                tunnels.put(member)

    def use_splits(self, covering: Covering | None, use: SplitUse) -> None:
        """Let labels decide which tunnels requests go to, or no longer."""
        self.splits = RouteSplits(covering, self, self.splits, use) if covering is not None else None


def _is_suspected(member: Member) -> bool:
    return member.is_silent or member.complaint is not None or member.origin.is_out
