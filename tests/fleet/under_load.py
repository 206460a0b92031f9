"""
Visitors who come and stay while the edge changes: 200 requests a second, downloads of three seconds and of a gigabyte,
WebSockets and event streams, none of which may fail, or wait longer because of it.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


class UnderLoadTestCase(FleetTestCase):
    """A test of the deployed fleet that acts while visitors come."""

    def setUp(self) -> None:
        self.fleet = deployment()
        self.hosts = self.fleet.hosts

    def edge(self) -> str:
        """Return the process that serves."""
        return self.hosts.execute("edge1", "pgrep", "--newest", "--full", "twistd .* warp-edge ").strip()

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

    def visited(self, what: str, act: Callable[[], object]) -> dict[str, Any]:
        """Do something while visitors come; check that each was answered, and return what `load.py` counted."""
        load = self.begin("load.py", str(RATE))
        time.sleep(SLACK_SECONDS)
        begun = time.monotonic()
        act()
        note(f"{what}: seconds", time.monotonic() - begun)
        time.sleep(SLACK_SECONDS)
        found: dict[str, Any] = json.loads(load.communicate(timeout=120)[0])
        note(f"{what}: visitors (count)", found["asked"])
        self.assertGreater(found["asked"], RATE * SLACK_SECONDS)
        self.assertEqual(found["quick_answered"], found["asked"], found)
        self.assertEqual([name for name in found if name.startswith("slow_")], ["slow_answered"], found)
        return found

    def handed_over(self, what: str, act: Callable[[], object]) -> None:
        """
        Have processes of the edge take over while visitors come and stay, and check that none of them noticed.

        Where the machine is so busy that visitors wait at other times, they may wait for as long at a hand-over.
        """
        stays, since = self.begin("streams.py"), time.time()
        found = self.visited(what, act)
        lived = json.loads(stays.communicate(timeout=120)[0])
        hand_overs = self.hand_overs(since)
        slowest = {True: 0.0, False: 0.0}
        for second, seconds in found["slowest_each_second"].items():
            is_meant = int(second) in hand_overs
            slowest[is_meant] = max(slowest[is_meant], seconds)
        note(f"{what}: slowest visitor at a hand-over", slowest[True])
        note(f"{what}: slowest visitor at another time", slowest[False])
        kinds = {"websocket": streams.WEBSOCKETS, "events": streams.EVENT_STREAMS, "download": streams.DOWNLOADS}
        self.assertEqual({kind: lived.get(f"{kind}_lived", 0) for kind in kinds}, kinds, lived)
        self.assertGreater(slowest[True], 0.0, "visitors came at each hand-over")
        self.assertLess(slowest[True], max(MOST_SECONDS, slowest[False]))
