"""After a reboot, an orderly one and a power cut, each host serves again without a hand."""

import contextlib
import time

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import ORIGINS, ZONE, deployment
from tests.fleet.figures import note
from tests.fleet.place import FleetError

BACK_SECONDS = 10.0


class RebootTests(FleetTestCase):
    """Tests for the boot of each host."""

    def setUp(self) -> None:
        self.fleet = deployment()
        self.hosts = self.fleet.hosts

    def boot_id(self, name: str) -> str:
        """Return what differs from boot to boot."""
        return self.hosts.execute(name, "journalctl", "--list-boots", "--quiet").splitlines()[-1].split()[1]

    def reboot(self, name: str) -> float:
        """Reboot a host, and return the moment when it begins to boot."""
        before = self.boot_id(name)
        with contextlib.suppress(FleetError):  # the host takes the command down with it, sometimes before it has ended
            self.hosts.execute(name, "systemctl", "reboot")
        self.fleet.wait(f"{name} boots", lambda: self.boot_id(name) != before)
        return time.monotonic()

    def cut_power(self, name: str) -> float:
        """Cut a host's power, boot it after a moment, and return the moment when it begins to boot."""
        self.hosts.halt(name)
        time.sleep(0.5)
        begun = time.monotonic()
        self.hosts.up(name)
        return begun

    def serves(self, origin: str | None = None) -> bool:
        """Whether a visitor gets an answer, and both name servers give the name."""
        answer = self.fleet.visit(f"https://app.{ZONE}/")
        names = [self.fleet.dig(self.hosts.address(server), f"app.{ZONE}", "A") for server in ("edge1", "ns1")]
        return (origin is None or answer.startswith(origin)) and all(names)

    def check(self, name: str, origin: str | None = None) -> None:
        """Take a host down in both ways, and wait for its service."""
        for how, take_down in (("reboot", self.reboot), ("power cut", self.cut_power)):
            begun = take_down(name)
            self.fleet.wait(f"service after a {how} of {name}", lambda: self.serves(origin), BACK_SECONDS)
            seconds = time.monotonic() - begun
            self.assertLess(seconds, BACK_SECONDS)
            note(f"{name}, service after a {how}", seconds)
            self.fleet.wait("all tunnels", lambda: len(self.fleet.status()["tunnels"]) == 4 * len(ORIGINS), 30)
            failed = self.hosts.execute(name, "systemctl", "--failed", "--plain", "--no-legend")
            self.assertEqual(failed, "", f"{name} after a {how}")

    def test_edge(self) -> None:
        """The edge: its agents come back to it."""
        self.check("edge1")

    def test_secondary(self) -> None:
        """The name server: it has the zone on its disk, and follows again."""
        self.check("ns1")

    def test_origins(self) -> None:
        """An origin: its agent needs no token any more."""
        self.check("origin1", "origin1")
