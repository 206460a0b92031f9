"""
The tunnels of one route by the shares of a split, and which of them a request goes to.

A request has a draw (`routing.draws`): it says the share, before anything is asked about tunnels, so a share's part
does not depend on how many tunnels it has. In the share the least busy tunnel is taken, or that of the agent that a
visitor keeps to. Whether a tunnel is healthy is what `Member.is_suspected` says.
"""

from collections.abc import Callable, Collection, Sequence
from itertools import chain, islice
from secrets import randbits
from typing import Protocol

from twisted.logger import Logger

from warp_twisted.edge.routes.members import ANY_STREAM, AtLimit, Members, NoneHealthy, NoTunnel
from warp_twisted.edge.routes.mirror_counters import MirrorCounters
from warp_twisted.edge.routes.pool import Borrower, Member, OriginStream
from warp_twisted.edge.routes.shadows import Shadow
from warp_twisted.edge.routes.share_counters import ShareCounters
from warp_twisted.routing.cookies import agent_number
from warp_twisted.routing.draws import Draws
from warp_twisted.routing.layout import NOBODY, Layout
from warp_twisted.routing.rendezvous import Rendezvous
from warp_twisted.routing.split import Split
from warp_twisted.routing.table import Covering

LOOKED_AT = 16  # tunnels, for their agents' reasons
TOLD = 3  # agents whose reasons the access log has of one request

CountersOf = Callable[[str, str], ShareCounters]
MirrorCountersOf = Callable[[str], MirrorCounters]


class ShareMembers(Members):
    """
    The tunnels of one share.

    :ivar selector: of the share; its name in logs and metrics.
    :ivar counters: what is counted of it.
    :ivar by_number: of the agents that visitors' cookies name: their tunnels.
    :ivar rendezvous: of the agents with a healthy tunnel, where visitors keep to theirs by address.
    """

    __slots__ = (
        "_by_agent",
        "_is_by_address",
        "_is_by_cookie",
        "_numbers",
        "by_number",
        "counters",
        "rendezvous",
        "selector",
    )

    def __init__(self, name: str, selector: str, split: Split, counters: ShareCounters) -> None:
        super().__init__(name)
        self.selector = selector
        self.counters = counters
        self._is_by_cookie = split.cookie is not None
        self._is_by_address = split.is_by_address
        self._by_agent: dict[str, Members] = {}
        self._numbers: dict[str, int] = {}
        self.by_number: dict[int, Members] = {}
        self.rendezvous = Rendezvous()

    def put(self, member: Member) -> None:
        """Choose one more tunnel."""
        super().put(member)
        if not self._is_by_cookie and not self._is_by_address:
            return
        agent = member.load.tunnel.agent
        tunnels = self._by_agent.get(agent)
        if tunnels is None:
            tunnels = self._by_agent[agent] = Members(self.name)
            if self._is_by_cookie:
                number = self._numbers[agent] = agent_number(agent)
                self.by_number[number] = tunnels
        tunnels.put(member)
        if self._is_by_address and tunnels.healthy and agent not in self.rendezvous:
            self.rendezvous.add(agent)

    def take(self, member: Member) -> None:
        """Choose a tunnel no more."""
        super().take(member)
        agent = member.load.tunnel.agent
        tunnels = self._by_agent.get(agent)
        if tunnels is None:
            return
        tunnels.take(member)
        if not tunnels.healthy and agent in self.rendezvous:
            self.rendezvous.remove(agent)
        if not tunnels.count:
            del self._by_agent[agent]
            if self._is_by_cookie:
                self.by_number.pop(self._numbers.pop(agent), None)

    def number_of(self, agent: str) -> int:
        """Return an agent's number in cookies; 0 if it is not of this share."""
        return self._numbers.get(agent, 0)

    def of_point(self, point: int) -> Members | None:
        """Return the tunnels of the agent of a visitor's address; None if no agent is healthy."""
        agent = self.rendezvous.choose(point)
        return None if agent is None else self._by_agent[agent]


