"""
Which route a request belongs to, and which tunnel serves it.

The most specific hostname decides first: the name itself, then `*.` patterns from the longest suffix to the
shortest. Under one hostname path rules are tried in the order in which agents offered them, then the rule without
a path; if none matches, the next less specific hostname is tried, as in cloudflared's ingress. Paths are matched
as the agent's expression says, on the decoded path without its query. RE2 takes time in proportion to the length of
the path and to the size of the compiled expression, so that size is bounded, for one rule and for a tunnel's rules
together: an agent cannot slow the edge. A hostname whose last tunnel went away is remembered for a while and
answered 503 rather than 404; a path rule that an agent takes back is forgotten at once.

Of a route's tunnels the least busy is chosen, among four at most, and in turn when they are equally busy.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_to_bytes

import re2

from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.routes.counters import DataPathMetrics, HostCounters
from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.edge.routes.pool import Borrower, Member, OriginStream, ServingTunnel, TunnelLoad
from warp_twisted.wire.control import RouteOffer
from warp_twisted.wire.errors import CannotOpenStream

REMEMBERED_SECONDS = 3_600.0
MAX_REMEMBERED = 10_000
RULE_INSTRUCTIONS = 2_000  # of one compiled expression; `^/static/` has 4, `\pL` 1,200
TUNNEL_INSTRUCTIONS = 4_000  # of all rules of a tunnel; measured at worst 40 ms for the longest path
_MAX_PATTERN_MEMORY = 1 << 18  # of RE2 for one expression; larger ones are refused
_CHOICES = 4
_DESPERATE = float("-inf")


class NoTunnel(EdgeError):
    """No tunnel can serve the route now."""


class BadPathRule(EdgeError):
    """The path rule is not a regular expression that RE2 accepts, or it is too large."""


class Route:
    """
    A hostname and a path rule, and the tunnels that may serve them.

    :ivar name: for logs: the hostname, and the path rule after it.
    :ivar counters: of the hostname.
    :ivar gone_at: when the last tunnel went away, or None while there is one.
    :ivar left_by: the agent whose tunnel went last.
    """

    __slots__ = ("_members", "_pattern", "_turn", "counters", "gone_at", "hostname", "left_by", "name", "path")

    def __init__(self, hostname: str, path: str, counters: HostCounters) -> None:
        self.hostname = hostname
        self.path = path
        self.name = f"{hostname} {path}" if path else hostname
        self.counters = counters
        self.gone_at: float | None = None
        self.left_by = ""
        self._pattern = _compile(path) if path else None
        self._members: list[Member] = []
        self._turn = 0

    def __repr__(self) -> str:
        return f"<Route {self.name} tunnels={len(self._members)}>"

    @property
    def members(self) -> Sequence[Member]:
        """The tunnels that take new streams for this route."""
        return self._members

    def matches(self, path: bytes) -> bool:
        """Whether the path rule matches a decoded path."""
        return self._pattern is None or self._pattern.search(path) is not None

    def borrow(
        self, receiver: Borrower, avoid: Collection[object] = (), *, used_after: float = _DESPERATE
    ) -> OriginStream:
        """
        Lend a stream to the origin: an idle one if there is one, else a new one, on the least busy tunnel.

        :param avoid: tunnels and agents (by id) that are not asked.
        :param used_after: idle streams that have not been used since that instant are passed over; infinity asks
            for a new stream.
        :raises NoTunnel: if no tunnel is left that can open a stream.
        """
        members: Sequence[Member] = self._members
        if avoid:
            members = [
                member
                for member in members
                if member.load.tunnel not in avoid and member.load.tunnel.agent not in avoid
            ]
        count = len(members)
        if not count:
            raise NoTunnel(f"no tunnel can serve {self.name} now")
        self._turn = turn = (self._turn + 1) % count
        best = members[turn]
        for step in range(1, count if count < _CHOICES else _CHOICES):
            member = members[(turn + step) % count]
            if member.load.active < best.load.active:
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
        self._members.append(member)
        self.gone_at = None

    def leave(self, load: TunnelLoad, now: float) -> None:
        """Use a tunnel no longer; its idle streams are closed."""
        for member in [member for member in self._members if member.load is load]:
            self._members.remove(member)
            member.retire()
            self.left_by = load.tunnel.agent
        if not self._members and self.gone_at is None:
            self.gone_at = now


class RouteTable:
    """
    All routes of this edge.

    :param metrics: holds each hostname's counters.
    :param limits: for streams to origins; replace `limits` to change them for members to come.
    :ivar is_reserved: says of a hostname that no pattern stands for it: one that belongs to the zone itself.
    """

    def __init__(self, metrics: DataPathMetrics, limits: VisitorLimits | None = None) -> None:
        self.limits = limits or VisitorLimits()
        self._metrics = metrics
        self._exact: dict[str, list[Route]] = {}
        self._wild: dict[str, list[Route]] = {}  # "*.a.example" under ".a.example"
        self._loads: dict[ServingTunnel, TunnelLoad] = {}
        self._routes_of: dict[ServingTunnel, Sequence[Route]] = {}
        self._now = 0.0
        self.is_reserved: Callable[[str], bool] = _nothing_is_reserved

    # For the control side.

    def add(self, tunnel: ServingTunnel, offers: Sequence[RouteOffer]) -> None:
        """
        Serve these offers through a tunnel, in place of those it served before.

        :raises BadPathRule: if a path is no expression that RE2 accepts, or too large; then nothing has changed.
        """
        _check_rules({offer.path for offer in offers if offer.path})
        load = self._loads.setdefault(tunnel, TunnelLoad(tunnel))
        before = self._routes_of.pop(tunnel, ())
        kept = {(member.route_id, route.hostname, route.path): member for route in before for member in route.members
                if member.load is load}  # fmt: skip
        now_served: dict[Route, None] = {}  # an ordered set
        seen: set[tuple[str, str]] = set()
        for offer in offers:
            if (offer.hostname, offer.path) in seen or (offer.hostname, "") in seen:
                continue  # never reached: an earlier rule takes everything it could match
            seen.add((offer.hostname, offer.path))
            route = self._route(offer.hostname, offer.path)
            now_served[route] = None
            if kept.pop((offer.id, offer.hostname, offer.path), None) is None:
                route.leave(load, self._now)
                route.join(Member(load, offer.id, self.limits.head, self.limits.idle_streams))
        for route in before:
            if route not in now_served:
                route.leave(load, self._now)
        self._routes_of[tunnel] = list(now_served)
        self._arrange(now_served)
        self._forget_withdrawn([*before, *now_served])

    def remove(self, tunnel: ServingTunnel) -> None:
        """Send nothing more through a tunnel."""
        load = self._loads.pop(tunnel, None)
        if load is None:
            return
        load.is_draining = True
        routes = self._routes_of.pop(tunnel)
        for route in routes:
            route.leave(load, self._now)
        self._forget_withdrawn(routes)

    def drain(self, tunnel: ServingTunnel) -> None:
        """Begin nothing new through a tunnel; its streams in use go on, each until its exchange is over."""
        load = self._loads.get(tunnel)
        if load is None:
            return
        load.is_draining = True
        routes = self._routes_of[tunnel]
        for route in routes:
            route.leave(load, self._now)
        self._forget_withdrawn(routes)

    @property
    def routes(self) -> list[Route]:
        """Every route, those without a tunnel included."""
        return [route for table in (self._exact, self._wild) for routes in table.values() for route in routes]

    @property
    def stream_counts(self) -> tuple[int, int]:
        """Streams in use and idle streams, of all tunnels."""
        used = sum(load.active for load in self._loads.values())
        return used, sum(member.idle_count for route in self.routes for member in route.members)

    # For the data path.

    def find(self, host: str, path: bytes) -> Route | None:
        """
        Find the route of a request.

        :param host: a hostname in normal form.
        :param path: the request target; a query is cut off.
        :returns: None if nothing is or was lately published there.
        """
        routes = self._exact.get(host)
        if routes is not None:
            first = routes[0]
            if not first.path:
                return first
            found = _first_match(routes, path)
            if found is not None:
                return found
        if self._wild:
            at = host.find(".")
            while at > 0:
                routes = self._wild.get(host[at:])
                if routes is not None:
                    found = _first_match(routes, path)
                    if found is not None:
                        return None if self.is_reserved(host) else found
                at = host.find(".", at + 1)
        return None

    def sweep(self, now: float, idle_seconds: float) -> None:
        """Close streams that have been idle for too long, and forget hostnames that are gone for long."""
        self._now = now
        gone: list[Route] = []
        for route in self.routes:
            for member in route.members:
                member.close_idle(now - idle_seconds)
            if route.gone_at is not None:
                gone.append(route)
        gone.sort(key=_gone_at)
        excess = len(gone) - MAX_REMEMBERED
        for index, route in enumerate(gone):
            if index < excess or _gone_at(route) < now - REMEMBERED_SECONDS:
                self._forget(route)

    def close_idle(self) -> None:
        """Close every idle stream."""
        for route in self.routes:
            for member in route.members:
                member.close_idle()

    def _route(self, hostname: str, path: str) -> Route:
        """Return the route of a hostname and path rule, made and put in its place if it is new."""
        table, key = self._place(hostname)
        routes = table.setdefault(key, [])
        for route in routes:
            if route.path == path:
                return route
        route = Route(hostname, path, self._metrics.of_hostname(hostname))
        catch_all = next((index for index, other in enumerate(routes) if not other.path), len(routes))
        routes.insert(len(routes) if not path else catch_all, route)
        return route

    def _rules(self, hostname: str) -> list[Route]:
        """Return a hostname's routes, for changes."""
        table, key = self._place(hostname)
        return table.get(key, [])

    def _arrange(self, routes: Collection[Route]) -> None:
        """Bring routes into the order in which they are offered now, within the places that they have."""
        offered: dict[str, list[Route]] = {}
        for route in routes:
            offered.setdefault(route.hostname, []).append(route)
        for hostname, wanted in offered.items():
            rules = self._rules(hostname)
            for place, route in zip(sorted(map(rules.index, wanted)), wanted, strict=True):
                rules[place] = route

    def _forget_withdrawn(self, routes: Collection[Route]) -> None:
        """
        Forget the rules without a tunnel that were last served by an agent which still serves their hostname.

        That agent took them back, so their paths belong to its other rules. A rule of an agent that is gone stays.
        """
        for hostname in {route.hostname for route in routes}:
            rules = self._rules(hostname)
            serving = {member.load.tunnel.agent for route in rules for member in route.members}
            for route in [route for route in rules if route.gone_at is not None and route.left_by in serving]:
                self._forget(route)

    def _place(self, hostname: str) -> tuple[dict[str, list[Route]], str]:
        return (self._wild, hostname[1:]) if hostname.startswith("*.") else (self._exact, hostname)

    def _forget(self, route: Route) -> None:
        table, key = self._place(route.hostname)
        routes = table[key]
        routes.remove(route)
        if not routes:
            del table[key]
            self._metrics.forget_hostname(route.hostname)


