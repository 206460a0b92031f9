"""A fleet's edges say where they are, and an edge that answers DNS names them nearest first: asked by dig and kdig."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutput
from twisted.trial.unittest import TestCase

from tests.case import reactor
from tests.edge.control import ZONE, make_settings
from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_twisted.edge.nameserver import follow_edges, make_nameserver, start_nameserver
from warp_twisted.names import Hostname
from warp_twisted.registry.edge_records import EdgeRecord
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change, Edge, Tunnel, encode
from warp_twisted.registry.published.publish import Publication

EUROPE, ASIA, AMERICA = "192.0.2.1", "192.0.2.2", "192.0.2.3"
PLACES = {EUROPE: (50.1, 8.7), ASIA: (35.7, 139.7), AMERICA: (40.7, -74.0)}
REGIONS = {
    "frankfurt": {"coordinates": [50.1, 8.7], "networks": ["203.0.113.0/25", "2001:db8:1::/48"]},
    "osaka": {"coordinates": [34.7, 135.5], "networks": ["203.0.113.128/25"]},
    "boston": {"coordinates": [42.4, -71.1], "networks": ["127.0.0.0/8"]},  # where the resolvers of the tests are
}


class FleetPlacesTests(TestCase):
    """Three edges with a tunnel each for one hostname."""

    timeout = 60

    async def asked(self, tool: str, *options: str) -> list[str]:
        """Return the addresses of the application, in order."""
        question = ["@127.0.0.1", "-p", str(self.port), f"app.{ZONE}", "A", "+short", *options]
        output: bytes = await getProcessOutput(tool, question, reactor=reactor, errortoo=True)
        return output.decode().split()

    async def put(self, edge: Edge) -> None:
        """Let an edge say what it is."""
        await self.store.put(edge.key, encode(edge))

    async def serve_fleet(self, *edges: Edge) -> None:
        """Serve the zone as one of the edges does."""
        state = Path(self.mktemp())
        state.mkdir()
        settings = make_settings(
            state=str(state), listen={"dns": ["127.0.0.1:0"]}, dns={"places": {"regions": REGIONS}}
        )
        self.store = MemoryStore(reactor)
        self.mirror = Mirror(self.store, reactor)
        self.publication = publication = Publication(ZONE)

        def publish(changes: Sequence[Change]) -> None:
            publication.apply(changes)

        self.mirror.subscribe(publish)
        server = make_nameserver(reactor, MACHINE_WALL_CLOCK, settings, publication)
        assert server is not None
        follow_edges(server, self.mirror, "edge9", settings.dns.places.edges)
        await self.mirror.start()
        self.addCleanup(self.mirror.stop)
        self.addCleanup(server.stop)
        for number, edge in enumerate(edges):
            await self.put(edge)
            hostnames = (Hostname(f"app.{ZONE}"),)
            tunnel = Tunnel(id=f"t{number}", agent="a", slot=number, edge=edge.name, hostnames=hostnames, labels={})
            await self.store.put(tunnel.key, encode(tunnel))
        ((_, self.port),) = start_nameserver(server, settings)
        resumed: Deferred[None] = Deferred()
        server.resume(ZONE)
        reactor.callLater(0, resumed.callback, None)
        await resumed

    def edge(self, address: str, *, draining: bool = False, is_placed: bool = True) -> Edge:
        """Return an edge at an address, with its place."""
        place = PLACES[address] if is_placed else None
        return Edge(name=f"edge{address[-1]}", addresses=(address,), coordinates=place, draining=draining)

    async def test_nearest_first(self) -> None:
        """By the client's network where the resolver passes it on, else by the resolver's address; with both tools."""
        await self.serve_fleet(*(self.edge(address) for address in PLACES))
        for tool in ("dig", "kdig"):
            self.assertEqual(await self.asked(tool, "+subnet=203.0.113.0/25"), [EUROPE, AMERICA, ASIA])
            self.assertEqual(await self.asked(tool, "+subnet=203.0.113.200/32"), [ASIA, EUROPE, AMERICA])
            self.assertEqual(await self.asked(tool, "+subnet=2001:db8:1::/56"), [EUROPE, AMERICA, ASIA])
            self.assertEqual(await self.asked(tool), [AMERICA, EUROPE, ASIA])

    async def test_draining(self) -> None:
        """An edge that drains is out of every answer at once, and back when it goes on; the last one stays in."""
        await self.serve_fleet(*(self.edge(address) for address in PLACES))
        await self.put(self.edge(AMERICA, draining=True))
        self.assertEqual(await self.asked("dig"), [EUROPE, ASIA])
        await self.put(self.edge(AMERICA))
        self.assertEqual(await self.asked("dig"), [AMERICA, EUROPE, ASIA])
        for address in PLACES:
            await self.put(self.edge(address, draining=True))
        self.assertEqual(await self.asked("dig"), [AMERICA, EUROPE, ASIA])

    async def test_silent(self) -> None:
        """An edge of the fleet of which nothing is heard is out of every answer, whatever records name it."""
        places = [self.edge(address, is_placed=False) for address in PLACES]
        await self.serve_fleet(*places)
        for edge in (*places, replace(places[0], name="edge9")):  # this one itself is never left out
            record = EdgeRecord(name=edge.name, addresses=("192.0.2.9:1",), authority_key="k")
            await self.store.put(record.key, encode(record))
        self.assertEqual(await self.asked("dig"), [EUROPE, ASIA, AMERICA])
        learn: Mapping[str, Edge | None] = {places[0].key: None}  # its records are still there
        self.publication.take = lambda changes: None  # type: ignore[method-assign]
        self.mirror.learn(learn)
        self.assertEqual(await self.asked("dig"), [ASIA, AMERICA])

    async def test_no_places(self) -> None:
        """Where no edge says where it is, all are named in the order of the records, and no scope is told."""
        await self.serve_fleet(*(self.edge(address, is_placed=False) for address in PLACES))
        self.assertEqual(await self.asked("dig", "+subnet=203.0.113.200/32"), [EUROPE, ASIA, AMERICA])

    async def test_an_edge_goes(self) -> None:
        """With one edge left there is nothing to order."""
        await self.serve_fleet(self.edge(EUROPE), self.edge(ASIA))
        self.assertEqual(await self.asked("dig", "+subnet=203.0.113.200/32"), [ASIA, EUROPE])
        await self.store.delete(self.edge(ASIA).key)
        self.assertEqual(await self.asked("dig", "+subnet=203.0.113.200/32"), [EUROPE])
