"""A new release under load: nobody who is being served notices, and whoever comes waits."""

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import ZONE, deployment
from tests.fleet.figures import note

RATE = 200
AFTER_SECONDS = 5  # of visitors when it is done
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

    def bad(self) -> set[str]:
        """Return the names of releases that the edge's host does not take again."""
        found = ("find", "/opt/warp", "-maxdepth", "2", "-path", "/opt/warp/bad/*", "-printf", "%f ")
        return set(self.fleet.hosts.execute("edge1", *found).split())

    def begin_load(self) -> "subprocess.Popen[str]":
        """Begin to send visitors to the edge."""
        address = self.fleet.hosts.address("edge1")
        command = (sys.executable, str(LOAD), address, f"app.{ZONE}", str(RATE))
        return subprocess.Popen(
            self.fleet.hosts.beside(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def end_load(self, load: "subprocess.Popen[str]") -> dict[str, float]:
        """End it a moment later, and return what became of the visitors, each of whom must have been answered."""
        time.sleep(AFTER_SECONDS)
        found: dict[str, float] = json.loads(load.communicate(timeout=120)[0])
        self.assertGreater(found["asked"], AFTER_SECONDS * RATE)
        self.assertEqual(found["quick_answered"], found["asked"], found)
        self.assertEqual([name for name in found if name.startswith("slow_")], ["slow_answered"], found)
        return found

    def test_upgrade_of_the_fleet(self) -> None:
        """
        At 200 requests a second each host gets a new release, and goes back to the old one; all are answered.

        It is the third of the edge: the same run again changes nothing, and the last two that served are there.
        """
        first, origin_before = self.release("edge1", "warp-edge"), self.release("origin1", "warp-agent@main")
        for name in ("README.md", "pyproject.toml"):
            self.addCleanup((self.fleet.checkout / name).write_text, (self.fleet.checkout / name).read_text())
        readme, project = self.fleet.checkout / "README.md", self.fleet.checkout / "pyproject.toml"
        readme.write_text(f"{readme.read_text()}\nThe second release.\n")
        self.fleet.play("playbooks/upgrade.yml", "--limit=edges").check()
        second = self.release("edge1", "warp-edge")

        project.write_text(project.read_text().replace('version = "0.1.0"', 'version = "0.1.1"'))
        load = self.begin_load()
        run = self.fleet.play("playbooks/upgrade.yml")
        found = self.end_load(load)
        note("upgrade of the fleet", run.check().seconds)
        note("upgrade of the fleet: visitors (count)", found["asked"])
        note("upgrade of the fleet: slowest visitor", found["slowest_seconds"])
        third = self.release("edge1", "warp-edge")
        self.assertIn("0.1.1", third)
        self.assertIn("0.1.1", self.release("origin1", "warp-agent@main"))
        again = self.fleet.play("playbooks/upgrade.yml").check()
        self.assertEqual({counts["changed"] for counts in again.counts.values()}, {0}, again.output)
        self.assertEqual(len({first, second, third}), 3)
        good = self.fleet.hosts.execute("edge1", "sh", "-c", "ls -d /opt/warp/releases/*/.good").split()
        self.assertEqual(sorted(path.removesuffix("/.good") for path in good), sorted([second, third]))

        load = self.begin_load()
        back = self.fleet.play("playbooks/upgrade.yml", variables={"warp_rollback": True})
        self.end_load(load)
        note("rollback of the fleet", back.check().seconds)
        self.assertEqual(self.release("edge1", "warp-edge"), second)
        self.assertEqual(self.release("origin1", "warp-agent@main"), origin_before)
        self.assertTrue(self.fleet.visit(f"https://app.{ZONE}/").startswith("origin"))

    def test_upgrade_that_fails(self) -> None:
        """A release whose edge is ready, and ends soon after, is left again; the run says why."""
        before, known = self.release("edge1", "warp-edge"), self.bad()
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
        [bad] = self.bad() - known
        self.assertNotIn(bad, self.fleet.hosts.execute("edge1", "ls", "/opt/warp/releases").split())
        self.fleet.play("playbooks/check.yml", variables={"warp_common_try_bad": True}).check()

    def test_restart_of_an_agent(self) -> None:
        """An agent that restarts drains: its visitors finish, and the others go to the other agent."""
        load = self.begin_load()
        self.fleet.hosts.execute("origin1", "systemctl", "restart", "warp-agent@main")
        self.end_load(load)

    def test_reload_drops_nothing(self) -> None:
        """`systemctl reload` of edge, DNS and agent keeps processes, tunnels and visitors."""
        tunnels = {tunnel["id"] for tunnel in self.fleet.status()["tunnels"]}
        load = self.begin_load()
        for host, unit in (("edge1", "warp-edge"), ("edge1", "warp-dns"), ("origin1", "warp-agent@main")):
            self.fleet.hosts.execute(host, "systemctl", "reload", unit)
        self.end_load(load)
        self.assertEqual({tunnel["id"] for tunnel in self.fleet.status()["tunnels"]}, tunnels)
