"""Tests of the room's door: it looks twice a second, stops when it is told to, and shows who numbers."""

from typing import cast

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.zone.test_numbering import Server
from tests.edge.numbering.test_sharing import Edge
from warp_base.reactor import Reactor
from warp_twisted.edge.numbering.numbering import LOOK_SECONDS, FleetNumbering
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.store import LastingStore


class _Store(MemoryStore):
    problem = ""


class FleetNumberingTests(SynchronousTestCase):
    """Two edges that share a registry, without links."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = _Store(self.clock)
        self.servers = [Server(), Server()]
        self.edges = [
            FleetNumbering(
                cast(Reactor, self.clock),
                f"edge{number}",
                "example.org",
                cast(LastingStore, self.store),
                Edge(f"edge{number}", self.clock),
                server.numbering,
                lambda: 1000,
            )
            for number, server in enumerate(self.servers)
        ]
        for edge in self.edges:
            edge.start()
            self.addCleanup(edge.end)

    def numbering(self) -> list[bool]:
        """Say of each whether it numbers."""
        return [server.numbering.is_own for server in self.servers]

    def test_started(self) -> None:
        """One of them numbers, when it has heard of the others; starting twice changes nothing."""
        self.edges[0].start()
        self.assertEqual(self.numbering(), [False, False])
        self.clock.pump([LOOK_SECONDS] * 20)
        self.assertEqual(self.numbering(), [True, False])
        self.assertEqual(self.edges[1].holder, "edge0")

    def test_stopped(self) -> None:
        """One that stops numbers no more; the other does, after some seconds, or at once if it was left to it."""
        self.clock.pump([LOOK_SECONDS] * 10)
        self.assertEqual(self.numbering(), [True, False])
        self.edges[0].stop()
        self.assertEqual(self.numbering(), [False, False])
        self.clock.pump([LOOK_SECONDS] * 10)
        self.assertEqual(self.numbering(), [False, True])
        self.edges[0].start()
        self.clock.pump([LOOK_SECONDS] * 10)
        self.successResultOf(Deferred.fromCoroutine(self.edges[1].give_up()))
        self.clock.pump([LOOK_SECONDS] * 2)
        self.assertEqual(self.numbering(), [True, False])

    def test_shown(self) -> None:
        """A scrape reads who numbers, at which serial, and whether serials are left."""
        self.clock.pump([LOOK_SECONDS] * 10)
        registry = CollectorRegistry()
        registry.register(self.edges[0])
        text = generate_latest(registry).decode()
        self.edges[1].stop()
        self.assertLess(self.samples(registry)["warp_edge_zone_numbering_age_seconds"], 2.0)
        for line in (
            "numbered_here 1.0", "numbered_serial 1000.0", "serials_used_up 0.0", 'numbering_edge{edge="edge0"} 1.0'
        ):  # fmt: skip
            self.assertIn(f"warp_edge_zone_{line}", text)
        self.edges[0].stop()
        self.clock.advance(10.0)
        self.assertGreater(self.samples(registry)["warp_edge_zone_numbering_age_seconds"], 9.0)

    def samples(self, registry: CollectorRegistry) -> dict[str, float]:
        """Return what a scrape reads."""
        return {sample.name: sample.value for family in registry.collect() for sample in family.samples}
