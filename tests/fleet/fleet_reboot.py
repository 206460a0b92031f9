"""
After a reboot, an orderly one and a power cut, each host serves again without a hand.

A host has seconds of its own: until its services are told to stop, until it is down, and until it starts them again.
They are waited for and noted; what is asked of Warp is how soon its services stop, and serve once they are started.
"""

import contextlib
import json
import subprocess
import time

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import ORIGINS, ZONE, deployment
from tests.fleet.figures import note
from tests.fleet.place import FleetError

BACK_SECONDS = 10.0
STOP_SECONDS = 10.0  # the only edge of a fleet drains for 5 s at most
HOST_SECONDS = 120.0


class RebootTests(FleetTestCase):
    """Tests for the boot of each host."""

    def setUp(self) -> None:
        self.fleet = deployment()
        self.hosts = self.fleet.hosts

    def boot_id(self, name: str) -> str:
        """Return what differs from boot to boot."""
        return self.hosts.execute(name, "journalctl", "--list-boots", "--quiet").splitlines()[-1].split()[1]

    def stops(self, name: str) -> dict[str, tuple[float, float]]:
        """Return when each unit was told to stop before the last boot, and when it had: seconds, by unit."""
        said = self.hosts.execute(name, "journalctl", "--boot=-1", "--output=json", "_PID=1", "JOB_TYPE=stop")
        told: dict[str, list[float]] = {}
        for line in said.splitlines():
            entry = json.loads(line)
            told.setdefault(entry["UNIT"], []).append(int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6)
        return {unit: (instants[-2:][0], instants[-1]) for unit, instants in told.items()}

    def reboot(self, name: str) -> None:
        """Reboot a host, and wait until it boots."""
        before = self.boot_id(name)
        with contextlib.suppress(FleetError):  # the host takes the command down with it, sometimes before it has ended
            self.hosts.execute(name, "systemctl", "reboot")
        self.fleet.wait(f"{name} boots", lambda: self.boot_id(name) != before, HOST_SECONDS)

    def cut_power(self, name: str) -> None:
        """Cut a host's power, and boot it after a moment."""
        self.hosts.halt(name)
        time.sleep(0.5)
        self.hosts.up(name)

    def started_at(self, name: str, unit: str) -> float:
        """Return when a unit's process was started, on the monotonic clock, which hosts have in common."""
        shown = self.hosts.execute(
            name, "systemctl", "show", "--value", "--property=ExecMainStartTimestampMonotonic", unit
        )
        return int(shown) / 1e6

    def serves(self, origin: str | None = None) -> bool:
        """Whether a visitor gets an answer, and both name servers give the name."""
        answer = self.fleet.visit(f"https://app.{ZONE}/")
        names = [self.fleet.dig(self.hosts.address(server), f"app.{ZONE}", "A") for server in ("edge1", "ns1")]
        return (origin is None or answer.startswith(origin)) and all(names)

    def check(self, name: str, unit: str, origin: str | None = None) -> None:
        """Take a host down in both ways, and wait for its service."""
        for how, take_down in (("reboot", self.reboot), ("power cut", self.cut_power)):
            down, before = self.hosts.stopwatch(), time.monotonic()
            take_down(name)
            self.fleet.wait(f"{unit} starts", lambda: self.started_at(name, unit) > before, HOST_SECONDS)  # noqa: B023
            watch = self.hosts.stopwatch(self.started_at(name, unit))
            self.fleet.wait(f"service after a {how} of {name}", lambda: self.serves(origin), BACK_SECONDS)
            self.assertLess(watch.seconds, BACK_SECONDS)
            note(f"{name}, service after a {how}", down.seconds)
            note(f"{name}, service after its start after a {how}", watch.seconds)
            self.fleet.wait("all tunnels", lambda: len(self.fleet.status()["tunnels"]) == 4 * len(ORIGINS), 30)
            failed = self.hosts.execute(name, "systemctl", "--failed", "--plain", "--no-legend")
            self.assertEqual(failed, "", f"{name} after a {how}")
            if how == "reboot":
                told, stopped = self.stops(name)[unit]
                note(f"{name}, its service's stop", stopped - told)
                self.assertLess(stopped - told, STOP_SECONDS)

    def test_edge(self) -> None:
        """The edge: its agents come back to it."""
        self.check("edge1", "warp-edge.service")

    def test_order(self) -> None:
        """With a visitor who stays to the end, DNS answers until the edge has stopped, and the firewall is last."""
        slow = (*("curl", "--silent", "--no-buffer", "--max-time", "60"), f"http://app.{ZONE}/slow?seconds=50")
        resolve = f"app.{ZONE}:80:{self.hosts.address('edge1')}"
        visitor = subprocess.Popen(self.hosts.beside(*slow, "--resolve", resolve), stdout=subprocess.PIPE)
        assert visitor.stdout is not None
        self.addCleanup(visitor.wait)
        self.addCleanup(visitor.kill)
        visitor.stdout.readline()
        self.reboot("edge1")
        self.fleet.wait("service after a reboot with a visitor", self.serves, HOST_SECONDS)
        stops = self.stops("edge1")
        edge, dns = stops["warp-edge.service"], stops["warp-dns.service"]
        self.assertLess(edge[1] - edge[0], STOP_SECONDS)
        self.assertLess(edge[1], dns[1])
        for later in ("warp-firewall.service", "warp-edge-http.socket", "warp-edge-https.socket"):
            self.assertLess(max(edge[1], dns[1]), stops[later][0], later)

    def test_secondary(self) -> None:
        """The name server: it has the zone on its disk, and follows again."""
        self.check("ns1", "knot.service")

    def test_origins(self) -> None:
        """An origin: its agent needs no token any more."""
        self.check("origin1", "warp-agent@main.service", "origin1")
