"""
Another process of the edge takes over while visitors come and stay: nobody fails, nobody waits, streams live on.

Everything happens under 200 requests a second, downloads of three seconds and of a gigabyte, WebSockets and event
streams.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.fleet import streams
from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import ZONE, deployment
from tests.fleet.figures import note

RATE = 200
MOST_SECONDS = 0.25  # that a visitor may wait because of a hand-over
# What the keeper says when a process is to take over, and when that is over, well or not.
BEGINS = "a new process prepares"
HAND_OVER = f"{BEGINS}|handed over|[Tt]he old one serves on"
SLACK_SECONDS = 5  # of visitors before anything happens, and after it
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

    def edge(self) -> str:
        """Return the process that serves."""
        said = self.hosts.execute("edge1", "sh", "-c", "pgrep --newest --full 'twistd .* warp-edge '")
        return said.strip()

    def keeper(self) -> str:
        """Return the main process of the unit."""
        return self.hosts.execute("edge1", "systemctl", "show", "--value", "--property=MainPID", "warp-edge").strip()

    def hand_overs(self, since: float) -> set[int]:
        """Return the seconds of the clock in which a process was to take over from another, and one on either side."""
        wanted = ("--quiet", "--output=short-unix", "--unit=warp-edge", f"--since=@{int(since)}", f"--grep={HAND_OVER}")
        found: set[int] = set()
        begun = None
        for line in self.hosts.execute("edge1", "journalctl", *wanted).splitlines():
            instant = int(float(line.split()[0]))
            if BEGINS in line:
                begun = instant
            elif begun is not None:
                found |= set(range(begun - 1, instant + 2))
        return found

    def begin(self, program: str, *arguments: str) -> "subprocess.Popen[str]":
        """Begin to visit, until the program's input ends."""
        command = (sys.executable, str(HERE / program), self.hosts.address("edge1"), f"app.{ZONE}", *arguments)
        return subprocess.Popen(self.hosts.beside(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def under_load(self, what: str, act: Callable[[], object]) -> None:
        """
        Do something while visitors come and stay, and check that none of them noticed.

        Where the machine is so busy that visitors wait at other times, they may wait for as long at a hand-over.
        """
        load, stays = self.begin("load.py", str(RATE)), self.begin("streams.py")
        time.sleep(SLACK_SECONDS)
        begun, since = time.monotonic(), time.time()
        act()
        note(f"{what}: seconds", time.monotonic() - begun)
        time.sleep(SLACK_SECONDS)
        found = json.loads(load.communicate(timeout=120)[0])
        lived = json.loads(stays.communicate(timeout=120)[0])
        note(f"{what}: visitors (count)", found["asked"])
        hand_overs = self.hand_overs(since)
        slowest = {True: 0.0, False: 0.0}
        for second, seconds in found.pop("slowest_each_second").items():
            is_meant = int(second) in hand_overs
            slowest[is_meant] = max(slowest[is_meant], seconds)
        note(f"{what}: slowest visitor at a hand-over", slowest[True])
        note(f"{what}: slowest visitor at another time", slowest[False])
        self.assertGreater(found["asked"], RATE * SLACK_SECONDS)
        self.assertEqual(found["quick_answered"], found["asked"], found)
        self.assertEqual([name for name in found if name.startswith("slow_")], ["slow_answered"], found)
        kinds = {"websocket": streams.WEBSOCKETS, "events": streams.EVENT_STREAMS, "download": streams.DOWNLOADS}
        self.assertEqual({kind: lived.get(f"{kind}_lived", 0) for kind in kinds}, kinds, lived)
        self.assertGreater(slowest[True], 0.0, "visitors came at each hand-over")
        self.assertLess(slowest[True], max(MOST_SECONDS, slowest[False]))

    def test_restart(self) -> None:
        """`warp restart`: another process, the same keeper."""
        before, keeper = self.edge(), self.keeper()
        self.under_load("warp restart", lambda: self.hosts.execute("edge1", "warp", "restart", "--json"))
        self.assertNotEqual(self.edge(), before)
        self.assertEqual(self.keeper(), keeper)

    def test_reload(self) -> None:
        """`systemctl reload` for a key that needs a new process, and again for what it was before."""
        processes, keeper = [self.edge()], self.keeper()
        there = "cd /etc/warp && cp -p edge.yaml edge.yaml.away && sed -i 's/^  weight: .*/  weight: 7/' edge.yaml"
        back = "cd /etc/warp && mv edge.yaml.away edge.yaml"
        self.addCleanup(self.hosts.execute, "edge1", "sh", "-c", f"test ! -e /etc/warp/edge.yaml.away || {{ {back}; }}")

        def there_and_back() -> None:
            for change in (there, back):
                self.hosts.execute("edge1", "sh", "-c", f"{change} && systemctl reload warp-edge")
                processes.append(self.edge())

        self.under_load("reload of a key that needs a new process, and back", there_and_back)
        self.assertEqual(len(set(processes)), 3, processes)
        self.assertEqual(self.keeper(), keeper)

    def command_of(self, process: str) -> str:
        """Return what a process was started with, which names its release."""
        return self.hosts.execute("edge1", "sh", "-c", f"tr '\\0' ' ' </proc/{process}/cmdline")

    def test_upgrade(self) -> None:
        """An upgrade, one that fails, and the way back; the keeper is of the release that serves."""
        before, keeper = self.edge(), self.keeper()
        project = self.fleet.checkout / "pyproject.toml"
        self.addCleanup(project.write_text, project.read_text())
        project.write_text(project.read_text().replace('version = "0.1.0"', 'version = "0.1.2"'))
        self.under_load("upgrade", lambda: self.fleet.play("playbooks/upgrade.yml", "--limit=edges").check())
        self.assertNotEqual(self.edge(), before)
        self.assertEqual(self.keeper(), keeper)
        self.assertIn("0.1.2", self.command_of(keeper))
        serving = self.command_of(self.edge())
        program = self.fleet.checkout / "warp_twisted/edge/tap.py"
        self.addCleanup(program.write_text, program.read_text())
        program.write_text(program.read_text() + ENDS)
        runs = []
        self.under_load(
            "upgrade that fails", lambda: runs.append(self.fleet.play("playbooks/upgrade.yml", "--limit=edges"))
        )
        self.assertEqual(runs[0].returncode, 2, runs[0].output)
        self.assertEqual(self.command_of(self.edge()), serving)  # perhaps another process
        back = {"warp_rollback": True}
        self.under_load(
            "rollback", lambda: self.fleet.play("playbooks/upgrade.yml", "--limit=edges", variables=back).check()
        )
        self.assertEqual(self.keeper(), keeper)

    def test_restart_of_the_unit(self) -> None:
        """`systemctl restart` stops before it starts: who comes waits, and how long is noted."""
        load = self.begin("load.py", str(RATE), "--seconds=20")
        self.hosts.execute("edge1", "systemctl", "restart", "warp-edge")
        found = json.loads(load.communicate(timeout=120)[0])
        note("systemctl restart: slowest visitor", found["slowest_seconds"])
        self.assertEqual(found["quick_answered"], RATE * 20, found)
