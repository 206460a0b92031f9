"""Edges whose clock is wrong, as programs: what goes on, what they refuse, and that all is well when it is right."""

import json
import select
import socket
import time

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from tests.case import AsyncTestCase, reactor, short_directory_of, until
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


class _Unfinished(Protocol):
    """A visitor who says half a head, and waits until the edge has had enough."""

    def __init__(self) -> None:
        self.done: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"GET / HTTP/1.1\r\nHo")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.done.callback(None)


class EdgeClockTests(AsyncTestCase):
    """One edge, whose clock is set, and one agent, whose clock is right."""

    timeout = 300

    async def prepare(self) -> None:
        """Start both, and wait until they serve."""
        self.directory = short_directory_of(self)
        self.http, tunnel = unused_port(), unused_port()
        listen = {"http": [f"tcp:{self.http}:interface={HOST}"], "tunnel": [f"tcp:{tunnel}:interface={HOST}"]}
        timeouts = {"header": 2, "drain": 1, "settle": 0}
        (self.directory / "edge.yaml").write_text(
            json.dumps(edge_files(self.directory, listen=listen, timeouts=timeouts))
        )
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

    def start_edge(self, **environment: str) -> None:
        """Start the edge, and end it with the test."""
        arguments = ("-c", _TWISTD, "-n", "--pidfile=", "warp-edge", "--config", str(self.directory / "edge.yaml"))
        self.edge = Program(*arguments, environment=self.clock.environment | environment)
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

    async def test_what_waits(self) -> None:
        """A time-out falls due and systemd hears beats, though the clock was set back meanwhile."""
        await self.edge.end()
        systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.addCleanup(systemd.close)
        systemd.bind(str(self.directory / "notify.sock"))
        self.start_edge(NOTIFY_SOCKET=str(self.directory / "notify.sock"), WATCHDOG_USEC="1000000")
        await self.back("edge started")
        for ahead in (STEPS["1 h behind"], STEPS["55 years behind"]):
            self.clock.set(ahead)
            cut = _Unfinished()
            await connectProtocol(TCP4ClientEndpoint(reactor, HOST, self.http), cut)
            beats = 0
            while beats < 3:
                await until(lambda: bool(select.select([systemd], [], [], 0)[0]), 30)
                beats += systemd.recv(4096).count(b"WATCHDOG=1")
            await cut.done

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
