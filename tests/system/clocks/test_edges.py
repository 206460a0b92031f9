"""Edges whose clock is wrong, as programs: what goes on, what they refuse, and that all is well when it is right."""

import json
import shutil
import tempfile
import time
from pathlib import Path

from twisted.logger import Logger

from tests.case import AsyncTestCase, until
from tests.system.agent.origins import unused_port
from tests.system.agent.programs import Program
from tests.system.clocks.faketime import STEPS, WrongClock
from tests.system.edge.live import HOST, edge_files
from tests.system.members.beside import HOSTNAME, Machine, ask, named_origin

_TWISTD = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
CANNOT_START = {"2 d behind", "55 years behind"}  # its certificate was made today
REFUSES = {"2 d behind", "2 d ahead", "55 years behind"}  # agents' certificates of a day
SEEMS = "2 d behind"  # what an agent says of its own clock, beside an edge that is 2 d ahead
_log = Logger()


class EdgeClockTests(AsyncTestCase):
    """One edge, whose clock is set, and one agent, whose clock is right."""

    timeout = 300

    async def prepare(self) -> None:
        """Start both, and wait until they serve."""
        self.directory = Path(tempfile.mkdtemp(prefix="warp-test-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.http, tunnel = unused_port(), unused_port()
        listen = {"http": [f"tcp:{self.http}:interface={HOST}"], "tunnel": [f"tcp:{tunnel}:interface={HOST}"]}
        (self.directory / "edge.yaml").write_text(json.dumps(edge_files(self.directory, listen=listen)))
        self.clock = WrongClock(self.directory / "edge-clock")
        self.start_edge()
        await self.edge.says("serves")
        token_file = self.directory / "token"
        arguments = ("token", "create", "--hostname", HOSTNAME, "--out", str(token_file))
        made = Program("-m", "warp_twisted.cli", *arguments, "--admin", str(self.directory / "admin.sock"))
        self.assertEqual(await made.exited, 0, made.errors)
        self.agent = Machine(self.directory, "agent", named_origin(self, "agent"), token_file.read_text())
        self.start_agent()
        await self.back("at first")

    def start_edge(self) -> None:
        """Start the edge, and end it with the test."""
        arguments = ("-c", _TWISTD, "-n", "--pidfile=", "warp-edge", "--config", str(self.directory / "edge.yaml"))
        self.edge = Program(*arguments, environment=self.clock.environment)
        self.addCleanup(self.edge.end)

    def start_agent(self) -> None:
        """Start the agent, and end it with the test."""
        self.agent.start()
        self.addCleanup(self.agent.program.end)

    async def status(self) -> int:
        """Ask as a visitor; 0 if nobody listens."""
        return (await ask(self.http)).status

    async def back(self, what: str) -> None:
        """Wait until visitors are served, and note how long that took."""
        began = time.monotonic()
        while await self.status() != 200:
            self.assertLess(time.monotonic() - began, 60, self.agent.log + self.edge.output + self.edge.errors)
        _log.info("measured: {what}: back after {seconds:.1f} s", what=what, seconds=time.monotonic() - began)

    async def test_set_while_it_runs(self) -> None:
        """Tunnels stay, however the clock is set; an agent that comes anew is let in when the clock is right."""
        for name, seconds in STEPS.items():
            self.clock.set(seconds)
            self.assertEqual(await self.status(), 200)
            await self.agent.program.end()
            self.start_agent()
            if name in REFUSES:
                await until(lambda: "is down" in self.agent.log, 60)
                self.assertNotEqual(await self.status(), 200)
                self.clock.set(0)
            await self.back(f"edge running, clock {name}")
            self.clock.set(0)

    async def test_wrong_at_its_start(self) -> None:
        """An edge by whose clock its own certificate is not valid says so and ends; another serves when it is right."""
        for name, seconds in STEPS.items():
            await self.edge.end()
            (self.directory / "state" / "tunnel.pem").unlink()  # as one that it would keep is good for a week
            self.clock.set(seconds)
            self.start_edge()
            if name in CANNOT_START:
                self.assertEqual(await self.edge.exited, 1)
                self.assertIn("and this machine's clock shows", self.edge.output + self.edge.errors)
                self.clock.set(0)
                self.start_edge()
            elif name in REFUSES:
                await until(lambda: f"this machine's clock seems to be {SEEMS} the edge's" in self.agent.log, 60)
                self.assertNotEqual(await self.status(), 200)
                self.clock.set(0)
            await self.back(f"edge started, clock {name}")
            self.clock.set(0)
