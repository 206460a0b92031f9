"""
Services that are killed again and again, or whose start fails for long, serve again by themselves once they can.

The cause of failing starts lasts 40 s here, by which systemd's usual limit (5 starts in 10 s) would have ended all
three units many times over; with it gone the units behave after an hour as they do after a minute, as nothing counts.
"""

import time

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import ORIGINS, ZONE, deployment
from tests.fleet.figures import note

CAUSE_SECONDS = 40.0
BACK_SECONDS = 15.0
KILLS, KILLS_SECONDS = 7, 10.0


class RestartTests(FleetTestCase):
    """Tests for the units."""

    def setUp(self) -> None:
        self.fleet = deployment()
        self.hosts = self.fleet.hosts

    def shown(self, host: str, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.hosts.execute(host, "systemctl", "show", "--value", f"--property={name}", unit).strip()

    def serves(self) -> bool:
        """Whether visitors are served, names are answered for, and all tunnels are there."""
        answer = self.fleet.visit(f"https://app.{ZONE}/")
        names = self.fleet.dig(self.hosts.address("edge1"), f"app.{ZONE}", "A")
        return answer.startswith(ORIGINS) and bool(names) and len(self.fleet.status()["tunnels"]) == 4 * len(ORIGINS)

    def assert_none_failed(self, host: str) -> None:
        """Check that no unit of a host was given up."""
        failed = self.hosts.execute(host, "systemctl", "--failed", "--plain", "--no-legend")
        self.assertEqual(failed, "", host)

    def hide(self, host: str, path: str) -> None:
        """Take away what a service needs to start."""
        self.hosts.execute(host, "mv", path, f"{path}.away")
        self.addCleanup(self.hosts.execute, host, "sh", "-c", 'if [ -e "$0.away" ]; then mv "$0.away" "$0"; fi', path)

    def test_start_fails_for_long(self) -> None:
        """Edge, DNS and an agent that could not start for 40 s serve within 15 s after the cause has gone."""
        places = (
            ("edge1", "warp-edge.service", "/etc/warp/certificates"),
            ("edge1", "warp-dns.service", "/etc/warp/dns.yaml"),
            ("origin1", "warp-agent@main.service", "/etc/warp/agents/main.yaml"),
        )
        before = {unit: int(self.shown(host, unit, "NRestarts")) for host, unit, _ in places}
        for host, unit, path in places:
            self.hide(host, path)
            self.hosts.execute(host, "systemctl", "kill", "--signal=KILL", unit)
        time.sleep(CAUSE_SECONDS)
        for host, unit, path in places:
            restarts = int(self.shown(host, unit, "NRestarts")) - before[unit]
            self.assertGreater(restarts, 5, unit)
            self.assertNotEqual(self.shown(host, unit, "ActiveState"), "failed", unit)
            self.hosts.execute(host, "mv", f"{path}.away", path)
        self.assertEqual(self.shown("edge1", "warp-edge-https.socket", "ActiveState"), "active")
        seconds = self.fleet.wait("service after failing starts", self.serves, BACK_SECONDS)
        note(f"service after starts that failed for {CAUSE_SECONDS:.0f} s", seconds)
        for host in ("edge1", "origin1"):
            self.assert_none_failed(host)

    def test_killed_again_and_again(self) -> None:
        """Edge and agent that are killed seven times in ten seconds serve within 15 s, and nothing was given up."""
        for host, unit in (("edge1", "warp-edge.service"), ("origin1", "warp-agent@main.service")):
            began = time.monotonic()
            for _ in range(KILLS):
                pid = self.shown(host, unit, "MainPID")
                self.fleet.wait("a process to kill", lambda: self.shown(host, unit, "MainPID") != "0")  # noqa: B023
                self.hosts.execute(host, "systemctl", "kill", "--signal=KILL", unit)
                self.fleet.wait(
                    "the next process",
                    lambda: self.shown(host, unit, "MainPID") not in ("0", pid),  # noqa: B023
                )
            note(f"{unit}: seven kills took", time.monotonic() - began)
            seconds = self.fleet.wait("service after seven kills", self.serves, BACK_SECONDS)
            note(f"{unit}: service after seven kills", seconds)
            self.assert_none_failed(host)
