"""Tests of an origin that takes only so many requests at once, with a slow real origin and many visitors."""

from collections import Counter
from time import monotonic

from twisted.internet.defer import Deferred, gatherResults

from tests.case import reactor
from tests.system.edge.harness import OK, OriginConnection, RawConnection, get, status_of
from tests.system.edge.test_proxying import EdgeTestCase
from warp_twisted.edge.routes.limits import VisitorLimits, VisitorTimeouts
from warp_twisted.wire.control import RouteOffer

MOST = 10
VISITORS = 200
GREEDY = "127.0.9.9"


class QueueingTests(EdgeTestCase):
    """An origin that answers after a while, and takes ten requests at once."""

    timeout = 60
    work_seconds = 0.4  # of the origin, for each request
    limits = VisitorLimits(queued_requests=100)
    timeouts = VisitorTimeouts(tick=0.05, queued=30.0)

    async def prepare(self) -> None:
        await super().prepare()
        self.now = self.most = 0
        self.origin.answer = self.answer
        (tunnel,) = self.edge.tunnels
        self.edge.table.add(tunnel, [RouteOffer(id=0, hostname="app.example", max_requests=MOST)])
        self.statuses: dict[str, Counter[int]] = {}
        self.seconds: dict[str, float] = {}

    def answer(self, connection: OriginConnection) -> None:
        """Work on a request."""
        if connection.received.endswith(b"\r\n\r\n"):
            self.now += 1
            self.most = max(self.most, self.now)
            reactor.callLater(self.work_seconds, self.done, connection)

    def done(self, connection: OriginConnection) -> None:
        """Answer it."""
        self.now -= 1
        if not connection.is_lost:
            connection.send(OK)

    async def ask(self, client: RawConnection, address: str) -> None:
        """Ask once, and note what came of it."""
        began = monotonic()
        client.send(get())
        await client.when(lambda: client.received.count(b"\r\n\r\n") > 0)
        status = status_of(client.take())
        self.statuses.setdefault(address, Counter())[status] += 1
        self.seconds[address] = max(self.seconds.get(address, 0.0), monotonic() - began)

    async def test_crowd(self) -> None:
        """
        200 visitors at once, and one with 150 requests before them: the origin never sees more than ten.

        Who finds the queue full hears so at once. All others are served, the 150 of one only after them.
        """
        greedy = [await self.edge.visitor(address=GREEDY) for _ in range(150)]
        others = {f"127.0.1.{number}": await self.edge.visitor(address=f"127.0.1.{number}") for number in range(1, 51)}
        asking = [Deferred.fromCoroutine(self.ask(client, GREEDY)) for client in greedy]
        await self.edge.until(lambda: self.edge.metrics.queued_now >= 100)
        turned_away = self.statuses.get(GREEDY, Counter())[503]
        self.assertLess(self.seconds.get(GREEDY, 0.0), self.work_seconds)
        asking += [Deferred.fromCoroutine(self.ask(client, address)) for address, client in others.items()]
        await gatherResults(asking)
        self.assertEqual(self.most, MOST)
        served = [statuses for address, statuses in self.statuses.items() if address != GREEDY]
        self.assertEqual(served, [Counter({200: 1})] * len(others))
        # Fifty visitors have the ten places in six rounds at most, whoever else waits.
        self.assertLess(max(self.seconds[address] for address in others), 8 * self.work_seconds + 1.0)
        self.assertGreater(self.statuses[GREEDY][503], turned_away)  # some made room
        self.assertGreater(self.statuses[GREEDY][200], MOST)
        reasons = {refusal.slug: count for refusal, count in self.edge.metrics.refusals.items()}
        self.assertEqual(reasons, {"queue-full": self.statuses[GREEDY][503]})
        self.assertEqual((self.edge.metrics.queued_now, self.now), (0, 0))

    async def test_visitors(self) -> None:
        """Of 200 visitors, each from an address of its own, ten are served, a hundred wait, and the rest hears 503."""
        clients = {
            f"127.0.2.{number}": await self.edge.visitor(address=f"127.0.2.{number}") for number in range(1, 201)
        }
        await gatherResults([Deferred.fromCoroutine(self.ask(each, address)) for address, each in clients.items()])
        total = sum(self.statuses.values(), Counter[int]())
        self.assertEqual((self.most, total[200], total[503]), (MOST, MOST + 100, VISITORS - MOST - 100))
        refused = [self.seconds[address] for address, statuses in self.statuses.items() if statuses[503]]
        self.assertLess(max(refused), self.work_seconds * 2)
