"""A small edge for the agent's tests: real sockets, real TLS, real certificates, and no HTTP."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort

from tests.case import reactor
from tests.clocks import SettableWallClock
from tests.system.agent.origins import listen_at, port_of
from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_twisted.ca.issue import (
    Issuer,
    agent_identity,
    fingerprint,
    issue_agent,
    issue_edge,
    issue_intermediate,
    issue_root,
    key_to_pem,
    new_key,
    read_request,
    to_pem,
)
from warp_twisted.ca.returning import prove_return
from warp_twisted.ca.tokens import JoinTokenText
from warp_twisted.names import HostnamePattern
from warp_twisted.testing import RecordingReceiver
from warp_twisted.tunnel import TunnelListener, TunnelProtocol, Turn, edge_context
from warp_twisted.tunnel.enrollment import Asker
from warp_twisted.tunnel.tls import TlsProtocol
from warp_twisted.wire.control import (
    Accepted,
    ControlMessage,
    Drain,
    Enrolled,
    EnrollRefused,
    EnrollRequest,
    Hello,
    Refused,
    Renewed,
    RenewRequest,
    ReturnRequest,
    RoutesChanged,
)
from warp_twisted.wire.errors import WireError
from warp_twisted.wire.preamble import Opening
from warp_twisted.wire.releases import policy_digest
from warp_twisted.wire.streams import Stream

SECRET = "ab" * 32
KEPT_BYTES = 2 << 20


class Fleet:
    """
    The CA of a fleet, and one join token.

    :param directory: where the edges' files go.
    """

    AGE = timedelta(days=30)

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        now = datetime.now(UTC) - self.AGE
        key = new_key()
        self.root = Issuer(issue_root(key, "warp.example", now), key)
        self.root_pem = to_pem(self.root.certificate)
        self.agent_lifetime = timedelta(hours=24)
        self.issued_ago = timedelta(0)
        self.enrolled = 0
        self.returned = 0
        self.wishes: list[list[str]] = []

    def issuer(self, name: str) -> Issuer:
        """Make an edge's intermediate."""
        key = new_key()
        certificate = issue_intermediate(self.root, key.public_key(), name, datetime.now(UTC) - self.AGE)
        return Issuer(certificate, key, (certificate,))

    def token(self, *ports: int) -> JoinTokenText:
        """Return a join token for edges on these ports of loopback."""
        edges = tuple(f"127.0.0.1:{port}" for port in ports)
        return JoinTokenText(edges, fingerprint(self.root.certificate), "t1", SECRET)


@dataclass(eq=False)
class Visit(RecordingReceiver):
    """
    One stream to an origin, and what came of it.

    :ivar count: bytes that came; they are kept in `data` only while there are few.
    """

    def __post_init__(self) -> None:
        super().__init__()
        self.count = 0
        self.opened: Deferred[Opening] = Deferred()
        self.over: Deferred[bytes] = Deferred()
        self._awaited: tuple[int, Deferred[bytes]] | None = None

    def opening_received(self, opening: Opening) -> None:
        """Say whether the origin was reached."""
        super().opening_received(opening)
        self.opened.callback(opening)

    def data_received(self, data: bytes) -> None:
        """Keep the bytes, and tell who waits for them."""
        self.count += len(data)
        if self.count <= KEPT_BYTES:
            self.data += data
        if self.consumes:
            self.stream.consumed(len(data))
        if self._awaited is not None and self.count >= self._awaited[0]:
            (_, deferred), self._awaited = self._awaited, None
            deferred.callback(self.data)

    def end_received(self) -> None:
        """The origin ended."""
        super().end_received()
        if not self.over.called:
            self.over.callback(self.data)

    def stream_lost(self, error: WireError) -> None:
        """The stream was cut."""
        super().stream_lost(error)
        if not self.opened.called:
            self.opened.errback(error)
            self.opened.addErrback(lambda _: None)
        if not self.over.called:
            self.over.errback(error)
            self.over.addErrback(lambda _: None)

    def read(self, size: int) -> Deferred[bytes]:
        """Wait until so many bytes have come in all."""
        deferred: Deferred[bytes] = Deferred()
        if self.count >= size:
            deferred.callback(self.data)
        else:
            self._awaited = (size, deferred)
        return deferred


