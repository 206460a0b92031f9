"""
Which route a request belongs to.

The most specific hostname decides first: the name itself, then `*.` patterns from the longest suffix to the shortest
(`coverage`, which decides what DNS answers, too). Under one hostname path rules are tried in the order in which agents
offered them, then the rule without a path; if none matches, the next less specific hostname is tried, as in
cloudflared's ingress. `rules` says what a path rule may cost. A hostname whose last tunnel went away is remembered for
an hour and answered 503 rather than 404; a path rule for a minute, so that its paths do not go to another agent's rule
while its own agent comes back. One that an agent takes back is forgotten at once, and so is one whose agent is gone
when another agent begins to serve the hostname: that is its successor, and decides which paths there are.

What happens once a second looks only at what is due: routes without a tunnel in the order in which they lost it, and
idle streams by the second in which they may have been idle for too long.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice

from warp_twisted.coverage import stands_for, suffixes
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.ejection import Ejection
from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.edge.routes.load import ServingTunnel, StreamCounts, TunnelLoad
from warp_twisted.edge.routes.pool import Member
from warp_twisted.edge.routes.queue import Queues
from warp_twisted.edge.routes.route import Route
from warp_twisted.edge.routes.rules import (
    HOST_INSTRUCTIONS,
    OFFER_INSTRUCTIONS,
    BadPathRule,
    PathRule,
    longest_path,
)
from warp_twisted.edge.routes.search import FREE_PRICE, Candidate, Search
from warp_twisted.edge.routes.split_hostnames import SplitHostnames
from warp_twisted.edge.routes.suspicion import STANDING_TRANSITIONS, StandingEvent
from warp_twisted.wire.control import RouteOffer

REMEMBERED_SECONDS = 3_600.0
RULE_SECONDS = 60.0  # for which a path rule is remembered: longer than an agent takes to come back
MAX_REMEMBERED = 10_000
REMEMBERED_IN_A_STEP = 32  # some 0.3 ms
SWEPT = 1_000  # routes, and members with idle streams, at most in one sweep; the others follow in the next
_IDLE_SECONDS = 55.0  # until the first sweep says


class RouteTable:
    """
    All routes of this edge.

    :param metrics: holds each hostname's counters.
    :param limits: for streams to origins; replace `limits` to change them for members to come.
    :ivar costly_seconds: that look-ups took which are to be paid for; whoever makes somebody pay sets it to 0.
    :ivar watch: called with a tunnel that is asked for something while it is trusted; `suspicion` sets it.
    :ivar ejection: of origins that fail while others serve.
    :ivar queues: of requests that wait for a place at an origin.
    :ivar splitting: which of a route's tunnels requests go to by their labels.
    :ivar is_known: says of a hostname that the registry knows whose it is.
    :ivar is_reserved: says of a hostname that no pattern stands for it: one that belongs to the zone itself.
    :ivar is_of_others: says of a hostname and a pattern that they belong to different groups of agents, so that this
        pattern does not stand for it, also where nothing else is left that does.
    """

    def __init__(self, metrics: DataPathMetrics, limits: VisitorLimits | None = None) -> None:
        self.limits = limits or VisitorLimits()
        self._metrics = metrics
        self._exact: dict[str, list[Route]] = {}
        self._wild: dict[str, list[Route]] = {}  # "*.a.example" under ".a.example"
        self._counts = StreamCounts()
        self._loads: dict[ServingTunnel, TunnelLoad] = {}
        self._routes_of: dict[ServingTunnel, Sequence[Route]] = {}
        self._longest: dict[str, int] = {}  # of hostnames with path rules: bytes of a path that are matched
        self._gone: OrderedDict[Route, None] = OrderedDict()  # without a tunnel, in the order in which they lost it
        self._gone_rules: OrderedDict[Route, None] = OrderedDict()  # the same for path rules
        self._due: dict[int, list[Member]] = {}  # by second, members whose idle streams may be too old then
        self._idle_seconds = _IDLE_SECONDS
        self._now = 0.0
        self.is_known: Callable[[str], bool] = lambda hostname: False
        self.is_reserved: Callable[[str], bool] = lambda hostname: False
        self.is_of_others: Callable[[str, str], bool] = lambda hostname, pattern: False
        self.watch: Callable[[TunnelLoad], None] | None = None
        self.splitting = SplitHostnames(metrics.shares, metrics.mirrors)
        self.ejection = Ejection(metrics)
        self.queues = Queues(lambda: self.limits.queued_requests, metrics)

    # For the control side.

    def add(self, tunnel: ServingTunnel, offers: Sequence[RouteOffer]) -> None:
        """
        Serve these offers through a tunnel, in place of those it served before.

        :raises BadPathRule: if a path is no expression that RE2 accepts, or too large, by itself or with the others of
            its hostname; then nothing has changed.
        """
        compiled = self._compile(offers)
        load = self._loads.setdefault(tunnel, TunnelLoad(tunnel, self.watch, self._counts))
        before = self._routes_of.pop(tunnel, ())
        succeeded = self._rules_succeeded(tunnel.agent, {offer.hostname for offer in offers})
        now_served: dict[Route, None] = {}  # an ordered set
        seen: set[tuple[str, str]] = set()
        for offer in offers:
            if (offer.hostname, offer.path) in seen or (offer.hostname, "") in seen:
                continue  # never reached: an earlier rule takes everything it could match
            seen.add((offer.hostname, offer.path))
            route = self._route(offer.hostname, offer.path, compiled)
            now_served[route] = None
            if not route.is_joined(load, offer):
                route.leave(load, self._now)
                route.join(route.member_for(load, offer, self.limits, self._watch, self.queues))
                self._gone.pop(route, None)
                self._gone_rules.pop(route, None)
        for route in before:
            if route not in now_served:
                self._leave(route, load)
        self._routes_of[tunnel] = list(now_served)
        self._arrange(now_served)
        for route in succeeded:
            if route not in now_served:
                self._forget(route)
        self._forget_withdrawn([*before, *now_served])

    def remove(self, tunnel: ServingTunnel) -> None:
        """Send nothing more through a tunnel."""
        load = self._loads.pop(tunnel, None)
        if load is None:
            return
        load.is_draining = True
        load.standing = STANDING_TRANSITIONS[load.standing, StandingEvent.REMOVAL]
        routes = self._routes_of.pop(tunnel)
        for route in routes:
            self._leave(route, load)
        self._forget_withdrawn(routes)

    def drain(self, tunnel: ServingTunnel) -> None:
        """Begin nothing new through a tunnel; its streams in use go on, each until its exchange is over."""
        load = self._loads.get(tunnel)
        if load is None:
            return
        load.is_draining = True
        routes = self._routes_of[tunnel]
        for route in routes:
            self._leave(route, load)
        self._forget_withdrawn(routes)

    def suspect(self, load: TunnelLoad) -> None:
        """Choose a tunnel only where there is no other; see `suspicion`."""
        for route in self._routes_of.get(load.tunnel, ()):
            route.suspect(load)

    def trust(self, load: TunnelLoad) -> None:
        """Choose a tunnel as any other again."""
        for route in self._routes_of.get(load.tunnel, ()):
            route.trust(load)

    def report(self, tunnel: ServingTunnel, hostname: str, path: str, complaint: str | None) -> None:
        """Note what an agent's probes say of a route's origin, as `Route.report` does."""
        load = self._loads.get(tunnel)
        for route in self._rules(hostname):
            if load is not None and route.path == path:
                route.report(load, complaint, self._now)

    def remembering(self, hostnames: Iterable[str], now: float) -> Iterator[None]:
        """Remember hostnames that were served before a restart as if their last tunnel went now, in short steps."""
        self._now = now
        for at, hostname in enumerate(islice(hostnames, MAX_REMEMBERED)):
            if not self._rules(hostname):
                route = self._route(hostname, "", {})
                route.gone_at = now
                self._gone[route] = None
            if at % REMEMBERED_IN_A_STEP == 0:
                yield

    def is_away(self, host: str) -> bool:
        """Whether nothing serves a hostname, or lately did, which the registry knows as somebody's all the same."""
        return self._standing(host) is None and self.is_known(host)

    def route_of(self, hostname: str, path: str) -> Route | None:
        """Return the route of a hostname or pattern, as it was offered, and a path rule; None if there is none."""
        return next((route for route in self._rules(hostname) if route.path == path), None)

    def is_served(self, hostname: str) -> bool:
        """Whether a tunnel takes requests of a hostname, or of a pattern, as it was offered."""
        return any(route.gone_at is None for route in self._rules(hostname))

    @property
    def routes(self) -> list[Route]:
        """Every route, those without a tunnel included."""
        return [route for table in (self._exact, self._wild) for routes in table.values() for route in routes]

    @property
    def stream_counts(self) -> tuple[int, int]:
        """Streams in use and idle streams, of all tunnels."""
        return self._counts.used, self._counts.idle

    # For the data path.

    def find(self, host: str, target: bytes) -> Route | Search | None:
        """
        Find the route of a request.

        :param host: a hostname in normal form.
        :param target: the request target; a query is cut off.
        :returns: None if nothing is or was lately published there; a look-up that has begun if it may be costly: more
            steps must be taken, in turns with other work.
        :raises MessageRefused: if the path is too long for the hostname's path rules.
        """
        routes = self._standing(host)
        if routes is None:
            return None
        if not routes[0].path:
            return routes[0]
        search = Search(self._candidates(host), target)
        return search.route if search.take_step(FREE_PRICE) else search

    def _standing(self, host: str) -> list[Route] | None:
        """Return the routes of what stands for a hostname: its own, or those of a pattern of the same group."""
        routes = stands_for(host, self._exact, self._wild, self.is_reserved)
        if routes is not None and routes[0].hostname != host and self.is_of_others(host, routes[0].hostname):
            return None
        return routes

    def _candidates(self, host: str) -> Iterator[Candidate]:
        """Return what stands for a hostname, the most specific first, as it is when it is asked for."""
        routes = self._exact.get(host)
        if routes is not None:
            yield routes, self._longest.get(host, 0)
        if not self._wild or self.is_reserved(host):
            return
        for suffix in suffixes(host):
            routes = self._wild.get(suffix)
            if routes is not None:
                if self.is_of_others(host, "*" + suffix):
                    return
                yield routes, self._longest.get("*" + suffix, 0)

    def sweep(self, now: float, idle_seconds: float) -> None:
        """Close streams that have been idle for too long, and forget routes that are gone for long."""
        self._now = now
        self._idle_seconds = idle_seconds
        left = SWEPT
        for second in [second for second in self._due if second <= now]:
            due = self._due.pop(second)
            if len(due) > left:
                self._due.setdefault(int(now) + 1, []).extend(due[left:])
                del due[left:]
            left -= len(due)
            for member in due:
                self._close_old(member, now)
        self._forget_gone(self._gone_rules, now - RULE_SECONDS)
        self._forget_gone(self._gone, now - REMEMBERED_SECONDS)
        self.ejection.sweep(now)
        self.queues.sweep()

    def _close_old(self, member: Member, now: float) -> None:
        member.close_idle(now - self._idle_seconds)
        oldest = member.oldest_idle
        if oldest is None:
            member.is_watched = False
        else:
            self._due.setdefault(int(oldest + self._idle_seconds) + 1, []).append(member)

    def _watch(self, member: Member) -> None:
        """Look at a member's idle streams when the first of them may be too old."""
        self._due.setdefault(int(self._now + self._idle_seconds) + 1, []).append(member)

    def _forget_gone(self, gone: OrderedDict[Route, None], before: float) -> None:
        """Forget routes that lost their last tunnel before an instant."""
        forgotten: list[Route] = []
        for route in gone:
            if route.gone_at is None or route.gone_at >= before or len(forgotten) >= SWEPT:
                break
            forgotten.append(route)
        for route in forgotten:
            self._forget(route)

    def close_idle(self) -> None:
        """Close every idle stream."""
        for route in self.routes:
            for member in route.members:
                member.close_idle()

    def _compile(self, offers: Sequence[RouteOffer]) -> dict[str, PathRule]:
        """
        Compile the path rules that are new, and make sure that each hostname's rules may be matched.

        :raises BadPathRule: if not; nothing has changed then, but that rules without a tunnel may be forgotten.
        """
        compiled: dict[str, PathRule] = {}
        offered: dict[str, set[str]] = {}
        for offer in offers:
            if offer.path:
                offered.setdefault(offer.hostname, set()).add(offer.path)
        for hostname, paths in offered.items():
            known = {route.path: route for route in self._rules(hostname)}
            total = 0
            for path in paths:
                rule = known[path].rule if path in known else compiled.get(path)
                if rule is None:
                    rule = compiled[path] = PathRule(path)
                total += rule.instructions
                if total > OFFER_INSTRUCTIONS:
                    raise BadPathRule(f"the path rules of {hostname} together are too large for this edge")
            others = [route for route in known.values() if route.path not in paths]
            room = HOST_INSTRUCTIONS - total - sum(route.instructions for route in others)
            for route in others:
                if room < 0 and route.gone_at is not None:
                    room += route.instructions
                    self._forget(route)
            if room < 0:
                raise BadPathRule(
                    f"the path rules of {hostname}, with those that other tunnels offer, are too large for this edge"
                )
        return compiled

    def _leave(self, route: Route, load: TunnelLoad) -> None:
        """Let a tunnel serve a route no longer; the route is remembered for a while without any."""
        was_served = route.gone_at is None
        route.leave(load, self._now)
        if was_served and route.gone_at is not None:
            gone = self._gone_rules if route.path else self._gone
            gone[route] = None
            if len(gone) > MAX_REMEMBERED:
                self._forget(next(iter(gone)))

    def _route(self, hostname: str, path: str, compiled: dict[str, PathRule]) -> Route:
        """Return the route of a hostname and path rule; a new one is put where it is tried in the right order."""
        table, key = self._table_of(hostname)
        routes = table.setdefault(key, [])
        for route in routes:
            if route.path == path:
                return route
        rule = (compiled.get(path) or PathRule(path)) if path else None
        route = Route(hostname, path, self._metrics.of_hostname(hostname), rule)
        self.splitting.begin(route)
        catch_all = next((index for index, other in enumerate(routes) if not other.path), len(routes))
        routes.insert(len(routes) if not path else catch_all, route)
        if path:
            self._measure(hostname, routes)
        return route

    def _measure(self, hostname: str, routes: Sequence[Route]) -> None:
        """Note how much of a path may be matched under a hostname."""
        self._longest[hostname] = longest_path(sum(route.instructions for route in routes))

    def _rules(self, hostname: str) -> list[Route]:
        """Return a hostname's routes, for changes."""
        table, key = self._table_of(hostname)
        return table.get(key, [])

    def _arrange(self, routes: Collection[Route]) -> None:
        """Bring routes into the order in which they are offered now, at the positions that they have together."""
        offered: dict[str, list[Route]] = {}
        for route in routes:
            offered.setdefault(route.hostname, []).append(route)
        for hostname, wanted in offered.items():
            rules = self._rules(hostname)
            for position, route in zip(sorted(map(rules.index, wanted)), wanted, strict=True):
                rules[position] = route

    def _rules_succeeded(self, agent: str, hostnames: Collection[str]) -> list[Route]:
        """Return the path rules without a tunnel of hostnames that an agent neither serves nor has lately served."""
        found: list[Route] = []
        for hostname in hostnames:
            rules = self._rules(hostname)
            gone = [route for route in rules if route.gone_at is not None]
            is_back = any(route.left_by == agent for route in gone)
            if gone and not is_back and not any(route.is_served_by(agent) for route in rules):
                found += [route for route in gone if route.path]
        return found

    def _forget_withdrawn(self, routes: Collection[Route]) -> None:
        """
        Forget the rules without a tunnel that were last served by an agent which still serves their hostname.

        That agent took them back, so their paths belong to its other rules. A rule of an agent that is gone stays.
        """
        for hostname in {route.hostname for route in routes}:
            rules = self._rules(hostname)
            for route in [route for route in rules if route.gone_at is not None]:
                if any(other.is_served_by(route.left_by) for other in rules):
                    self._forget(route)

    def _table_of(self, hostname: str) -> tuple[dict[str, list[Route]], str]:
        return (self._wild, hostname[1:]) if hostname.startswith("*.") else (self._exact, hostname)

    def _forget(self, route: Route) -> None:
        table, key = self._table_of(route.hostname)
        routes = table[key]
        routes.remove(route)
        self._gone.pop(route, None)
        self._gone_rules.pop(route, None)
        if not routes:
            del table[key]
            self._longest.pop(route.hostname, None)
            self._metrics.forget_hostname(route.hostname)
        elif route.path:
            self._measure(route.hostname, routes)
