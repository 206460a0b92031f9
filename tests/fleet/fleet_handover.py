"""
Another process of the edge takes over while visitors come and stay: nobody fails, nobody waits, streams live on.

Everything happens under 200 requests a second, downloads of three seconds, WebSockets and event streams.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.fleet import streams
from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import ZONE, deployment
from tests.fleet.figures import note

RATE = 200
MOST_SECONDS = 0.25  # that a visitor may wait because of a hand-over
SLACK_SECONDS = 5  # for streams and load to begin before anything happens, and to go on after it
HERE = Path(__file__).parent
# Finds its configuration good, and ends when it is to serve.
ENDS = """
import sys

if "--check" not in sys.argv:
    raise SystemExit("this release does not serve")
"""


class HandOverTests(FleetTestCase):
    """Each way to another process."""

    def setUp(self) -> None:
        self.fleet = deployment()
        self.hosts = self.fleet.hosts
        every = self.fleet.inventory / "group_vars/all.yml"
        wanted = yaml.safe_dump({"warp_edge_timeouts": {"drain": 900}})
        if wanted not in every.read_text():  # what the old process may take to finish
            every.write_text(f"{every.read_text()}\n{wanted}")
            self.fleet.play("site.yml", "--limit=edges").check()

    def edge(self) -> str:
        """Return the process that serves."""
        said = self.hosts.execute("edge1", "sh", "-c", "pgrep --newest --full 'twistd .* warp-edge '")
        return said.strip()

    def keeper(self) -> str:
        """Return the main process of the unit."""
        return self.hosts.execute("edge1", "systemctl", "show", "--value", "--property=MainPID", "warp-edge").strip()

    def begin(self, program: str, *arguments: str) -> "subprocess.Popen[str]":
        """Begin to visit."""
        command = (sys.executable, str(HERE / program), self.hosts.address("edge1"), f"app.{ZONE}", *arguments)
        return subprocess.Popen(self.hosts.beside(*command), stdout=subprocess.PIPE, text=True)

    def under_load(self, what: str, seconds: int, act: Callable[[], object]) -> None:
        """
        Do something while visitors come and stay, and check that none of them noticed.

        :param seconds: that the visitors take; `act` must be over by then.
        """
        load = self.begin("load.py", str(RATE), str(seconds))
        stays = self.begin("streams.py", str(seconds))
        begun = time.monotonic()
        time.sleep(SLACK_SECONDS)
        act()
        note(f"{what}: seconds", time.monotonic() - begun - SLACK_SECONDS)
        self.assertLess(time.monotonic() - begun, seconds, "it took longer than the visitors stayed")
        found = json.loads(load.communicate(timeout=seconds + 120)[0])
        lived = json.loads(stays.communicate(timeout=120)[0])
        note(f"{what}: slowest of {RATE * seconds} visitors", found["slowest_seconds"])
        self.assertEqual(found["quick_answered"], RATE * seconds, found)
        self.assertEqual([name for name in found if name.startswith("slow_")], ["slow_answered"], found)
        kinds = {"websocket": streams.WEBSOCKETS, "events": streams.EVENT_STREAMS, "download": streams.DOWNLOADS}
        self.assertEqual({kind: lived.get(f"{kind}_lived", 0) for kind in kinds}, kinds, lived)
        self.assertLess(found["slowest_seconds"], MOST_SECONDS)

    def test_restart(self) -> None:
        """`warp restart`: another process, the same keeper."""
        before, keeper = self.edge(), self.keeper()
        self.under_load("warp restart", 30, lambda: self.hosts.execute("edge1", "warp", "restart", "--json"))
        self.assertNotEqual(self.edge(), before)
        self.assertEqual(self.keeper(), keeper)

    def test_reload(self) -> None:
        """`systemctl reload` for a key that needs a new process."""
        before = self.edge()
        change = "sed -i 's/^  weight: .*/  weight: 7/' /etc/warp/edge.yaml && systemctl reload warp-edge"
        self.under_load(
            "reload of a key that needs a new process", 30, lambda: self.hosts.execute("edge1", "sh", "-c", change)
        )
        self.assertNotEqual(self.edge(), before)
        self.fleet.play("site.yml", "--limit=edges", "--tags=warp_configure").check()

    def test_upgrade(self) -> None:
        """An upgrade, one that fails, and the way back; the keeper is of the release that serves."""
        before, keeper = self.edge(), self.keeper()
        project = self.fleet.checkout / "pyproject.toml"
        project.write_text(project.read_text().replace('version = "0.1.0"', 'version = "0.1.2"'))
        self.under_load("upgrade", 150, lambda: self.fleet.play("playbooks/upgrade.yml", "--limit=edges").check())
        self.assertNotEqual(self.edge(), before)
        self.assertEqual(self.keeper(), keeper)
        self.assertIn("0.1.2", self.hosts.execute("edge1", "sh", "-c", f"tr '\\0' ' ' </proc/{keeper}/cmdline"))
        serving = self.edge()
        program = self.fleet.checkout / "warp_twisted/edge/tap.py"
        self.addCleanup(program.write_text, program.read_text())
        program.write_text(program.read_text() + ENDS)
        runs = []
        self.under_load(
            "upgrade that fails", 150, lambda: runs.append(self.fleet.play("playbooks/upgrade.yml", "--limit=edges"))
        )
        self.assertEqual(runs[0].returncode, 2, runs[0].output)
        self.assertEqual(self.edge(), serving)
        back = {"warp_rollback": True}
        self.under_load(
            "rollback", 150, lambda: self.fleet.play("playbooks/upgrade.yml", "--limit=edges", variables=back).check()
        )
        self.assertEqual(self.keeper(), keeper)

    def test_restart_of_the_unit(self) -> None:
        """`systemctl restart` stops before it starts: who comes waits, and how long is noted."""
        load = self.begin("load.py", str(RATE), "20")
        self.hosts.execute("edge1", "systemctl", "restart", "warp-edge")
        found = json.loads(load.communicate(timeout=120)[0])
        note("systemctl restart: slowest visitor", found["slowest_seconds"])
        self.assertEqual(found["quick_answered"], RATE * 20, found)
