"""Releases under load: nobody who is being served notices that another comes, fails, or goes; whoever comes waits."""

from tests.fleet.deployment import ZONE
from tests.fleet.under_load import UnderLoadTestCase

# What makes an edge end a while after it was ready, and its keeper's watch is over.
DIES = """
import sys
import threading

if "--check" not in sys.argv:
    threading.Timer(12.0, os._exit, (1,)).start()
"""
# Finds its configuration good, and ends when it is to serve.
ENDS = """
import sys

if "--check" not in sys.argv:
    raise SystemExit("this release does not serve")
"""
UPGRADE = "playbooks/upgrade.yml"
BACK = {"warp_rollback": True}


class UpgradeTests(UnderLoadTestCase):
    """Tests for `upgrade.yml`."""

    limit_seconds = 3600  # the sequence has six plays of one to two minutes on a quiet machine

    def release(self, host: str, unit: str) -> str:
        """Return the directory of the release that a unit runs."""
        shown = self.hosts.execute(host, "systemctl", "show", "--property=ExecStart", "--value", unit)
        return shown.split()[1].removeprefix("path=").rpartition("/bin/")[0]

    def bad(self) -> set[str]:
        """Return the names of releases that the edge's host does not take again."""
        found = ("find", "/opt/warp", "-maxdepth", "2", "-path", "/opt/warp/bad/*", "-printf", "%f ")
        return set(self.hosts.execute("edge1", *found).split())

    def command_of(self, process: str) -> str:
        """Return what a process was started with, which names its release."""
        return self.hosts.execute("edge1", "sh", "-c", f"tr '\\0' ' ' </proc/{process}/cmdline")

    def test_upgrade_and_rollback(self) -> None:
        """
        The edge, then each host, gets a new release, the edge then one that does not serve, and all go back.

        The keeper is of the release that serves.

        It is the third of the edge: the same run again changes nothing, and the last two that served are there.
        """
        first, origin_before = self.release("edge1", "warp-edge"), self.release("origin1", "warp-agent@main")
        before, keeper = self.edge(), self.keeper()
        readme, project = self.fleet.checkout / "README.md", self.fleet.checkout / "pyproject.toml"
        for path in (readme, project):
            self.addCleanup(path.write_text, path.read_text())
        readme.write_text(f"{readme.read_text()}\nThe second release.\n")
        self.handed_over("upgrade of the edge", lambda: self.fleet.play(UPGRADE, "--limit=edges").check())
        second = self.release("edge1", "warp-edge")
        self.assertNotEqual(self.edge(), before)
        self.assertEqual(self.keeper(), keeper)
        for process in (self.edge(), keeper):
            self.assertIn(second, self.command_of(process))

        project.write_text(project.read_text().replace('version = "0.1.0"', 'version = "0.1.1"'))
        self.visited("upgrade of the fleet", lambda: self.fleet.play(UPGRADE).check())
        third = self.release("edge1", "warp-edge")
        self.assertIn("0.1.1", third)
        self.assertIn("0.1.1", self.release("origin1", "warp-agent@main"))
        again = self.fleet.play(UPGRADE).check()
        self.assertEqual(again.changes, [])
        self.assertEqual(len({first, second, third}), 3)
        good = self.hosts.execute("edge1", "sh", "-c", "ls -d /opt/warp/releases/*/.good").split()
        self.assertEqual(sorted(path.removesuffix("/.good") for path in good), sorted([second, third]))

        program = self.fleet.checkout / "warp_twisted/edge/tap.py"
        self.addCleanup(program.write_text, program.read_text())
        program.write_text(program.read_text() + ENDS)
        runs = []
        self.handed_over("upgrade that fails", lambda: runs.append(self.fleet.play(UPGRADE, "--limit=edges")))
        self.assertEqual(runs[0].returncode, 2, runs[0].output)
        self.assertIn(third, self.command_of(self.edge()))

        self.handed_over(
            "rollback of the edge", lambda: self.fleet.play(UPGRADE, "--limit=edges", variables=BACK).check()
        )
        self.assertEqual(self.keeper(), keeper)
        for process in (self.edge(), keeper):
            self.assertIn(second, self.command_of(process))
        self.visited(
            "rollback of the origins", lambda: self.fleet.play(UPGRADE, "--limit=origins", variables=BACK).check()
        )
        self.assertEqual(self.release("edge1", "warp-edge"), second)
        self.assertEqual(self.release("origin1", "warp-agent@main"), origin_before)
        self.assertTrue(self.fleet.visit(f"https://app.{ZONE}/").startswith("origin"))

    def test_upgrade_that_fails(self) -> None:
        """A release whose edge is ready, and ends soon after, is left again; the run says why."""
        before, known = self.release("edge1", "warp-edge"), self.bad()
        program = self.fleet.checkout / "warp_twisted/edge/tap.py"
        self.addCleanup(program.write_text, program.read_text())
        program.write_text(program.read_text() + DIES)
        run = self.fleet.play(UPGRADE)
        self.assertEqual(run.returncode, 2, run.output)
        said = " ".join(run.output.split())
        self.assertRegex(
            said, r"edge1 runs \S+ again, as it did not serve with the other release\. (Watch|Run) the edge: "
        )
        self.assertEqual(self.release("edge1", "warp-edge"), before)
        command = self.hosts.execute("edge1", "readlink", "/usr/local/bin/warp").strip()
        self.assertEqual(command.removesuffix("/bin/warp"), before)
        self.assertEqual(run.counts["origin1"]["changed"], 0, "no origin is touched after an edge failed")
        self.assertTrue(self.fleet.visit(f"https://app.{ZONE}/").startswith("origin"))

        refused = self.fleet.play("site.yml")
        said = " ".join(refused.output.split())
        self.assertRegex(said, r"\S+ did not serve on edge1 before and was left again \(\S+: (Watch|Run) the edge: ")
        self.assertEqual(refused.changes, [], "no host has changed")
        [bad] = self.bad() - known
        self.assertNotIn(bad, self.hosts.execute("edge1", "ls", "/opt/warp/releases").split())
        self.fleet.play("playbooks/check.yml", variables={"warp_common_try_bad": True}).check()

    def test_restart_of_an_agent(self) -> None:
        """An agent that restarts drains: its visitors finish, and the others go to the other agent."""
        self.visited(
            "restart of an agent", lambda: self.hosts.execute("origin1", "systemctl", "restart", "warp-agent@main")
        )

    def test_reload_drops_nothing(self) -> None:
        """`systemctl reload` of edge, DNS and agent keeps processes, tunnels and visitors."""
        tunnels = {tunnel["id"] for tunnel in self.fleet.status()["tunnels"]}

        def reload() -> None:
            for host, unit in (("edge1", "warp-edge"), ("edge1", "warp-dns"), ("origin1", "warp-agent@main")):
                self.hosts.execute(host, "systemctl", "reload", unit)

        self.visited("reload of every service", reload)
        self.assertEqual({tunnel["id"] for tunnel in self.fleet.status()["tunnels"]}, tunnels)
