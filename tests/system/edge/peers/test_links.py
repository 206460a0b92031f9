"""Two edges on loopback: what one has the other knows, what is dead to one is out of its registry, and comes back."""

from functools import partial
from pathlib import Path

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone, ConnectionLost

from tests.case import reactor, until
from tests.system.edge.live import HOST, TURN, ZONE
from tests.system.edge.peers.pair import PairTestCase, make_edge, record_of
from warp_twisted.edge.node import EdgeNode
from warp_twisted.registry.edge_records import EdgeRecord
from warp_twisted.registry.model import REVOCATIONS, encode
from warp_twisted.testing import RecordingDelegate, RecordingReceiver
from warp_twisted.tunnel import TunnelProtocol
from warp_twisted.tunnel.contexts import agent_context, peer_context
from warp_twisted.tunnel.endpoints import dial, dial_peer
from warp_twisted.tunnel.errors import TunnelError
from warp_twisted.wire.control import Hello
from warp_twisted.wire.frames import Role

APP = f"app.{ZONE}"


class LinkedTests(PairTestCase):
    """What goes over a link."""

    async def test_tunnels_and_dns(self) -> None:
        """A tunnel of one edge is known to the other with its routes, and published there: both edges serve it."""
        agent = await self.agent(self.edge1)
        await agent.register(APP)
        there = self.edge2.parts.mirror.tunnels
        await until(lambda: bool(there))
        (tunnel,) = there.values()
        self.assertEqual((tunnel.edge, tunnel.agent, tunnel.hostnames), ("edge1", agent.id, (APP,)))
        self.assertEqual([(route.id, route.hostname) for route in tunnel.routes], [(0, APP)])
        records = self.edge2.parts.publication.records_of
        await until(lambda: {each.edge for each in records(APP) if each.type == "A"} == {"edge1", "edge2"})
        await agent.close()
        await until(lambda: not there)
        await until(lambda: not records(APP))
        self.assertEqual(self.edge1.parts.peers.links.names(), ["edge2"])

    async def test_an_edge_that_ends(self) -> None:
        """An edge that goes away is out of the other's registry and DNS, and comes back with what it has then."""
        await (await self.agent(self.edge1)).register(APP)
        names = self.edge2.parts.publication.records_of
        await until(lambda: bool(names(APP)))
        record = await record_of(self.edge1)
        await self.edge1.stopService()
        await until(lambda: "edge1" not in self.edge2.parts.mirror.edges)
        await until(lambda: not self.edge2.parts.mirror.tunnels and not names(APP))
        port = record.addresses[0].rpartition(":")[2]
        self.edge1 = make_edge(self.directory, "edge1", listen={"tunnel": [f"tcp:{port}:interface={HOST}"]})
        await self.start(self.edge1)
        record = await record_of(self.edge2)
        await self.edge1.parts.store.put(record.key, encode(record))
        await self.linked()
        self.assertIn("edge1", self.edge2.parts.mirror.edges)

    async def test_drain_is_told(self) -> None:
        """An edge that begins to drain is one that drains at the other edge as well, before its sockets close."""
        self.edge1.parts.entry.drain()
        await until(lambda: self.edge2.parts.mirror.edges["edge1"].draining)
        self.assertIn("http", self.edge1.parts.listeners.names)

    async def test_revocation(self) -> None:
        """A revocation that is made at one edge cuts the agent's tunnel at the other, and is kept there."""
        agent = await self.agent(self.edge2)
        await agent.register(APP)
        await until(lambda: bool(self.edge1.parts.mirror.tunnels))
        await self.edge1.parts.enrollment.revoke_agent(agent.id, "lost")
        await until(lambda: all(each.is_over for each in agent.tunnels))
        kept = await self.edge2.parts.store.get(REVOCATIONS + agent.id)
        assert kept is not None
        self.assertIn(b"lost", kept.value)

    async def test_ban(self) -> None:
        """An operator's ban acts at the other edge, and ends there when it is lifted."""
        bans, kept = self.edge2.parts.serving.policy.banning, self.edge1.parts.kept_bans
        await kept.add("192.0.2.66", 600, "test")
        await until(lambda: bans.is_banned("192.0.2.66", "192.0.2.66"))
        self.assertGreater(bans.seconds_left("192.0.2.66"), 500)
        await kept.remove("192.0.2.66")
        await until(lambda: not bans.is_banned("192.0.2.66", "192.0.2.66"))

    async def test_removed_from_the_registry(self) -> None:
        """An edge whose record is removed is cut off at once, and not let in again."""
        record = await record_of(self.edge1)
        await self.edge2.parts.store.delete(record.key)
        await until(lambda: not self.edge2.parts.peers.links.names())
        await until(lambda: self.edge1.parts.peers.links.peers["edge2"].attempts >= 2)
        self.assertNotIn("edge1", self.edge2.parts.mirror.edges)

    async def test_streams_both_ways(self) -> None:
        """Either edge opens streams on the link; to a route they are refused with a word."""
        for node, other in ((self.edge1, "edge2"), (self.edge2, "edge1")):
            tunnel = node.parts.peers.links.tunnel_to(other)
            assert tunnel is not None
            receiver = RecordingReceiver()
            receiver.stream = tunnel.open_route(7, receiver)
            await until(partial(bool, receiver.openings))
            self.assertEqual(receiver.openings[0].detail, "edges have no routes")


