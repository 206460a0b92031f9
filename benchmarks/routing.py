"""
`python -m benchmarks.routing`: what a split, a guard and a limit of requests cost a request, in memory.

From the route to a stream of a tunnel and back: without a split; where agents say how many requests their origins take
at once, with places free, and where each request waits for one; with a split of two shares over four agents, counted
as a request that is over is, and for a guard as well; with testers, or a mirror; with visitors that keep to their share
by a cookie (which they bring, or get), or by their address. Processor time, the best of some rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from benchmarks.layout import table
from benchmarks.policy import microseconds
from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_twisted.edge.exchange.answer import Answer
from warp_twisted.edge.exchange.steering import Steering
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.members import AtLimit
from warp_twisted.edge.routes.route import Route
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.http1.forwarding import Forwarding
from warp_twisted.http1.limits import HeadLimits
from warp_twisted.http1.request import RequestHead, RequestReader
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.policy.visitor import Visitor
from warp_twisted.routing.cookies import CookieKeys
from warp_twisted.routing.table import RoutingTable
from warp_twisted.wire.control import RouteOffer

HOSTNAME = "app.warp.example"
COOKIE = b"warp_route"
SPLIT = "split: [{selector: release=stable, weight: 90}, {selector: release=canary, weight: 10}]"
MIRROR = "mirror: {selector: release=next, percent: 0.01}"
TESTERS = "testers: {header: X-Release, sources: [192.0.2.0/24]}"


class _Stream:
    """What is asked of a stream that is kept for the next request."""

    peer_heard = True
    receiver: object = None

    def reset(self) -> None:
        """Nothing was open."""


@dataclass(eq=False)
class _Tunnel:
    """What is asked of a tunnel."""

    id: str
    agent: str
    labels: dict[str, str]
    via = ""
    protocol: Any = field(
        default_factory=lambda: SimpleNamespace(open_route=lambda route, receiver, data=b"": _Stream(), heard_at=0.0)
    )


class Path:
    """
    A hostname that four agents serve, of which one is the canary.

    :param unhealthy: of how many of them the origin is not healthy by its probes.
    :param max_requests: that each origin takes at once; 0: as many as come.
    :param counts: whether a request is counted as one that is over is.
    """

    def __init__(self, routing: str, unhealthy: int = 0, *, max_requests: int = 0, counts: bool = False) -> None:
        self._counts = counts
        self.table = RouteTable(DataPathMetrics())
        for number in range(4):
            tunnel = _Tunnel(f"t-{number}", f"agent-{number}", {"release": "stable" if number else "canary"})
            self.table.add(tunnel, [RouteOffer(id=0, hostname=HOSTNAME, max_requests=max_requests)])
            if number < unhealthy:
                self.table.report(tunnel, HOSTNAME, "", "it answers 500")
        self.table.splitting.use_cookie_keys(CookieKeys([(1, b"k" * 32)]))
        entry = f"{{hostname: {HOSTNAME}, {routing}}}" if routing else ""
        for _ in self.table.splitting.follow(
            RoutingTable(parse_policy(f"routing: [{entry}]", "policy").routing), self.table.routes
        ):
            pass
        shared = SimpleNamespace(routes=self.table, wall=MACHINE_WALL_CLOCK)
        self.visitor: Any = SimpleNamespace(visitors=shared, network="198.51.100.7", scheme="https")
        self.visitor.source = Visitor("198.51.100.7", "198.51.100.7")
        self.receiver: Any = SimpleNamespace(network="198.51.100.7")
        (self.route,) = self.table.routes
        self.served: Any = None

    def head(self, cookie: bytes) -> RequestHead:
        """Return a browser's request, with a cookie beside the application's own."""
        lines = (
            f"GET /1k HTTP/1.1\r\nHost: {HOSTNAME}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
            "Accept: text/html,application/xhtml+xml;q=0.9\r\nAccept-Language: en\r\nAccept-Encoding: gzip, br\r\n"
        )
        text = b"%bCookie: session=0123456789abcdef%b\r\n\r\n" % (lines.encode(), cookie)
        head = RequestReader(HeadLimits(), Forwarding("198.51.100.7", "https")).read(text)
        assert head is not None
        return head

    def ask(self, head: RequestHead) -> Answer:
        """Do what an exchange does from the route to the stream's return."""
        route: Route = self.route
        answer = Answer(self.visitor, head, b"0")
        if route.splits is None:
            origin = route.borrow(self.receiver)
        else:
            split = route.splits.only or route.splits.for_hostname(HOSTNAME)
            assert split is not None
            steering = Steering(split, self.visitor, self.visitor, head, answer)
            origin = steering.borrow(self.receiver)
            if steering.shadow is not None:
                steering.shadow.is_due(head.method, has_body=bool(head.fields.length or head.fields.upgrade))
            if self._counts and steering.share is not None:
                steering.share.counters.count(200, 0.012)
        self._give_back(origin)
        return answer

    def fill(self) -> None:
        """Have requests at every origin, as many as it takes."""
        with suppress(AtLimit):
            while True:
                self.served = self.route.borrow(self.receiver)

    def ask_in_turn(self, head: RequestHead) -> None:
        """Do what an exchange does from the route to the stream's return, where it waits until another one is over."""
        before = self.served
        assert self.route.queue is not None
        try:
            self.route.borrow(self.receiver)
        except AtLimit as limit:
            self.route.queue.add(self, limit.members)
        self._give_back(before)

    @property
    def network(self) -> str:
        """Of who waits."""
        return "198.51.100.7"

    def place_due(self) -> None:
        """It is its turn."""
        self.served = self.route.borrow(self.receiver)

    def turned_away(self) -> None:
        """Nobody else waits."""

    @staticmethod
    def _give_back(origin: Any) -> None:
        origin.is_opened = True
        origin.stream.peer_heard = True
        origin.release(1.0)


