"""Two edges and their registry: from nothing, under load, and when one of them leaves."""

import functools
import time

from tests.fleet.case import FleetTestCase
from tests.fleet.figures import note
from tests.fleet.place import Place
from tests.fleet.several import ZONE, Several, end_load

EDGES, REGISTRY, ORIGINS = ("edge11", "edge12"), ("ns11",), ("origin11", "origin12")
APP = f"app.{ZONE}"
RATE = 100
OUT_OF_DNS_SECONDS = 2.0  # of an edge that is silent


@functools.cache
def two_edges() -> tuple[Several, float]:
    """Return the fleet, deployed from nothing by one command, and how long that took."""
    fleet = Several(Place(), "two-edges")
    fleet.prepare((*EDGES, *REGISTRY, *ORIGINS), ORIGINS)
    fleet.set_groups(edges=EDGES, registry=REGISTRY, secondaries=REGISTRY, origins=ORIGINS)
    return fleet, fleet.run("site.yml").check().seconds


class TwoEdgesTests(FleetTestCase):
    """Tests that need both, in this order; the fourth takes one of them out, and the last brings it back."""

    def setUp(self) -> None:
        self.fleet, self.seconds = two_edges()
        self.addresses = [self.fleet.hosts.address(edge) for edge in EDGES]

    def answered(self, server: str) -> list[str]:
        """Return the edges that a name server names for the application."""
        return self.fleet.dig(server, APP, "A")

    def wait_for_both(self) -> None:
        """Wait until each edge has the other, and DNS names both."""
        both = sorted(self.addresses)
        self.fleet.wait(
            "edges have each other",
            lambda: all(self.fleet.peers(edge) == {other: True} for edge, other in (EDGES, EDGES[::-1])),
            60,
        )
        self.fleet.wait("DNS names both", lambda: self.answered(self.addresses[0]) == both, 60)

    def test_1_from_nothing(self) -> None:
        """One command serves a hostname at both edges; the same again changes nothing."""
        note("fresh deployment of two edges with a registry, five hosts", self.seconds)
        for edge in EDGES:
            self.assertTrue(self.fleet.visit(f"http://{APP}/", edge=edge).startswith("origin"), edge)
        self.wait_for_both()
        servers = self.fleet.dig(self.addresses[1], ZONE, "NS")
        self.assertEqual(servers, [f"ns-edge11.{ZONE}.", f"ns-edge12.{ZONE}.", f"ns11.{ZONE}."])
        self.assertEqual(self.fleet.agents("edge11"), self.fleet.agents("edge12"))
        self.assertEqual(len(self.fleet.agents("edge11")), len(ORIGINS))
        again = self.fleet.run("site.yml").check()
        self.assertEqual(again.changes, [])

    def test_2_upgrade(self) -> None:
        """One edge after the other gets a new release, and no visitor notices."""
        readme = self.fleet.checkout / "README.md"
        self.addCleanup(readme.write_text, readme.read_text())
        readme.write_text(f"{readme.read_text()}\nAnother release.\n")
        load = self.fleet.begin_load("--nameserver", self.fleet.hosts.address("ns11"), rate=RATE)
        run = self.fleet.run("playbooks/upgrade.yml", "--limit=edges")
        found = end_load(load)
        run.check()
        note("upgrade of two edges: visitors (count)", found["asked"])
        note("upgrade of two edges: slowest visitor", found["slowest_seconds"])
        self.assertEqual(found["quick_answered"], found["asked"], found)

    def test_3_power_cut(self) -> None:
        """An edge that is gone at once is out of DNS within two seconds, and in it again when it is back."""
        self.wait_for_both()
        self.fleet.hosts.halt("edge12")
        gone = self.fleet.wait(
            "the name server names the one that is left", lambda: self.answered(self.addresses[0]) == self.addresses[:1]
        )
        note("power cut of an edge, until the other's DNS leaves it out", gone)
        self.assertLess(gone, OUT_OF_DNS_SECONDS + 0.5)
        self.assertTrue(self.fleet.visit(f"http://{APP}/", edge="edge11").startswith("origin"))
        self.fleet.hosts.up("edge12")
        self.wait_for_both()

    def test_4_removed(self) -> None:
        """An edge that is taken out leaves DNS, registry and firewall, and nobody who asks DNS notices."""
        self.wait_for_both()
        load = self.fleet.begin_load("--nameserver", self.fleet.hosts.address("ns11"), rate=RATE)
        time.sleep(2)
        run = self.fleet.run("playbooks/remove-edge.yml", edge="edge12")
        found = end_load(load)
        run.check()
        note("removal of an edge: visitors (count)", found["asked"])
        self.assertEqual(found["quick_answered"], found["asked"], found)
        self.assertEqual(self.fleet.peers("edge11"), {})
        self.fleet.set_groups(edges=EDGES[:1], registry=REGISTRY, secondaries=REGISTRY, origins=ORIGINS)
        self.fleet.run("site.yml").check()
        self.assertEqual(self.fleet.dig(self.addresses[0], ZONE, "NS"), [f"ns-edge11.{ZONE}.", f"ns11.{ZONE}."])
        rules = self.fleet.hosts.execute("ns11", "nft", "list", "table", "inet", "warp")
        self.assertNotIn(self.addresses[1], rules)
        self.assertIn(self.addresses[0], rules)
        self.assertTrue(self.fleet.visit(f"http://{APP}/", edge="edge11").startswith("origin"))

    def test_5_added(self) -> None:
        """An edge that is added serves and answers DNS, and no visitor notices."""
        load = self.fleet.begin_load("--nameserver", self.fleet.hosts.address("ns11"), rate=RATE)
        self.fleet.set_groups(edges=EDGES, registry=REGISTRY, secondaries=REGISTRY, origins=ORIGINS)
        run = self.fleet.run("site.yml")
        self.wait_for_both()
        found = end_load(load)
        run.check()
        note("an edge is added: visitors (count)", found["asked"])
        note("an edge is added: slowest visitor", found["slowest_seconds"])
        self.assertEqual(found["quick_answered"], found["asked"], found)
        for edge in EDGES:
            self.assertTrue(self.fleet.visit(f"http://{APP}/", edge=edge).startswith("origin"), edge)
        self.assertEqual(self.fleet.agents("edge11"), self.fleet.agents("edge12"))