class RouteSplit:
    """
    The tunnels of one route by the shares of one split.

    :param name: of the route.
    :ivar draws: of visitors that have none.
    :ivar shadow: whose tunnels get copies of requests; None: nobody's.
    :ivar unmatched: tunnels that no share wants; the log names one of them.
    """

    _log = Logger()

    __slots__ = ("__weakref__", "_layout", "_tier", "draws", "shadow", "shares", "split", "unmatched")

    def __init__(
        self,
        split: Split,
        name: str,
        members: Collection[Member],
        counted: CountersOf,
        mirrored: MirrorCountersOf,
    ) -> None:
        self.split = split
        self.draws = Draws(randbits(64))
        self.shares = [
            ShareMembers(f"{name} {selector}", selector, split, counted(split.hostname, selector))
            for selector in split.names
        ]
        mirror = split.mirror
        self.shadow: Shadow | None = None
        if mirror is not None:
            its_own = Members(f"{name} {mirror.selector}")
            tunnels = its_own if mirror.share is None else self.shares[mirror.share]
            self.shadow = Shadow(split.hostname, mirror, tunnels, mirrored(split.hostname))
        self.unmatched = 0
        self._tier = NOBODY
        self._layout: Layout
        for member in members:
            self._put(member)
        self.arrange()

    @property
    def layout(self) -> Layout:
        """What each share gets now."""
        return self._layout

    @property
    def tier(self) -> int:
        """Which tier is used now: an index."""
        return self._tier

    def put(self, member: Member) -> None:
        """Use one more tunnel."""
        self._put(member)
        self._follow_health()

    def take(self, member: Member) -> None:
        """Use a tunnel no more."""
        labels = member.load.tunnel.labels
        share = self.split.share_of(labels)
        if share is None and self.shadow is not None and self.split.is_of_shadow(labels):
            self.shadow.members.take(member)
        elif share is None:
            self.unmatched -= 1
        else:
            self.shares[share].take(member)
            self._follow_health()

    def _put(self, member: Member) -> None:
        tunnel = member.load.tunnel
        share = self.split.share_of(tunnel.labels)
        if share is not None:
            self.shares[share].put(member)
            return
        if self.shadow is not None and self.split.is_of_shadow(tunnel.labels):
            self.shadow.members.put(member)
            return
        self.unmatched += 1
        if not self.split.has_told_unmatched:
            self.split.has_told_unmatched = True
            self._log.warn(
                "agent {agent} gets no requests of {hostname}: no share of its split selects its labels: {labels}",
                agent=tunnel.agent,
                hostname=self.split.hostname,
                labels=", ".join(f"{key}={value}" for key, value in sorted(tunnel.labels.items())) or "no labels",
            )

    def _follow_health(self) -> None:
        """Use another tier if the one in use is no longer healthy enough, or an earlier one is again."""
        if len(self.split.tiers) > 1:
            self.arrange()

    def arrange(self) -> None:
        """Lay the shares out as tunnels and shift say now."""
        tier = self.split.tier([share.healthy for share in self.shares], [share.count for share in self.shares])
        self._tier = tier
        self._layout = self.split.layout(tier)

    def share_of(self, draw: int) -> int:
        """Return the share that a draw's request goes to; `NOBODY` if there is none."""
        share = self._layout.share(draw)
        return share if share >= 0 and self.shares[share].healthy else self._elsewhere(draw, share)

    def _elsewhere(self, draw: int, share: int, allowed: Sequence[bool] = ()) -> int:
        """
        Return where a request goes whose share has no healthy tunnel, or has given it up.

        :param allowed: which shares it may go to; empty: any.
        """
        allowed = allowed or [True] * len(self.shares)
        if share >= 0 and not self.split.gives_to_others:
            return share
        layout, shares = self._layout, self.shares
        found = layout.another(draw, [each.healthy > 0 and ok for each, ok in zip(shares, allowed, strict=True)])
        if found == NOBODY and share >= 0 and shares[share].count and allowed[share]:
            return share  # nobody is healthy anywhere, so this one is as good as another
        if found == NOBODY:
            found = layout.another(draw, [each.count > 0 and ok for each, ok in zip(shares, allowed, strict=True)])
        return found

    def borrow(
        self,
        receiver: Borrower,
        draw: int,
        agent: int = 0,
        avoid: Collection[object] = (),
        *,
        used_after: float = ANY_STREAM,
        only_trusted: bool = False,
        chosen: int = NOBODY,
    ) -> tuple[OriginStream, ShareMembers, bool]:
        """
        Lend a stream to the origin.

        :param agent: its number, of a visitor that keeps to it.
        :param chosen: a share, in place of the draw's; without a healthy tunnel it is as any other.
        :returns: the stream, the share that it is of, and whether that is the visitor's own agent.
        :raises AtLimit: if one must be waited for, of the share or of the visitor's own agent.
        :raises NoTunnel: if no tunnel is left that can open a stream, of the share or, as the split says, of any.
        """
        only_trusted = only_trusted or self.split.needs_health
        index = self._layout.share(draw) if chosen < 0 else chosen
        if index < 0 or not self.shares[index].healthy:
            index = self._elsewhere(draw, index)
            if index >= 0 and self.shares[index].is_unwell and any(share.healthy for share in self.shares):
                only_trusted = True  # its agents say that it cannot serve, and `when_empty` that nobody else does
        allowed: list[bool] | None = None
        while index != NOBODY:
            share = self.shares[index]
            kept = None
            if agent:
                kept = share.by_number.get(agent)
            elif self.split.is_by_address:
                kept = share.of_point(draw)
            try:
                if kept is not None and (kept.healthy or not share.healthy):
                    try:
                        origin = kept.borrow(receiver, avoid, used_after=used_after, only_trusted=only_trusted)
                        return origin, share, True
                    except AtLimit:
                        raise  # the visitor's own agent has a place soon
                    except NoTunnel:
                        pass  # it is to be avoided, or full
                origin = share.borrow(receiver, avoid, used_after=used_after, only_trusted=only_trusted)
                return origin, share, False
            except AtLimit:
                raise  # another share would get more than its part
            except NoTunnel:
                if not self.split.gives_to_others:
                    break
                allowed = allowed or [True] * len(self.shares)
                allowed[index] = False
                index = self._elsewhere(draw, NOBODY, allowed)
        if self.split.needs_health and not any(share.healthy for share in self.shares):
            found = dict(islice(chain.from_iterable(share.complaints for share in self.shares), LOOKED_AT))
            if found:
                told = [f"{agent}: {reason}" for agent, reason in islice(found.items(), TOLD)]
                raise NoneHealthy(self.split.hostname, "; ".join(told))
        raise NoTunnel(f"no share of {self.split.hostname} has a tunnel that can serve now")


