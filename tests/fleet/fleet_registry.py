"""A fleet of one edge, which keeps its registry in a file, becomes one of two edges that share a registry."""

import functools
import json

from tests.fleet.case import FleetTestCase
from tests.fleet.figures import note
from tests.fleet.place import Place
from tests.fleet.several import ZONE, Several, end_load

FIRST, SECOND = "edge21", "edge22"
APP = f"app.{ZONE}"
RATE = 100


class MoveTests(FleetTestCase):
    """Tests for an edge that moves its registry."""

    def setUp(self) -> None:
        self.fleet = Several(Place(), "from-one-edge")
        self.fleet.prepare((FIRST, SECOND), (FIRST,))

    def is_served(self, edge: str) -> bool:
        """Whether the application answers at an edge."""
        return self.fleet.visit(f"http://{APP}/", edge=edge).startswith(FIRST)

    def test_one_edge_becomes_two(self) -> None:
        """No agent is lost, a revocation stays, and visitors wait at most."""
        fleet = self.fleet
        fleet.set_groups(edges=[FIRST], origins=[FIRST])
        fleet.run("site.yml").check()
        before = fleet.agents(FIRST)
        self.assertEqual(len(before), 1)
        fleet.hosts.execute(FIRST, "warp", "agent", "revoke", "a-0123456789abcdef", "--reason", "a test")

        fleet.set_groups(edges=[FIRST, SECOND], registry=[SECOND], origins=[FIRST])
        load = fleet.begin_load(fleet.hosts.address(FIRST), rate=RATE)
        run = fleet.run("site.yml")
        found = end_load(load)
        run.check()
        note("one edge becomes two: visitors (count)", found["asked"])
        note("one edge becomes two: slowest visitor", found["slowest_seconds"])
        self.assertEqual(found["quick_answered"], found["asked"], found)
        for edge in (FIRST, SECOND):
            self.assertEqual(fleet.agents(edge), before)
            fleet.wait("it is served", functools.partial(self.is_served, edge))
            known = json.loads(fleet.hosts.execute(edge, "warp", "agent", "list", "--json"))
            self.assertIn("a-0123456789abcdef", json.dumps(known))
        kept = fleet.hosts.execute(FIRST, "ls", "/var/lib/warp-edge", "/var/lib/warp-edge/before-registry")
        self.assertEqual(kept.count("registry.sqlite\n"), 1, kept)
