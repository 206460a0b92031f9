"""A sample of `tests.fleet.interrupted`: a play on the deployed fleet that loses its controller after every change."""

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import ZONE, deployment
from tests.fleet.figures import note
from tests.fleet.interrupted import Visitor, interrupt

CONFIGURE = ("site.yml", "--limit=edges", "--tags=warp_configure")
CHANGE = {"warp_edge_limits": {"head_bytes": 20_000}, "warp_edge_dns_records": "kept IN TXT kept\n"}
# A restart, and what two fleets on one machine make of it.
RESTART_SECONDS = 5.0


class InterruptedTests(FleetTestCase):
    """Tests for a run that is cut short."""

    def test_after_every_change(self) -> None:
        """Each run goes on where the one before it was killed; visitors are served throughout."""
        fleet = deployment()
        self.addCleanup(fleet.play, *CONFIGURE)
        visitor = Visitor(fleet, fleet.hosts.address("edge1"), f"app.{ZONE}")
        chain = interrupt(
            lambda environment: fleet.play(*CONFIGURE, variables=CHANGE, environment=environment),
            lambda: "20000" in fleet.hosts.execute("edge1", "cat", "/etc/warp/edge.yaml"),
        )
        counted = visitor.found()
        self.assertEqual(chain.wrong, "")
        self.assertGreaterEqual(len(chain.killed_after), 3, chain)
        self.assertEqual(chain.again, set(), "no task has to be done twice")
        self.assertIn('"kept"', fleet.dig(fleet.hosts.address("edge1"), f"kept.{ZONE}", "TXT"))
        self.assertGreater(counted["answered"], 10)
        self.assertLess(counted["longest_seconds"], RESTART_SECONDS)
        note("longest without service while runs are killed after every change", counted["longest_seconds"])