class StrangersTests(PairTestCase):
    """Who is no edge gets no link, whatever certificate of the fleet it shows."""

    async def refused(self, node: EdgeNode, chain: Path, key: Path) -> None:
        """Dial an edge as another edge would, and expect that nothing is told."""
        delegate = RecordingDelegate()
        context = peer_context(
            root_pem=(self.directory / "ca" / "root.pem").read_text(), chain_file=chain, key_file=key
        )
        protocol = TunnelProtocol(Role.CLIENT, delegate, clock=reactor, turn=TURN, opens_both_ways=True)
        endpoint = TCP4ClientEndpoint(reactor, HOST, node.ports.tunnel[0])
        try:
            await dial_peer(endpoint, protocol, lambda certificate: None, context=context, reactor=reactor)
            await until(lambda: bool(delegate.losses))
        except (TunnelError, ConnectionDone, ConnectionLost):
            pass
        self.assertEqual(delegate.streams, [])
        self.assertEqual(node.parts.peers.links.peers.keys() - {"edge1", "edge2"}, set())

    async def test_an_agent(self) -> None:
        """An agent's certificate opens no link."""
        agent = await self.agent(self.edge2)
        await self.refused(self.edge2, agent.directory / "agent.pem", agent.directory / "agent.key")

    async def test_a_stranger(self) -> None:
        """An edge that the registry does not know is refused."""
        await self.start(make_edge(self.directory, "edge0"))
        state = self.directory / "edge0"
        await self.refused(self.edge2, state / "tunnel.pem", state / "tunnel.key")

    async def test_another_key(self) -> None:
        """An edge whose intermediate is not the one of its record is refused, until the record says so."""
        record, other = await record_of(self.edge1), await record_of(self.edge2)
        changed = EdgeRecord(name="edge1", addresses=record.addresses, authority_key=other.authority_key)
        await self.edge2.parts.store.put(changed.key, encode(changed))
        await until(lambda: not self.edge2.parts.peers.links.names())
        state = self.directory / "state"
        await self.refused(self.edge2, state / "tunnel.pem", state / "tunnel.key")
        await self.edge2.parts.store.put(record.key, encode(record))
        await self.linked()

    async def test_an_edge_is_no_agent(self) -> None:
        """An edge's certificate opens no tunnel of an agent."""
        delegate = RecordingDelegate()
        state = self.directory / "state"
        context = agent_context(
            root_pem=(self.directory / "ca" / "root.pem").read_text(),
            chain_file=state / "tunnel.pem",
            key_file=state / "tunnel.key",
        )
        endpoint = TCP4ClientEndpoint(reactor, HOST, self.edge2.ports.tunnel[0])
        tunnel = await dial(endpoint, HOST, context=context, delegate=delegate, reactor=reactor, turn=TURN)
        tunnel.send_control(Hello(version=1, software="x", agent_id="edge1", session="s", slot=0, routes=[]))
        await until(lambda: bool(delegate.losses))
        self.assertIn("not an agent's certificate", repr(delegate.messages))
