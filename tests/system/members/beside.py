"""An edge in this process, agents as programs beside one another, their origins, and visitors that are timed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.case import AsyncTestCase, reactor, short_directory_of, until
from tests.system.agent.origins import listen_at, port_of
from tests.system.agent.programs import Program, twistd_agent
from tests.system.edge.live import HOST, ZONE, make_node, new_token
from warp_twisted.edge.node import EdgeNode

HOSTNAME = f"app.{ZONE}"


class Origin(Protocol):
    """Answers each request with the origin's name; a connection of an agent, so it stays."""

    name = ""
    received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        while b"\r\n\r\n" in self.received:
            self.received = self.received.partition(b"\r\n\r\n")[2]
            body = self.name.encode()
            assert self.transport is not None
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a visitor got: the status, which origin answered, and after how many seconds."""

    status: int
    origin: str
    seconds: float


class Visitor(Protocol):
    """A visitor who asks once, and what it got."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.received = b""
        self.done: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self.request)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.done.callback(self.received)


def named_origin(case: TestCase, name: str, kind: type[Origin] = Origin) -> int:
    """Let an origin answer with a name, until the test ends; return its port."""
    factory = Factory.forProtocol(type("Named", (kind,), {"name": name}))
    factory.noisy = False
    port = listen_at(TCP4ServerEndpoint(reactor, 0, interface=HOST), factory)
    case.addCleanup(port.stopListening)
    return port_of(port)


async def ask(port: int, *fields: str) -> Answer:
    """Be a visitor of an edge who asks once; the status is 0 if nobody listens or answers."""
    began = time.monotonic()
    request = "\r\n".join(["GET / HTTP/1.1", f"Host: {HOSTNAME}", "Connection: close", *fields, "", ""])
    try:
        visitor = await connectProtocol(TCP4ClientEndpoint(reactor, HOST, port), Visitor(request.encode()))
    except ConnectError:
        return Answer(0, "", time.monotonic() - began)
    head, _, body = (await visitor.done).partition(b"\r\n\r\n")
    return Answer(int(head[9:12] or 0), body.decode(errors="replace"), time.monotonic() - began)


class Machine:
    """
    A machine with an agent: its state directory, and the program while it runs.

    :ivar program: the agent.
    :ivar environment: what it is started with, beside a bare one.
    """

    program: Program

    def __init__(self, directory: Path, name: str, port: int, token: str) -> None:
        self.directory = directory / name
        self.directory.mkdir()
        self.name = name
        self.environment = {"HOME": str(self.directory)}
        (self.directory / "token").write_text(token)
        self.write_config(port)

    def write_config(self, port: int, more: str = "") -> None:
        """Write agent.yaml: one hostname, two tunnels."""
        config = self.directory / "agent.yaml"
        config.write_text(
            f"state: {self.state}\ntoken_file: {self.directory}/token\ntunnels: 2\nlog: {{format: text}}\n{more}\n"
            f"ingress: [{{hostname: {HOSTNAME}, service: 'http://{HOST}:{port}'}}, {{service: 'http_status:404'}}]\n"
        )

    @property
    def state(self) -> Path:
        """Where the agent's identity is."""
        return self.directory / "state"

    def start(self) -> None:
        """Start the agent."""
        self.program = twistd_agent(str(self.directory / "agent.yaml"), environment=self.environment)

    @property
    def log(self) -> str:
        """What the agent has said."""
        return self.program.output + self.program.errors


class BesideTestCase(AsyncTestCase):
    """One edge, and machines with agents of one hostname."""

    timeout = 120
    sections: dict[str, object] = {}

    async def prepare(self) -> None:
        """Start the edge."""
        self.directory = short_directory_of(self)
        self.node = await self.start_edge()

    async def start_edge(self) -> EdgeNode:
        """Start an edge, and stop it with the test."""
        node = make_node(self.directory, **self.sections)
        node.startService()
        await node.started
        self.addCleanup(lambda: node.stopService() if node.running else None)
        return node

    @property
    def tunnels(self) -> Sequence[tuple[str, str, int]]:
        """Return agent, session and slot of each registered tunnel."""
        found = self.node.parts.tunnels.registrations.by_id.values()
        return sorted((tunnel.agent, tunnel.session, tunnel.slot) for tunnel in found)

    def origin(self, name: str) -> int:
        """Let an origin answer with a name; return its port."""
        return named_origin(self, name)

    async def machine(self, name: str) -> Machine:
        """Set a machine up whose origin answers with its name, and whose agent may enroll once."""
        return Machine(self.directory, name, self.origin(name), await new_token(self.node, HOSTNAME))

    def start(self, machine: Machine) -> None:
        """Start a machine's agent, and end it with the test."""
        machine.start()
        self.addCleanup(machine.program.end)

    async def serve(self, *machines: Machine) -> None:
        """Start agents, and wait until each has its two tunnels."""
        before = len(self.tunnels)
        for machine in machines:
            self.start(machine)
        await until(lambda: len(self.tunnels) == before + 2 * len(machines), 60)

    async def ask(self) -> Answer:
        """Be a visitor who asks once."""
        return await ask(self.node.ports.http[0])
