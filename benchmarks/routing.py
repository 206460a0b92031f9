"""
`python -m benchmarks.routing`: what a split costs a request, in memory.

From the route to a stream of a tunnel and back: without a split; with one of two shares over four agents, also one that
has testers, or a mirror; with visitors that keep to theirs by a cookie (which they bring, or get), or by their address.
Processor time, the best of some rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from benchmarks.layout import table
from benchmarks.policy import microseconds
from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_twisted.edge.exchange.answer import Answer
from warp_twisted.edge.exchange.steering import Steering
from warp_twisted.edge.routes.counters import DataPathMetrics
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
    protocol: Any = field(
        default_factory=lambda: SimpleNamespace(open_route=lambda route, receiver, data=b"": _Stream(), heard_at=0.0)
    )


class Path:
    """
    A hostname that four agents serve, of which one is the canary.

    :param unhealthy: of how many of them the origin is not healthy by its probes.
    """

    def __init__(self, routing: str, unhealthy: int = 0) -> None:
        self.table = RouteTable(DataPathMetrics())
        for number in range(4):
            tunnel = _Tunnel(f"t-{number}", f"agent-{number}", {"release": "stable" if number else "canary"})
            self.table.add(tunnel, [RouteOffer(id=0, hostname=HOSTNAME)])
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
        self.receiver: Any = object()
        (self.route,) = self.table.routes

    def head(self, cookie: bytes) -> RequestHead:
        """Return a browser's request, with a cookie beside the application's own."""
        lines = (
            f"GET /1k HTTP/1.1\r\nHost: {HOSTNAME}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
            "Accept: text/html,application/xhtml+xml;q=0.9\r\nAccept-Language: en\r\nAccept-Encoding: gzip, br\r\n"
        )
        text = b"%bCookie: session=0123456789abcdef%b\r\n\r\n" % (lines.encode(), cookie)
        head = RequestReader(HeadLimits(), Forwarding("198.51.100.7", "https", via="")).read(text)
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
        origin.is_opened = True
        origin.stream.peer_heard = True
        origin.release(1.0)
        return answer


def measured(times: int = 20_000) -> list[tuple[str, float]]:
    """Return what was measured, and the processor time of a request in microseconds."""
    sticky = f"{SPLIT}, sticky: {{cookie: {COOKIE.decode()}}}"
    kept = Path(sticky)
    brought = b"; " + kept.ask(kept.head(b"")).own_lines.partition(b": ")[2].partition(b";")[0]
    found = []
    for name, path, cookie in (
        ("no split", Path(""), b""),
        ("no split, one of four origins not healthy", Path("", 1), b""),
        ("no split, no origin healthy: one is tried", Path("", 4), b""),
        ("an entry without a split", Path("when_all_unhealthy: 503"), b""),
        ("a split of two shares", Path(SPLIT), b""),
        ("a split, the canary not healthy", Path(SPLIT, 1), b""),
        ("a split, visitors kept by a cookie", kept, brought),
        ("a split that has testers, who do not ask", Path(f"{SPLIT}, {TESTERS}"), b""),
        ("a split that has a mirror, no copy due", Path(f"{SPLIT}, {MIRROR}"), b""),
        ("a split, new visitors that get a cookie", Path(sticky), b""),
        ("a split, visitors kept by their address", Path(f"{SPLIT}, sticky: {{address: true}}"), b""),
    ):
        head = path.head(cookie)

        def ask(ask: Callable[[RequestHead], object] = path.ask, head: RequestHead = head) -> object:
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
