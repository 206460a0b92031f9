"""A new release under load: nobody who is being served notices, and whoever comes waits."""

import json
import subprocess
import sys
from pathlib import Path

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import ZONE, deployment
from tests.fleet.figures import note

RATE = 200
# What makes an edge end a while after it was ready, and its keeper's watch is over.
DIES = """
import sys
import threading

if "--check" not in sys.argv:
    threading.Timer(12.0, os._exit, (1,)).start()
"""
LOAD = Path(__file__).with_name("load.py")


class UpgradeTests(FleetTestCase):
    """Tests for `upgrade.yml`."""

    def setUp(self) -> None:
        self.fleet = deployment()

    def release(self, host: str, unit: str) -> str:
        """Return the directory of the release that a unit runs."""
        shown = self.fleet.hosts.execute(host, "systemctl", "show", "--property=ExecStart", "--value", unit)
        return shown.split()[1].removeprefix("path=").rpartition("/bin/")[0]

    def begin_load(self, seconds: int) -> "subprocess.Popen[str]":
        """Begin to send visitors to the edge."""
        address = self.fleet.hosts.address("edge1")
        command = (sys.executable, str(LOAD), address, f"app.{ZONE}", str(RATE), str(seconds))
        return subprocess.Popen(self.fleet.hosts.beside(*command), stdout=subprocess.PIPE, text=True)

    def end_load(self, load: "subprocess.Popen[str]") -> dict[str, float]:
        """Return what became of the visitors, of whom none may have been answered wrongly or cut off."""
        text, _ = load.communicate(timeout=120)
        found: dict[str, float] = json.loads(text)
        for outcome in ("wrong", "cut", "unanswered"):
            for kind in ("quick", "slow"):
                self.assertEqual(found.get(f"{kind}_{outcome}", 0), 0, found)
        return found

    def test_upgrade_of_the_edge(self) -> None:
        """At 200 requests a second the edge gets a new release; every visitor is answered, if a moment later."""
        before = self.release("edge1", "warp-edge")
        project = self.fleet.checkout / "pyproject.toml"
        project.write_text(project.read_text().replace('version = "0.1.0"', 'version = "0.1.1"'))
        load = self.begin_load(50)
        run = self.fleet.play("playbooks/upgrade.yml", "--limit=edges")
        found = self.end_load(load)
        run.check()
        self.assertNotEqual(self.release("edge1", "warp-edge"), before)
        self.assertIn("0.1.1", self.release("edge1", "warp-edge"))
        self.assertEqual(found["quick_answered"] + found.get("quick_refused", 0), 50 * RATE)
        self.assertEqual(found.get("quick_refused", 0), 0)
        self.assertGreater(found["slow_answered"], 50)
        note("upgrade of the edge", run.seconds)
        note(f"slowest of {50 * RATE} visitors during an upgrade", found["slowest_seconds"])
        everybody = self.fleet.play("playbooks/upgrade.yml").check()
        self.assertIn("0.1.1", self.release("origin1", "warp-agent@main"))
        note("upgrade of the fleet", everybody.seconds)
        again = self.fleet.play("playbooks/upgrade.yml").check()
        self.assertEqual({counts["changed"] for counts in again.counts.values()}, {0})
        back = self.fleet.play("playbooks/upgrade.yml", variables={"warp_rollback": True}).check()
        note("rollback of the fleet", back.seconds)
        self.assertEqual(self.release("edge1", "warp-edge"), before)
        self.assertNotIn("0.1.1", self.release("origin1", "warp-agent@main"))
        self.assertTrue(self.fleet.visit(f"https://app.{ZONE}/").startswith("origin"))

    def test_upgrade_that_fails(self) -> None:
        """A release whose edge is ready, and ends soon after, is left again; the run says why."""
        before = self.release("edge1", "warp-edge")
        program = self.fleet.checkout / "warp_twisted/edge/tap.py"
        self.addCleanup(program.write_text, program.read_text())
        program.write_text(program.read_text() + DIES)
        run = self.fleet.play("playbooks/upgrade.yml")
        self.assertEqual(run.returncode, 2, run.output)
        said = " ".join(run.output.split())
        self.assertRegex(
            said, r"edge1 runs \S+ again, as it did not serve with the other release\. (Watch|Run) the edge: "
        )
        self.assertEqual(self.release("edge1", "warp-edge"), before)
        command = self.fleet.hosts.execute("edge1", "readlink", "/usr/local/bin/warp").strip()
        self.assertEqual(command.removesuffix("/bin/warp"), before)
        self.assertEqual(run.counts["origin1"]["changed"], 0, "no origin is touched after an edge failed")
        self.assertTrue(self.fleet.visit(f"https://app.{ZONE}/").startswith("origin"))
        note("upgrade of the edge that fails, and the way back", run.seconds)

        refused = self.fleet.play("site.yml")
        said = " ".join(refused.output.split())
        self.assertRegex(said, r"\S+ did not serve on edge1 before and was left again \(\S+: (Watch|Run) the edge: ")
        self.assertEqual({counts["changed"] for counts in refused.counts.values()}, {0}, "no host has changed")
        [bad] = self.fleet.hosts.execute("edge1", "ls", "/opt/warp/bad").split()
        self.assertNotIn(bad, self.fleet.hosts.execute("edge1", "ls", "/opt/warp/releases").split())
        self.fleet.play("playbooks/check.yml", variables={"warp_common_try_bad": True}).check()

    def test_upgrades_in_a_row(self) -> None:
        """After each of three releases the same run again changes nothing, and the last two that served are there."""
        readme = self.fleet.checkout / "README.md"
        self.addCleanup(readme.write_text, readme.read_text())
        releases = [self.release("edge1", "warp-edge")]
        for number in range(2):
            readme.write_text(f"{readme.read_text()}\nRelease {number} in a row.\n")
            self.fleet.play("playbooks/upgrade.yml", "--limit=edges").check()
            releases.append(self.release("edge1", "warp-edge"))
        again = self.fleet.play("playbooks/upgrade.yml", "--limit=edges").check()
        self.assertEqual(again.counts["edge1"]["changed"], 0, again.output)
        good = self.fleet.hosts.execute("edge1", "sh", "-c", "ls -d /opt/warp/releases/*/.good").split()
        self.assertEqual(sorted(path.removesuffix("/.good") for path in good), sorted(releases[-2:]))

    def test_restart_of_an_agent(self) -> None:
        """An agent that restarts drains: its visitors finish, and the others go to the other agent."""
        load = self.begin_load(10)
        self.fleet.hosts.execute("origin1", "systemctl", "restart", "warp-agent@main")
        found = self.end_load(load)
        self.assertEqual(found["quick_answered"], 10 * RATE)

    def test_reload_drops_nothing(self) -> None:
        """`systemctl reload` of edge, DNS and agent keeps processes, tunnels and visitors."""
        tunnels = {tunnel["id"] for tunnel in self.fleet.status()["tunnels"]}
        load = self.begin_load(5)
        for host, unit in (("edge1", "warp-edge"), ("edge1", "warp-dns"), ("origin1", "warp-agent@main")):
            self.fleet.hosts.execute(host, "systemctl", "reload", unit)
        self.assertEqual(self.end_load(load)["quick_answered"], 5 * RATE)
        self.assertEqual({tunnel["id"] for tunnel in self.fleet.status()["tunnels"]}, tunnels)
