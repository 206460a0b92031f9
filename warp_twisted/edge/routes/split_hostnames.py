"""
How the requests of this edge's hostnames are split now: by which policy, and with which keys visitors are kept.

A policy is followed route by route, in short steps: what a route has of it is put in place in one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from weakref import WeakSet

from warp_twisted.edge.routes.mirror_counters import MirrorCounters, MirrorMetrics
from warp_twisted.edge.routes.route import Route
from warp_twisted.edge.routes.share_counters import ShareCounters, ShareMetrics
from warp_twisted.edge.routes.splitting import RouteSplit
from warp_twisted.routing.cookies import CookieKeys
from warp_twisted.routing.split import Split
from warp_twisted.routing.table import RoutingTable

FOLLOWED_IN_A_STEP = 16  # some 0.3 ms, where each has a split and few tunnels
LOOKED_AT = 200  # routes of a pattern that stands for many hostnames: some 0.2 ms


class SplitHostnames:
    """
    What all routes have in common.

    :param metrics: counts each share.
    :param mirrors: counts each mirror.
    :ivar shifted_of: returns how a split differs from the policy's now, as of `Split.shifted`.
    :ivar taken_of: returns which share of a split was taken back, as of `Split.taken`.
    :ivar replaced: called with the splits of the policy before and of the new one, by hostname, before the new holds.
    :ivar cookie_keys: which sign the cookies of visitors that keep to their share; None: nobody can.
    """

    def __init__(self, metrics: ShareMetrics, mirrors: MirrorMetrics | None = None) -> None:
        self._metrics = metrics
        self._mirrors = mirrors or MirrorMetrics()
        self.cookie_keys: CookieKeys | None = None
        self.shifted_of: Callable[[Split], tuple[int, int] | None] = lambda split: None
        self.taken_of: Callable[[Split], tuple[int, int] | None] = lambda split: None
        self.replaced: Callable[[Mapping[str, Split], Mapping[str, Split]], object] = lambda before, after: None
        self._routing = RoutingTable()
        self._users: dict[Split, WeakSet[RouteSplit]] = {}

    @property
    def splits(self) -> Mapping[str, Split]:
        """The splits of the policy, by hostname or pattern."""
        return self._routing.by_hostname

    def users_of(self, split: Split) -> Sequence[RouteSplit]:
        """Return what groups the tunnels of routes by a split."""
        return list(self._users.get(split, ()))

    def some_users_of(self, split: Split) -> Sequence[RouteSplit]:
        """Return as many of them as are looked at to describe or judge the split."""
        return list(islice(self._users.get(split, ()), LOOKED_AT))

    def counted(self, split: Split) -> Sequence[ShareCounters]:
        """Return what is counted of each share."""
        return [self._metrics.of(split.hostname, selector) for selector in split.names]

    @property
    def keeps_by_cookie(self) -> bool:
        """Whether the visitors of any hostname keep to their share by a cookie."""
        return any(split.cookie is not None for split in self._routing.splits)

    def use_cookie_keys(self, keys: CookieKeys | None) -> None:
        """Sign and read cookies with these keys."""
        self.cookie_keys = keys

    def begin(self, route: Route) -> None:
        """Split the requests of a route that is new."""
        route.use_splits(self._routing.covering(route.hostname), self)

    def is_judged(self, split: Split) -> bool:
        """Return whether the shares of a guarded split are counted apart from others, so that they can be judged."""
        return all(map(self._metrics.is_apart, self.counted(split)))

    def counters_of(self, hostname: str, selector: str) -> ShareCounters:
        """See `SplitUse`."""
        return self._metrics.of(hostname, selector)

    def mirror_counters_of(self, hostname: str) -> MirrorCounters:
        """See `SplitUse`."""
        return self._mirrors.of(hostname)

    def began(self, split: RouteSplit) -> None:
        """See `SplitUse`."""
        self._users.setdefault(split.split, WeakSet()).add(split)

    def arrange(self, hostname: str) -> None:
        """Lay the shares of a hostname or pattern out again, as its shift or its guard's verdict has changed."""
        split = self.splits.get(hostname)
        if split is None:
            return
        shifted, taken = self.shifted_of(split), self.taken_of(split)
        if (shifted, taken) != (split.shifted, split.taken):
            split.shifted, split.taken = shifted, taken
            for each in self.users_of(split):
                each.arrange()

    def follow(self, routing: RoutingTable, routes: Sequence[Route]) -> Iterator[None]:
        """
        Split requests as a policy says.

        :param routes: that there are; those to come `begin`.
        :returns: steps, each of which some routes follow.
        """
        self.replaced(self.splits, routing.by_hostname)
        self._routing = routing
        self._users = {}
        for split in routing.splits:
            split.shifted, split.taken = self.shifted_of(split), self.taken_of(split)
        known = routing.by_hostname
        self._metrics.keep(lambda hostname, selector: hostname in known and selector in known[hostname].names)
        self._mirrors.keep({split.hostname for split in routing.splits if split.mirror is not None})
        guarded = [split for split in routing.splits if split.guarded is not None]
        for split in guarded:
            self.counted(split)  # made before the others, so that they are counted apart
        self._metrics.count_finely({split.hostname for split in guarded})
        return self._following(routing, routes)

    def _following(self, routing: RoutingTable, routes: Sequence[Route]) -> Iterator[None]:
        for at, route in enumerate(routes):
            if self._routing is not routing:
                return  # a later one is followed
            self.begin(route)
            if at % FOLLOWED_IN_A_STEP == 0:
                yield
