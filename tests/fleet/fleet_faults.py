"""Faults under load: a few rows of the table that `make faults` runs whole, those that cost no minutes."""

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import deployment
from tests.fleet.faults.running import Runner
from tests.fleet.faults.table import FAULTS
from tests.fleet.figures import note

RATE = 20.0


class FaultTests(FleetTestCase):
    """Processes that are killed, and that stand still."""

    def check(self, name: str) -> None:
        """Run a row."""
        outcome = Runner(deployment(), RATE).run(FAULTS[name])
        note(f"{outcome.fault.what}: back after", outcome.figures.back_seconds)
        note(f"{outcome.fault.what}: requests failed (count)", outcome.figures.failed)
        self.assertEqual(outcome.problem, "", outcome.figures)

    def test_edge_killed(self) -> None:
        """Visitors wait in the sockets, which systemd holds."""
        self.check("kill-edge")

    def test_edge_stands_still(self) -> None:
        """Its keeper ends it after 10 s, and starts another."""
        self.check("stop-edge")

    def test_agent_stands_still(self) -> None:
        """The other origin serves its visitors meanwhile."""
        self.check("stop-agent")

    def test_dns_stands_still(self) -> None:
        """The watchdog ends it within 10 s; visitors notice nothing."""
        self.check("stop-dns")

    def test_disk_fails(self) -> None:
        """The edge serves on, with what its registry holds, and writes again once it can."""
        self.check("disk-eio")
