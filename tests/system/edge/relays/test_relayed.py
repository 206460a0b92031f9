"""What visitors of an edge see that relays all requests to another one: what they would see of a tunnel of its own."""

import json

from tests.system.edge import test_half_close, test_proxying, test_surplus
from tests.system.edge.harness import HOSTNAME, OK, RawOrigin, answer_each, get, status_of
from tests.system.edge.relays.harness import RelayedHarness, cut
from warp_twisted.wire.control import RouteOffer


class RelayedRequestTests(test_proxying.RequestTests):
    """Requests."""

    harness = RelayedHarness


class RelayedResponseTests(test_proxying.ResponseTests):
    """Answers: bulk, event streams, slow visitors, ends."""

    harness = RelayedHarness


class RelayedUpgradeTests(test_proxying.UpgradeTests):
    """WebSockets."""

    harness = RelayedHarness


class RelayedHalfCloseTests(test_half_close.RequestTests):
    """Visitors that close their sending side."""

    harness = RelayedHarness


class RelayedHalfCloseOfUpgradedTests(test_half_close.UpgradedTests):
    """The same after an upgrade: each direction ends by itself."""

    harness = RelayedHarness


class RelayedSurplusTests(test_surplus.SurplusTests):
    """The guard against answers that nobody asked for."""

    harness = RelayedHarness


class RelayTests(test_proxying.EdgeTestCase):
    """What is of relays only."""

    edge: RelayedHarness
    harness = RelayedHarness

    async def beside(self) -> None:
        """Let another agent, with an origin of its own, serve the hostname at the visitors' edge."""
        other = RawOrigin()
        other.answer = answer_each(OK.replace(b"ok", b"2d"))
        tunnel = await self.edge.dial_tunnel("agent-2", {}, await self.edge.listen(other))
        self.edge.table.add(tunnel, [RouteOffer(id=0, hostname=HOSTNAME)])

    async def test_accounts(self) -> None:
        """The visitors' edge logs each request with the other edge's name; that one counts by the relaying edge's."""
        self.origin.answer = answer_each()
        client = await self.edge.visitor()
        for _ in range(3):
            client.send(get())
            await client.until(b"ok")
            client.take()
        lines = [json.loads(line) for line in self.edge.access_lines()]
        self.assertEqual(
            [(line["via"], line["agent"], line["status"]) for line in lines], [("edge-2", "agent-1", 200)] * 3
        )
        counted = self.edge.counters.of("edge-1")
        self.assertEqual((counted.streams, counted.now, counted.refused), (1, 1, 0))
        self.assertEqual(counted.bytes_in, len(self.origin.seen))

    async def test_head_as_written(self) -> None:
        """The origin gets the visitor's address and the request's id from the edge that the visitor came to."""
        origin = await self.at_origin(get(b"/", b"X-Forwarded-For: 203.0.113.9", b"X-Request-Id: forged"))
        self.assertIn(b"X-Forwarded-For: 127.0.0.1\r\n", origin.received)
        self.assertNotIn(b"203.0.113.9", origin.received)
        origin.send(OK)
        await self.client.until(b"ok")
        (line,) = self.edge.access_lines()
        self.assertIn(json.loads(line)["id"].encode(), origin.received)

    async def test_host_of_the_route(self) -> None:
        """The visitors' edge tells the origin the Host that its route asks for, and maps its answer back."""
        offer = RouteOffer(id=0, hostname=HOSTNAME, host_header="localhost:3000", own_scheme="http")
        remote = self.edge.remotes["agent-1"]
        self.edge.table.add(remote, remote.offers([offer]))
        origin = await self.at_origin(get(b"/"))
        self.assertIn(b"\r\nHost: localhost:3000\r\n", origin.received)
        self.assertIn(b"\r\nX-Forwarded-Host: app.example\r\n", origin.received)
        origin.send(OK.replace(b"\r\n\r\n", b"\r\nLocation: http://localhost:3000/b\r\n\r\n"))
        await self.client.until(b"ok")
        self.assertIn(b"\r\nLocation: http://app.example/b\r\n", self.client.received)

    async def test_link_lost(self) -> None:
        """What was in flight on a link goes to another agent if it may be sent again; the rest fails, and no more."""
        await self.at_origin(get(b"/again"))
        again = self.client
        await self.at_origin(b"POST /once HTTP/1.1\r\nHost: app.example\r\nContent-Length: 0\r\n\r\n")
        once = self.client
        await self.beside()
        cut(self.edge.far_link)
        await again.until(b"2d")
        await once.until(b"\r\n\r\n")
        self.assertEqual((status_of(again.received), status_of(once.received)), (200, 502))
        await self.edge.until(lambda: self.edge.second.stream_counts == (0, 0))

    async def test_edge_without_a_link(self) -> None:
        """Without a link requests are answered 503 at once, but those that an agent of this edge serves."""
        self.edge.link.close()
        await self.edge.link.disconnected()
        response = await self.edge.ask(get(b"/", b"Connection: close"))
        self.assertEqual(status_of(response), 503)
        await self.beside()
        self.assertEqual(status_of(await self.edge.ask(get(b"/", b"Connection: close"))), 200)

    async def test_agent_gone_at_the_other_edge(self) -> None:
        """A request that comes before the word that the agent is gone goes elsewhere, or is answered 503."""
        self.edge.second.remove(self.edge.tunnels[0])
        response = await self.edge.ask(get(b"/", b"Connection: close"))
        self.assertEqual(status_of(response), 503)
        self.assertEqual(self.edge.counters.of("edge-1").refused, 1)

    async def test_tunnel_lost(self) -> None:
        """A tunnel that is lost at the other edge costs what was in flight on it; GET goes to another agent."""
        await self.at_origin(get(b"/again"))
        await self.beside()
        cut(self.edge.tunnels[0].far_end)
        await self.client.until(b"2d")
        self.assertFalse(self.edge.link.is_over)

    async def test_tunnel_lost_of_several(self) -> None:
        """What was in flight on it goes to another tunnel of the agent at that edge, and its origin is not to blame."""
        await self.at_origin(get(b"/again"))
        await self.edge.add_tunnel([RouteOffer(id=0, hostname=HOSTNAME)])
        self.origin.answer = answer_each()
        cut(self.edge.tunnels[0].far_end)
        await self.client.until(b"ok")
        route = self.edge.table.route_of(HOSTNAME, "")
        assert route is not None
        (member,) = route.members_of("agent-1")
        self.assertEqual(member.origin.failures, 0)

    async def test_bulk_beside_others(self) -> None:
        """While one visitor does not read a long answer, another one's requests pass on the same link."""
        size = 16 << 20
        origin = await self.at_origin(get(b"/bulk"))
        bulk = self.client
        bulk.transport.pauseProducing()
        origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        await self.edge.until(lambda: self.edge.counters.of("edge-1").bytes_out > 200_000)
        self.origin.answer = lambda connection: connection.send(OK) if connection is not origin else None
        for _ in range(3):
            self.assertEqual(status_of(await self.edge.ask(get(b"/", b"Connection: close"))), 200)
        self.assertLess(self.edge.counters.of("edge-1").bytes_out, size - (1 << 20))
        bulk.transport.resumeProducing()
        await bulk.when(lambda: len(bulk.received) > size)
        self.assertFalse(bulk.is_lost)