class SplitUse(Protocol):
    """What is kept of splits beside their tunnels; see `split_hostnames`."""

    def counters_of(self, hostname: str, selector: str) -> ShareCounters:
        """Return what is counted of a share, by the entry's hostname and the selector."""

    def mirror_counters_of(self, hostname: str) -> MirrorCounters:
        """Return what is counted of an entry's mirror."""

    def began(self, split: RouteSplit) -> None:
        """Note that the tunnels of a route are grouped by a split from now on."""


class RouteSplits:
    """
    The splits of one route: one, or, where a pattern is served as one route, those of names below it as well.

    By those of names below it the tunnels are grouped when they are asked for first: there may be a thousand.

    :ivar all: by which the tunnels are grouped.
    :ivar only: the one of every hostname that the route serves; None: `for_hostname` says it.
    """

    __slots__ = ("_by_split", "_covering", "_members", "_use", "all", "only")

    def __init__(self, covering: Covering, members: Members, before: "RouteSplits | None", use: SplitUse) -> None:
        """
        Group a route's tunnels.

        :param before: the splits until now; one that has not changed goes on as it is.
        """
        self._covering = covering
        self._members = members
        self._use = use
        self._by_split: dict[Split, RouteSplit] = {}
        self.all: list[RouteSplit] = []
        if before is not None:
            known = {each.split.text: each for each in before.all}
            for split in covering.splits():
                if split.text in known:
                    self._go_on(known[split.text], split)
        if covering.own is not None and covering.own not in self._by_split:
            self._begin(covering.own)
        is_one = len(covering.splits()) == 1
        self.only = self._by_split[covering.own] if is_one and covering.own is not None else None

    def _go_on(self, before: RouteSplit, split: Split) -> None:
        before.split = split
        for share in before.shares:
            share.counters = self._use.counters_of(split.hostname, share.selector)
        if before.shadow is not None:
            before.shadow.counters = self._use.mirror_counters_of(split.hostname)
        before.arrange()
        self._add(before)

    def _begin(self, split: Split) -> RouteSplit:
        made = RouteSplit(
            split, self._members.name, self._members.members, self._use.counters_of, self._use.mirror_counters_of
        )
        self._add(made)
        return made

    def _add(self, split: RouteSplit) -> None:
        self._by_split[split.split] = split
        self.all.append(split)
        self._use.began(split)

    def for_hostname(self, hostname: str) -> RouteSplit | None:
        """Return what splits the requests of a hostname; None if nothing does."""
        split = self._covering.split_for(hostname)
        if split is None:
            return None
        return self._by_split.get(split) or self._begin(split)

    def put(self, member: Member) -> None:
        """Use one more tunnel."""
        for each in self.all:
            each.put(member)

    def take(self, member: Member) -> None:
        """Use a tunnel no more."""
        for each in self.all:
            each.take(member)