def cut(tunnel: TunnelProtocol) -> None:
    """Reset a tunnel's connection, as a killed process or a broken network does."""
    transport = tunnel.transport
    assert isinstance(transport, TlsProtocol)
    transport.abortConnection()


@dataclass(eq=False)
class StubEdge:
    """
    One edge on loopback. It accepts every hello, unless `answer` says otherwise.

    :ivar answer: what to answer a hello or new routes with, None to accept.
    :ivar gate: how to refuse who wants to be let in, None to judge by the proof.
    :ivar holds_answers: whether answers wait for `release`.
    :ivar enforces: whether it promises what agents ask.
    :ivar name_servers: those of warp.example that it tells agents of.
    :ivar tunnels: those that are registered, in order.
    :ivar left: those whose agents take no new streams.
    :ivar wall: its clock.
    """

    fleet: Fleet
    name: str = "edge1"
    answer: Callable[[ControlMessage], ControlMessage | None] = lambda message: None
    gate: Callable[[ControlMessage], EnrollRefused | None] = lambda request: None
    tunnels: list[TunnelProtocol] = field(default_factory=list)
    hellos: list[Hello] = field(default_factory=list)
    messages: list[ControlMessage] = field(default_factory=list)
    drains: list[Drain] = field(default_factory=list)
    left: set[TunnelProtocol] = field(default_factory=set)
    edges: list[str] = field(default_factory=list)
    name_servers: dict[str, list[str]] = field(default_factory=dict)
    holds_answers: bool = False
    enforces: bool = True
    port: int = 0
    _listening: IListeningPort | None = None
    _waiters: list[tuple[Callable[[], bool], Deferred[None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._all: set[TunnelProtocol] = set()
        self._answers: list[tuple[TunnelProtocol, ControlMessage]] = []
        self.issuer = self.fleet.issuer(self.name)
        self.wall = SettableWallClock(MACHINE_WALL_CLOCK.now(), reactor)
        self._listener = TunnelListener(
            context=self._make_context(),
            delegate=self,
            reactor=reactor,
            turn=Turn(reactor),
            root_pem=self.fleet.root_pem,
            wall=self.wall,
            enroll=self.enroll,
        )

    def _make_context(self) -> ssl.SSLContext:
        key = new_key()
        now = datetime.fromtimestamp(self.wall.now(), UTC)
        certificate = issue_edge(self.issuer, key.public_key(), ["localhost"], [ip_address("127.0.0.1")], now)
        chain_file = self.fleet.directory / f"{self.name}.pem"
        key_file = self.fleet.directory / f"{self.name}.key"
        chain_file.write_text(to_pem(certificate, *self.issuer.chain))
        key_file.write_bytes(key_to_pem(key))
        return edge_context(root_pem=self.fleet.root_pem, chain_file=chain_file, key_file=key_file)

    def set_clock(self, ahead: float) -> None:
        """Set the edge's clock so many seconds ahead of the true time, with a certificate of then."""
        self.wall.set(MACHINE_WALL_CLOCK.now() + ahead)
        self._listener.context = self._make_context()

    def listen(self) -> None:
        """Take connections, on the same port as the last time."""
        self._listening = listen_at(TCP4ServerEndpoint(reactor, self.port, interface="127.0.0.1"), self._listener)
        self.port = port_of(self._listening)

    async def stop(self) -> None:
        """Go away as a killed process does: the port closes and every connection is reset."""
        listening, self._listening = self._listening, None
        if listening is not None:
            await maybeDeferred(listening.stopListening)
        gone = [tunnel.disconnected() for tunnel in self._all]
        for tunnel in list(self._all):
            cut(tunnel)
        for deferred in gone:
            await deferred

    def until(self, condition: Callable[[], bool]) -> Deferred[None]:
        """Wait for a condition, which is looked at whenever an agent does something."""
        deferred: Deferred[None] = Deferred()
        self._waiters.append((condition, deferred))
        self.changed()
        return deferred

    def changed(self) -> None:
        """Look at every condition."""
        for waiter in list(self._waiters):
            if waiter[0]():
                self._waiters.remove(waiter)
                waiter[1].callback(None)

    def visit(self, route_id: int, data: bytes = b"", tunnel: int = -1) -> Visit:
        """Open a stream to a route."""
        visit = Visit()
        visit.stream = self.tunnels[tunnel].open_route(route_id, visit, data)
        return visit

    async def enroll(self, request: EnrollRequest | ReturnRequest, asker: Asker) -> Enrolled | EnrollRefused:
        """Let in who has the token, and back in who has a certificate; unless `gate` says otherwise."""
        if (refusal := self.gate(request)) is not None:
            return refusal
        if isinstance(request, ReturnRequest):
            roots = [self.fleet.root.certificate]
            proven = prove_return(request.chain_pem, request.signature, asker.nonce, roots, MACHINE_WALL_CLOCK.now())
            self.fleet.returned += 1
            return self.let_in(proven.identity.id, proven.key)
        if request.secret != SECRET:
            return EnrollRefused(code="token_unknown", reason="the join token is not known")
        self.fleet.enrolled += 1
        self.fleet.wishes.append(request.hostnames)
        return self.let_in(f"a-{self.fleet.enrolled}", read_request(request.csr_pem))

    def let_in(self, agent: str, key: ec.EllipticCurvePublicKey) -> Enrolled:
        """Return an identity with a new certificate."""
        return Enrolled(
            agent_id=agent,
            chain_pem=self.issue(agent, key),
            root_pem=self.fleet.root_pem,
            hostnames=["*.warp.example"],
        )

    def issue(self, agent: str, key: ec.EllipticCurvePublicKey) -> str:
        """Issue an agent's certificate."""
        certificate = issue_agent(
            self.issuer,
            key,
            agent,
            [HostnamePattern.parse("*.warp.example")],
            datetime.now(UTC) - self.fleet.issued_ago,
            self.fleet.agent_lifetime,
        )
        return to_pem(certificate, *self.issuer.chain)

    def tunnel_opened(self, tunnel: TunnelProtocol) -> None:
        """Remember the connection."""
        self._all.add(tunnel)

    def control_received(self, tunnel: TunnelProtocol, message: ControlMessage) -> None:
        """Answer as an edge would."""
        self.messages.append(message)
        if isinstance(message, Hello | RoutesChanged):
            answer = self.answer(message)
            if isinstance(message, Hello):
                self.hellos.append(message)
                if answer is None:
                    self.tunnels.append(tunnel)
            self._answers.append((tunnel, answer or self.accepted(message)))
            if not self.holds_answers:
                self.release()
            if isinstance(answer, Refused) and isinstance(message, Hello):
                tunnel.close(reason=answer.reason)
        elif isinstance(message, RenewRequest) and tunnel.peer_certificate is not None:
            agent = agent_identity(tunnel.peer_certificate).id
            tunnel.send_control(Renewed(chain_pem=self.issue(agent, read_request(message.csr_pem))))
        self.changed()

    def release(self) -> None:
        """Send the answers that were held, and those to come at once."""
        self.holds_answers = False
        answers, self._answers = self._answers, []
        for tunnel, answer in answers:
            tunnel.send_control(answer)

    def accepted(self, message: Hello | RoutesChanged) -> Accepted:
        """Publish every route."""
        names = {route.id: route.hostname or "brave-otter.warp.example" for route in message.routes}
        return Accepted(
            edge=self.name,
            tunnel_id=f"{self.name}/{len(self.hellos)}",
            hostnames=names,
            urls={number: f"https://{name}" for number, name in names.items()},
            edges=self.edges,
            zone="warp.example" if self.name_servers else "",
            name_servers=self.name_servers,
            protects=message.requires if isinstance(message, Hello) and self.enforces else [],
            policy=policy_digest(message.policy) if isinstance(message, Hello) and self.enforces else "",
        )

    def stream_opened(self, tunnel: TunnelProtocol, stream: Stream, route_id: int) -> None:
        """Agents open no streams."""

    def drain_received(self, tunnel: TunnelProtocol, drain: Drain) -> None:
        """Remember."""
        self.drains.append(drain)
        self.left.add(tunnel)
        self.changed()

    def tunnel_hung_up(self, tunnel: TunnelProtocol) -> None:
        """Its end follows."""

    def tunnel_lost(self, tunnel: TunnelProtocol, error: WireError) -> None:
        """Forget."""
        self._all.discard(tunnel)
        if tunnel in self.tunnels:
            self.tunnels.remove(tunnel)
        self.changed()