def measured(times: int = 20_000) -> list[tuple[str, float]]:
    """Return what was measured, and the processor time of a request in microseconds."""
    sticky = f"{SPLIT}, sticky: {{cookie: {COOKIE.decode()}}}"
    kept = Path(sticky)
    brought = b"; " + kept.ask(kept.head(b"")).own_lines.partition(b": ")[2].partition(b";")[0]
    found = []
    full = Path("", max_requests=1)
    full.fill()
    guarded = f"{SPLIT}, guard: {{selector: release=canary, p99: 1.5x}}"
    for name, path, cookie in (
        ("no split", Path(""), b""),
        ("no split, one of four origins not healthy", Path("", 1), b""),
        ("no split, no origin healthy: one is tried", Path("", 4), b""),
        ("an entry without a split", Path("when_all_unhealthy: 503"), b""),
        ("no split, max_requests, with places free", Path("", max_requests=100), b""),
        ("no split, max_requests, waiting for a place", full, b""),
        ("a split of two shares", Path(SPLIT), b""),
        ("a split, with what counts its shares", Path(SPLIT, counts=True), b""),
        ("a split, with what counts them for a guard", Path(guarded, counts=True), b""),
        ("a split, the canary not healthy", Path(SPLIT, 1), b""),
        ("a split, visitors kept by a cookie", kept, brought),
        ("a split that has testers, who do not ask", Path(f"{SPLIT}, {TESTERS}"), b""),
        ("a split that has a mirror, no copy due", Path(f"{SPLIT}, {MIRROR}"), b""),
        ("a split, new visitors that get a cookie", Path(sticky), b""),
        ("a split, visitors kept by their address", Path(f"{SPLIT}, sticky: {{address: true}}"), b""),
    ):
        head = path.head(cookie)

        asking = path.ask_in_turn if path is full else path.ask

        def ask(ask: Callable[[RequestHead], object] = asking, head: RequestHead = head) -> object:
            return ask(head)

        found.append((name, microseconds(ask, times)))
    return found


def main() -> None:
    """Measure and print."""
    found = measured()
    base = found[0][1]
    rows = [[name, f"{value:.2f}", f"{value - base:.2f}"] for name, value in found]
    print(table([["from the route to a stream", "µs CPU a request", "more than without"], *rows]))


if __name__ == "__main__":
    main()
