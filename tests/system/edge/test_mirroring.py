"""
Tests of copies to a shadow through real sockets: exact counts, and visitors who notice nothing of a shadow in trouble.

More requests: `WARP_MIRROR_REQUESTS=20000 python -m twisted.trial tests.system.edge.test_mirroring`.
"""

import os
import re
from collections.abc import Callable
from time import perf_counter

from twisted.internet.defer import Deferred, gatherResults

from tests.system.edge.harness import OriginConnection, RawConnection, RawOrigin, answer_each, get
from tests.system.edge.test_proxying import EdgeTestCase
from warp_twisted.edge.exchange.mirroring import COPIES, SECONDS
from warp_twisted.edge.routes.mirror_counters import MirrorCounters, Unanswered
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.routing.table import RoutingTable
from warp_twisted.wire.control import RouteOffer

REQUESTS = int(os.environ.get("WARP_MIRROR_REQUESTS", "2000"))
CONNECTIONS = 10
OFFERS = [RouteOffer(id=0, hostname="app.example")]
_ID = re.compile(rb"\r\nX-Request-Id: ([^\r]+)\r\n")


class MirrorTestCase(EdgeTestCase):
    """An edge with an agent for visitors, and a shadow whose origin is the test's."""

    timeout = 60 if REQUESTS <= 2_000 else 600

    async def prepare(self) -> None:
        await super().prepare()
        self.edge.origin.answer = answer_each()

    async def add_shadow(self, answer: Callable[[OriginConnection], None]) -> RawOrigin:
        """Add the shadow; return its origin."""
        origin = RawOrigin()
        origin.answer = answer
        port = await self.edge.listen(origin)
        await self.edge.add_tunnel(OFFERS, "shadow", {"release": "next"}, port)
        return origin

    def use(self, percent: float) -> None:
        """Copy a part of the requests."""
        mirror = f", mirror: {{selector: release=next, percent: {percent}}}"
        split = "{selector: '!release', weight: 1}"
        routing = RoutingTable(
            parse_policy(f"routing: [{{hostname: app.example, split: [{split}]{mirror}}}]", "p").routing
        )
        for _ in self.edge.table.splitting.follow(routing, self.edge.table.routes):
            pass

    @property
    def counters(self) -> MirrorCounters:
        """What is counted of the mirror."""
        return self.edge.metrics.mirrors.of("app.example")

    async def ask(self, client: RawConnection, count: int) -> list[float]:
        """Ask some times, one after the other, on one connection; return how long each took."""
        took = []
        for _ in range(count):
            began = perf_counter()
            client.send(get(b"/"))
            await client.when(lambda: client.received.endswith(b"\r\n\r\nok"))
            took.append(perf_counter() - began)
            self.assertTrue(client.take().startswith(b"HTTP/1.1 200 "))
        return took

    async def ask_all(self, count: int) -> list[float]:
        """Ask on some connections; return how long each request took, the shortest first."""
        clients = [await self.edge.visitor() for _ in range(CONNECTIONS)]
        asking = [Deferred.fromCoroutine(self.ask(client, count // CONNECTIONS)) for client in clients]
        took = await gatherResults(asking)
        for client in clients:
            client.close()
        return sorted(seconds for each in took for seconds in each)


class CountsTests(MirrorTestCase):
    """How many copies."""

    async def test_exact(self) -> None:
        """A tenth of the requests is copied, exactly within a few, each once, and answered on few connections."""
        origin = await self.add_shadow(answer_each())
        self.use(10)
        await self.ask_all(REQUESTS)
        await self.edge.until(lambda: not self.counters.under_way)
        self.assertLess(abs(self.counters.copies - REQUESTS / 10), 4)
        self.assertEqual(self.counters.by_class[2], self.counters.copies)
        seen = origin.seen
        ids = _ID.findall(seen)
        self.assertEqual((len(ids), len(set(ids))), (self.counters.copies,) * 2)
        self.assertEqual(seen.count(b"\r\nWarp-Mirror: 1\r\n"), self.counters.copies)
        self.assertNotIn(b"Warp-Mirror", self.edge.origin.seen)
        self.assertLessEqual(len(origin.connections), 2 * CONNECTIONS)
        share = self.edge.metrics.shares.of("app.example", "!release")
        self.assertEqual((share.requests, share.by_class[2]), (REQUESTS, REQUESTS))
        lines = [line for line in self.edge.access_lines() if b'"mirror":"release=next"' in line]
        self.assertEqual(len(lines), self.counters.copies)


class TroubleTests(MirrorTestCase):
    """A shadow in trouble."""

    async def compare(self, answer: Callable[[OriginConnection], None]) -> MirrorCounters:
        """Hold what visitors wait with a copy of each request against what they wait without; return the counters."""
        origin = await self.add_shadow(answer)
        count, rounds = min(REQUESTS, 900), 3
        self.use(100)
        counters = self.counters
        medians: dict[float, list[float]] = {0.01: [], 100: []}
        for _ in range(rounds):  # in turns, as the machine has other work, too
            for percent in (100, 0.01):
                self.use(percent)
                took = await self.ask_all(count // rounds)
                medians[percent].append(took[len(took) // 2])
                self.assertLess(took[-1], SECONDS / 2)
        # Copies, their agent and origin take this process's time; a shadow that holds somebody up takes seconds.
        self.assertLess(min(medians[100]), 8 * min(medians[0.01]) + 0.02)
        self.assertLess(abs(counters.copies - count), 4)
        self.assertLessEqual(counters.under_way, COPIES)
        share = self.edge.metrics.shares.of("app.example", "!release")
        self.assertEqual(share.by_class[2], share.requests)
        self.assertEqual((self.edge.metrics.ejections, self.edge.metrics.retries), (0, 0))
        self.assertGreater(len(origin.connections), 0)
        return counters

    async def test_silent(self) -> None:
        """Of a shadow that never answers as many copies wait as may, and the others are dropped."""
        counters = await self.compare(lambda connection: None)
        self.assertGreater(counters.unanswered[Unanswered.BUSY], 0)
        waited = counters.under_way + counters.unanswered[Unanswered.LATE]
        self.assertEqual(waited + counters.unanswered[Unanswered.BUSY], counters.copies)

    async def test_broken(self) -> None:
        """A shadow that answers 500 is counted, and nothing is ejected or judged by it."""
        counters = await self.compare(answer_each(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))
        self.assertGreater(counters.by_class[5], 0)

    async def test_dead(self) -> None:
        """A shadow that cuts each connection costs its copies alone."""
        await self.compare(lambda connection: connection.abort())

    async def test_slow(self) -> None:
        """A shadow that answers a byte now and then is slow by itself."""
        counters = await self.compare(lambda connection: connection.send(b"HTTP/1.1 200 OK\r\nContent-Le"))
        self.assertEqual(counters.requests, 0)
