"""
Tests of split hostnames through real sockets: exact parts, over requests and over visitors.

The whole proof, 20,000 requests and 2,000 visitors of 20 requests, takes a minute:
`WARP_SPLIT_REQUESTS=20000 WARP_SPLIT_VISITORS=2000 python -m twisted.trial tests.system.edge.test_splitting`.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred, gatherResults

from tests.case import reactor
from tests.system.edge.harness import OriginConnection, RawConnection, RawOrigin, get
from tests.system.edge.test_proxying import EdgeTestCase
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.routing.cookies import CookieKeys
from warp_twisted.routing.table import RoutingTable
from warp_twisted.wire.control import RouteOffer

REQUESTS = int(os.environ.get("WARP_SPLIT_REQUESTS", "3000"))
VISITORS = int(os.environ.get("WARP_SPLIT_VISITORS", "200"))
EACH = 20 if VISITORS >= 2_000 else 4  # requests of a visitor
CONNECTIONS = 12
OFFERS = [RouteOffer(id=0, hostname="app.example")]
SPLIT = "{selector: release=stable, weight: %d}, {selector: release=canary, weight: %d}"
_SERVED = re.compile(rb"\r\nX-Agent: ([^\r]+)\r\n")
_COOKIE = re.compile(rb"\r\nSet-Cookie: (warp_route=[^;]+);")


class SplitTestCase(EdgeTestCase):
    """An edge whose agents have origins of their own, which say whose they are."""

    timeout = 20 if REQUESTS <= 5_000 else 300

    async def prepare(self) -> None:
        await super().prepare()
        self.edge.table.splitting.use_cookie_keys(CookieKeys([(1, b"k" * 32)]))

    async def add(self, agent: str, release: str, delay: float = 0.0) -> None:
        """Add an agent with an origin that answers after some time."""
        origin = RawOrigin()
        origin.answer = _answering(agent, delay)
        port = await self.edge.listen(origin)
        await self.edge.add_tunnel(OFFERS, agent, {"release": release}, port)

    def remove(self, agent: str) -> None:
        """Take an agent's tunnel out."""
        (tunnel,) = [each for each in self.edge.tunnels if each.agent == agent]
        self.edge.table.remove(tunnel)

    def use(self, stable: int, canary: int, more: str = "") -> None:
        """Put a policy in force."""
        text = f"routing: [{{hostname: app.example, split: [{SPLIT % (stable, canary)}]{more}}}]"
        routing = RoutingTable(parse_policy(text, "p").routing)
        for _ in self.edge.table.splitting.follow(routing, self.edge.table.routes):
            pass

    async def ask(self, client: RawConnection, count: int, cookie: bytes = b"") -> list[tuple[str, bytes]]:
        """Ask some times, one after the other, on one connection; return agent and new cookie of each answer."""
        lines = [b"Cookie: " + cookie] if cookie else []
        found = []
        for _ in range(count):
            client.send(get(b"/", *lines))
            await client.when(lambda: client.received.endswith(b"\r\n\r\nok"))
            answer = client.take()
            served, kept = _SERVED.search(answer), _COOKIE.search(answer)
            assert served is not None, answer
            found.append((served[1].decode(), kept[1] if kept is not None else b""))
        return found


def _answering(agent: str, delay: float) -> Callable[[OriginConnection], None]:
    response = b"HTTP/1.1 200 OK\r\nX-Agent: %b\r\nContent-Length: 2\r\n\r\nok" % agent.encode()
    answered: dict[OriginConnection, int] = {}

    def answer(connection: OriginConnection) -> None:
        done = answered.get(connection, 0)
        answered[connection] = complete = connection.received.count(b"\r\n\r\n")
        for _ in range(complete - done):
            if delay:
                reactor.callLater(delay, connection.send, response)
            else:
                connection.send(response)

    return answer


class RequestsTests(SplitTestCase):
    """Parts of requests."""

    async def test_exact(self) -> None:
        """90/10 is exact within a few on keep-alive connections, over agents of unequal speed; none starves."""
        await self.add("fast", "stable")
        await self.add("slow", "stable", 0.005)
        await self.add("canary", "canary", 0.002)
        self.use(90, 10)
        clients = [await self.edge.visitor() for _ in range(CONNECTIONS)]
        asking = [Deferred.fromCoroutine(self.ask(client, REQUESTS // CONNECTIONS)) for client in clients]
        served = Counter(agent for each in await gatherResults(asking) for agent, _ in each)
        total = sum(served.values())
        self.assertLess(abs(served["canary"] - total / 10), 20, served)
        self.assertNotIn("agent-1", served)  # whose labels no share wants
        self.assertGreater(served["fast"], served["slow"])
        self.assertGreater(served["slow"], total / 50)
        # The streams to origins are used again, as without a split.
        self.assertLessEqual(sum(len(tunnel.stub.opened) for tunnel in self.edge.tunnels), 3 * CONNECTIONS)
        counted = self.edge.metrics.shares.of("app.example", "release=canary")
        self.assertEqual(counted.by_class[2], served["canary"])
        lines = [line for line in self.edge.access_lines() if b'"share":"release=canary"' in line]
        self.assertEqual(len(lines), served["canary"])


class VisitorsTests(SplitTestCase):
    """Parts of visitors."""

    async def visit(self, cookies: Mapping[int, bytes]) -> dict[int, tuple[str, bytes]]:
        """Let every visitor ask some times, each with what it has; return the agent, and the cookie at the end."""
        found: dict[int, tuple[str, bytes]] = {}

        async def some(numbers: range) -> None:
            client = await self.edge.visitor()
            for number in numbers:
                cookie = cookies.get(number, b"")
                agents = set()
                for _ in range(EACH):
                    ((agent, new),) = await self.ask(client, 1, cookie)
                    cookie = new or cookie
                    agents.add(agent)
                self.assertEqual(len(agents), 1)  # it stays where it was drawn
                found[number] = agents.pop(), cookie
            client.close()

        size = VISITORS // CONNECTIONS + 1
        parts = [range(at, min(at + size, VISITORS)) for at in range(0, VISITORS, size)]
        await gatherResults([Deferred.fromCoroutine(some(part)) for part in parts])
        return found

    async def test_visitors(self) -> None:
        """
        90/10 of the visitors, who stay whoever joins; one that leaves moves its own; from 10 to 25 %, 15 % move.
        """
        for agent in ("stable-1", "stable-2"):
            await self.add(agent, "stable")
        await self.add("canary", "canary")
        self.use(90, 10, ", sticky: {cookie: warp_route}")
        first = await self.visit({})
        share = Counter(agent.split("-")[0] for agent, _ in first.values())
        self.assertLess(abs(share["canary"] - VISITORS / 10), 6, share)

        await self.add("stable-3", "stable")
        self.remove("stable-2")
        second = await self.visit({number: cookie for number, (_, cookie) in first.items()})
        moved = [(first[number][0], second[number][0]) for number in first if first[number][0] != second[number][0]]
        self.assertEqual({old for old, _ in moved}, {"stable-2"})
        self.assertLessEqual({new for _, new in moved}, {"stable-1", "stable-3"})

        self.use(75, 25, ", sticky: {cookie: warp_route}")
        third = await self.visit({number: cookie for number, (_, cookie) in second.items()})
        moved = [(second[number][0], third[number][0]) for number in second if second[number][0] != third[number][0]]
        self.assertEqual({new for _, new in moved}, {"canary"})
        self.assertLess(abs(len(moved) - VISITORS * 0.15), 6)