def _nothing_is_reserved(hostname: str) -> bool:
    return False


def _gone_at(route: Route) -> float:
    return route.gone_at or 0.0


def _first_match(routes: Sequence[Route], target: bytes) -> Route | None:
    path = unquote_to_bytes(target.partition(b"?")[0])
    if not path.isascii():  # RE2's `.` takes no byte that is not UTF-8; as in Go, a rule must not be evaded by one
        path = path.decode("utf-8", "replace").encode()
    for route in routes:
        if route.matches(path):
            return route
    return None


def _check_rules(paths: Collection[str]) -> None:
    """Refuse path rules that would take too long to match; raises `BadPathRule`."""
    total = 0
    for path in paths:
        total += _compile(path).programsize
        if total > TUNNEL_INSTRUCTIONS:
            raise BadPathRule("the path rules together are too large for this edge")


def _compile(path: str) -> Any:
    """Compile an agent's expression; raises `BadPathRule`."""
    options = re2.Options()
    options.max_mem = _MAX_PATTERN_MEMORY
    options.log_errors = False
    try:
        pattern = re2.compile(path.encode(), options)
    except re2.error as error:
        raise BadPathRule(f"path {path!r} cannot be used: {error.args[0]!r}") from error
    if pattern.programsize > RULE_INSTRUCTIONS:
        raise BadPathRule(f"path {path!r} cannot be used: it is too large for this edge")
    return pattern
