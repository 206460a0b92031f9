"""Dialing an edge on loopback, with certificates that are good and with every kind that is not."""

import socket
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.case import reactor
from tests.system.tunnel.authority import Authority, Leaf
from tests.system.tunnel.loopback import endpoint_of, listen, serve, until
from warp_twisted.errors import WarpError
from warp_twisted.testing import RecordingDelegate, RecordingReceiver
from warp_twisted.tunnel import (
    TunnelListener,
    TunnelProtocol,
    Turn,
    agent_context,
    dial,
    edge_context,
    enroll,
    fetch_root,
)
from warp_twisted.tunnel.contexts import enrollment_context
from warp_twisted.tunnel.endpoints import PROBE_SECONDS
from warp_twisted.tunnel.enrollment import Asker
from warp_twisted.tunnel.errors import (
    EnrollmentFailed,
    HandshakeFailed,
    HandshakeTimedOut,
    NoCertificate,
    NoCommonProtocol,
    PeerNotTrusted,
    TooBusy,
)
from warp_twisted.tunnel.tls import TlsProtocol
from warp_twisted.wire.control import Enrolled, EnrollRefused, EnrollRequest, ReturnRequest
from warp_twisted.wire.errors import ConnectionLost, WireError
from warp_twisted.wire.frames import GoAwayCode
from warp_twisted.wire.preamble import OpeningCode, encode_opening
from warp_twisted.wire.streams import Stream


class WaitingDelegate(RecordingDelegate):
    """Fires when the tunnel was opened, lost, or a stream came."""

    def __init__(self) -> None:
        super().__init__()
        self.is_opened: Deferred[TunnelProtocol] = Deferred()
        self.is_lost: Deferred[WireError] = Deferred()
        self.has_stream: Deferred[Stream] = Deferred()

    def tunnel_opened(self, tunnel: TunnelProtocol) -> None:
        super().tunnel_opened(tunnel)
        self.is_opened.callback(tunnel)

    def tunnel_hung_up(self, tunnel: TunnelProtocol) -> None:
        """Its end follows."""

    def tunnel_lost(self, tunnel: TunnelProtocol, error: WireError) -> None:
        super().tunnel_lost(tunnel, error)
        self.is_lost.callback(error)

    def stream_opened(self, tunnel: TunnelProtocol, stream: Stream, route_id: int) -> None:
        super().stream_opened(tunnel, stream, route_id)
        self.has_stream.callback(stream)


class CountingListener(TunnelListener):
    """Knows when every connection it accepted is gone."""

    connections = 0
    idle: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> TlsProtocol | None:
        protocol = super().buildProtocol(addr)
        if protocol is not None:
            self.connections += 1
            lost = protocol.connectionLost

            def connection_lost(reason: Failure = connectionDone) -> None:
                lost(reason)
                self.gone()

            protocol.connectionLost = connection_lost  # type: ignore[method-assign]
        return protocol

    def gone(self) -> None:
        self.connections -= 1
        if not self.connections and self.idle is not None:
            self.idle.callback(None)

    async def wait_until_idle(self) -> None:
        if self.connections:
            self.idle = Deferred()
            await self.idle


class EndpointTests(TestCase):
    """`TunnelListener` and `dial`."""

    timeout = 20

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.authority = Authority(self.directory)
        self.turn = Turn(reactor)
        self.edge = WaitingDelegate()
        self.agent = WaitingDelegate()
        self.refusals: list[WarpError] = []
        self.is_refused: Deferred[WarpError] = Deferred()

    def refused(self, address: IAddress | None, error: WarpError) -> None:
        self.refusals.append(error)
        self.is_refused.callback(error)

    async def enroll(self, request: EnrollRequest | ReturnRequest, asker: Asker) -> Enrolled | EnrollRefused:
        if isinstance(request, ReturnRequest) or request.secret != "right":
            return EnrollRefused(code="bad_token", reason="no such token")
        return Enrolled(
            agent_id="a1", chain_pem=request.csr_pem, root_pem=self.authority.root_pem, hostnames=["*.example.org"]
        )

    def listen(self, leaf: Leaf | None = None, handshake_seconds: float = 10.0, max_handshakes: int = 10) -> None:
        leaf = leaf or self.authority.leaf("edge1.example.org", is_server=True, address="127.0.0.1")
        self.listener = CountingListener(
            context=edge_context(root_pem=self.authority.root_pem, chain_file=leaf.chain_file, key_file=leaf.key_file),
            delegate=self.edge,
            reactor=reactor,
            turn=self.turn,
            root_pem=self.authority.root_pem,
            enroll=self.enroll,
            handshake_seconds=handshake_seconds,
            max_handshakes=max_handshakes,
            refused=self.refused,
        )
        self.port = listen(self.listener)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.listener.wait_until_idle()))
        self.addCleanup(self.port.stopListening)
        self.endpoint = endpoint_of(self.port)

    def dial(
        self,
        name: str = "edge1.example.org",
        leaf: Leaf | None = None,
        root_pem: str = "",
        handshake_seconds: float = 10.0,
    ) -> Deferred[TunnelProtocol]:
        leaf = leaf or self.authority.leaf("agent1")
        context = agent_context(
            root_pem=root_pem or self.authority.root_pem, chain_file=leaf.chain_file, key_file=leaf.key_file
        )
        return dial(
            self.endpoint,
            name,
            context=context,
            delegate=self.agent,
            reactor=reactor,
            turn=self.turn,
            handshake_seconds=handshake_seconds,
        )

    async def assert_cut_off(self) -> None:
        """The agent's tunnel was lost without a go-away: the edge refused it before it spoke the tunnel's protocol."""
        error = await self.agent.is_lost
        outcome = self.agent.opened[0].outcome
        assert outcome is not None
        self.assertIs(outcome.error, error)
        self.assertEqual((type(error), outcome.code, outcome.by_peer), (ConnectionLost, None, False))

    async def connect(self) -> "_Silence":
        """Connect without a word."""
        silence = await self.endpoint.connect(Factory.forProtocol(_Silence))
        assert isinstance(silence, _Silence)
        return silence

    async def close(self, tunnel: TunnelProtocol) -> None:
        tunnel.close()
        await tunnel.disconnected()
        assert tunnel.outcome is not None
        self.assertEqual((tunnel.outcome.code, tunnel.outcome.by_peer), (GoAwayCode.NORMAL, False))
        edge_end = self.edge.opened[0]
        await edge_end.disconnected()
        assert edge_end.outcome is not None
        self.assertIsInstance(edge_end.outcome.error, ConnectionLost)

    async def test_tunnel_carries_a_stream(self) -> None:
        """A request and an answer cross a tunnel whose both ends are proven."""
        self.listen()
        tunnel = await self.dial()
        edge_end = await self.edge.is_opened
        certificate = edge_end.peer_certificate
        self.assertIn("agent1", str(certificate and certificate.subject))
        receiver = RecordingReceiver()
        receiver.stream = edge_end.open_route(3, receiver, b"GET")
        stream = await self.agent.has_stream
        self.assertEqual(self.agent.streams[0][1], 3)
        stream.write(encode_opening(OpeningCode.OPENED) + b"x" * 300_000)
        stream.end()
        receiver.stream.end()
        await until(lambda: receiver.has_ended)
        self.assertEqual(len(receiver.data), 300_000)
        self.assertEqual(self.agent.receivers[0].data, b"GET")
        await self.close(tunnel)

    async def test_address_can_be_verified(self) -> None:
        """An edge that is dialed by IP address is checked against the address in its certificate."""
        self.listen()
        tunnel = await self.dial(name="127.0.0.1")
        self.assertEqual((tunnel.outcome, self.agent.opened), (None, [tunnel]))
        await self.close(tunnel)

    async def test_idle_edge_is_probed(self) -> None:
        """The kernel asks an idle edge for signs of life: one that lost its power is noticed as soon as it is back."""
        self.listen()
        tunnel = await self.dial()
        tls = tunnel.transport
        assert isinstance(tls, TlsProtocol)
        handle = tls._below.getHandle()
        self.assertEqual(handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1)
        self.assertEqual(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), PROBE_SECONDS)
        await self.close(tunnel)

    async def test_wrong_name_is_refused(self) -> None:
        """An edge whose certificate is for another name is not trusted."""
        self.listen()
        await self.assertFailure(self.dial(name="edge2.example.org"), PeerNotTrusted)
        self.assertEqual(self.agent.opened, [])

    async def test_wrong_authority_is_refused_by_the_agent(self) -> None:
        """An edge whose certificate is from another CA is not trusted."""
        self.listen()
        other = Authority(self.directory, "other root")
        error = await self.assertFailure(self.dial(root_pem=other.root_pem), PeerNotTrusted)
        self.assertIn("certificate", str(error))
        await self.is_refused

    async def test_wrong_authority_is_refused_by_the_edge(self) -> None:
        """An agent whose certificate is from another CA gets no tunnel, and hears an alert."""
        self.listen()
        other = Authority(self.directory, "other root")
        await self.dial(leaf=other.leaf("agent1"))
        self.assertIsInstance(await self.is_refused, PeerNotTrusted)
        await self.assert_cut_off()
        self.assertEqual(self.edge.opened, [])

    async def test_expired_agent_is_refused(self) -> None:
        """An agent whose certificate has run out gets no tunnel."""
        self.listen()
        await self.dial(leaf=self.authority.leaf("agent1", has_expired=True))
        self.assertIn("expired", str(await self.is_refused))
        await self.assert_cut_off()
        self.assertEqual(self.edge.opened, [])

    async def test_expired_edge_is_refused(self) -> None:
        """An edge whose certificate has run out is not trusted."""
        self.listen(self.authority.leaf("edge1.example.org", is_server=True, has_expired=True))
        error = await self.assertFailure(self.dial(), PeerNotTrusted)
        self.assertIn("expired", str(error))
        await self.is_refused

    async def test_edge_certificate_does_not_make_an_agent(self) -> None:
        """A certificate that is only for servers opens no tunnel."""
        self.listen()
        await self.dial(leaf=self.authority.leaf("edge2", is_server=True))
        self.assertIsInstance(await self.is_refused, PeerNotTrusted)
        await self.assert_cut_off()

    async def test_agent_certificate_does_not_make_an_edge(self) -> None:
        """A certificate that is only for clients is not trusted as an edge's."""
        self.listen(self.authority.leaf("edge1.example.org"))
        await self.assertFailure(self.dial(), PeerNotTrusted)
        await self.is_refused

    async def test_agent_without_certificate_is_refused(self) -> None:
        """A client that asks for a tunnel and shows no certificate gets none."""
        self.listen()
        context = enrollment_context(root_pem=self.authority.root_pem)
        context.set_alpn_protocols(["warp/1"])
        await dial(
            self.endpoint, "edge1.example.org", context=context, delegate=self.agent, reactor=reactor, turn=self.turn
        )
        self.assertIsInstance(await self.is_refused, NoCertificate)
        await self.assert_cut_off()
        self.assertEqual(self.edge.opened, [])

    async def test_unknown_protocol_is_refused(self) -> None:
        """A client that speaks neither protocol gets nowhere."""
        self.listen()
        leaf = self.authority.leaf("agent1")
        context = agent_context(root_pem=self.authority.root_pem, chain_file=leaf.chain_file, key_file=leaf.key_file)
        context.set_alpn_protocols(["h2"])
        dialed = dial(
            self.endpoint, "edge1.example.org", context=context, delegate=self.agent, reactor=reactor, turn=self.turn
        )
        await self.assertFailure(dialed, NoCommonProtocol, HandshakeFailed)
        await self.is_refused

    async def test_silent_client_is_hung_up_on(self) -> None:
        """A connection that sends nothing is closed when the handshake's time is up."""
        self.listen(handshake_seconds=0.05)
        await self.connect()
        self.assertIsInstance(await self.is_refused, HandshakeTimedOut)
        self.assertEqual(self.listener.handshakes, 0)

    async def test_noise_is_hung_up_on(self) -> None:
        """A connection that does not speak TLS is closed."""
        self.listen()
        silence = await self.connect()
        assert silence.transport is not None
        silence.transport.write(b"GET / HTTP/1.1\r\n\r\n")
        self.assertIsInstance(await self.is_refused, HandshakeFailed)
        await silence.is_lost

    async def test_handshakes_are_limited(self) -> None:
        """A connection above the number of handshakes allowed is closed at once."""
        self.listen(max_handshakes=1)
        first = await self.connect()
        second = await self.connect()
        await second.is_lost
        self.assertIsInstance(await self.is_refused, TooBusy)
        self.is_refused = Deferred()
        assert first.transport is not None
        first.transport.loseConnection()
        await first.is_lost
        self.assertIsInstance(await self.is_refused, HandshakeFailed)
        self.assertEqual(self.listener.handshakes, 0)

    async def test_nobody_listens(self) -> None:
        """Dialing a port where nobody listens fails with Twisted's error."""
        self.listen()
        await maybeDeferred(self.port.stopListening)
        await self.assertFailure(self.dial(), ConnectError)

    async def test_edge_that_says_nothing(self) -> None:
        """An edge that does not shake hands in time is given up; so is one whose dialing is cancelled."""
        self.listen()
        silence = _Silence()
        port = serve(lambda: silence)
        self.addCleanup(port.stopListening)
        self.endpoint = endpoint_of(port)
        await self.assertFailure(self.dial(handshake_seconds=0.05), HandshakeTimedOut)
        await silence.is_lost
        silence = _Silence()
        dialing = self.dial()
        await silence.has_heard
        dialing.cancel()
        await self.assertFailure(dialing, CancelledError)
        await silence.is_lost
        self.assertEqual(self.agent.opened, [])

    async def test_cancelled_at_once(self) -> None:
        """Dialing that is cancelled before it is connected leaves nothing behind."""
        self.listen()
        dialing = self.dial()
        dialing.cancel()
        await self.assertFailure(dialing, CancelledError)

    async def test_enrollments_are_limited(self) -> None:
        """A peer above the number of enrollments allowed is hung up on, and one that ends makes room."""
        self.listen()
        self.listener.max_enrollments = 0
        await self.assertFailure(
            Deferred.fromCoroutine(fetch_root(self.endpoint, self.authority.fingerprint, reactor=reactor)),
            EnrollmentFailed,
        )
        self.assertIsInstance(await self.is_refused, TooBusy)
        self.listener.max_enrollments = 1
        for _ in range(2):
            await fetch_root(self.endpoint, self.authority.fingerprint, reactor=reactor)
            await until(lambda: not self.listener.enrollments)
        self.assertEqual(self.refusals, [self.is_refused.result])

    async def test_enrollment(self) -> None:
        """An agent that knows the root's fingerprint gets the root, then a certificate."""
        self.listen()
        root_pem = await fetch_root(self.endpoint, self.authority.fingerprint.upper(), reactor=reactor)
        self.assertEqual(root_pem.strip(), self.authority.root_pem.strip())
        request = EnrollRequest(token_id="t1", secret="right", csr_pem="CSR")
        answer = await enroll(self.endpoint, "edge1.example.org", lambda _: request, root_pem=root_pem, reactor=reactor)
        self.assertEqual(answer.chain_pem if isinstance(answer, Enrolled) else "", "CSR")

    async def test_enrollment_refused(self) -> None:
        """An agent with a bad token hears so."""
        self.listen()
        request = EnrollRequest(token_id="t1", secret="wrong", csr_pem="CSR")
        answer = await enroll(
            self.endpoint, "edge1.example.org", lambda _: request, root_pem=self.authority.root_pem, reactor=reactor
        )
        self.assertEqual(answer, EnrollRefused(code="bad_token", reason="no such token"))

    async def test_other_root_is_not_believed(self) -> None:
        """A root with another fingerprint than the pinned one is refused before anything secret is sent."""
        self.listen()
        await self.assertFailure(
            Deferred.fromCoroutine(fetch_root(self.endpoint, "00" * 32, reactor=reactor)), PeerNotTrusted
        )

    async def test_enrollment_verifies_the_edge(self) -> None:
        """The join token's secret is not sent to an edge with another name."""
        self.listen()
        request = EnrollRequest(token_id="t1", secret="right", csr_pem="CSR")
        enrolling = enroll(
            self.endpoint, "edge2.example.org", lambda _: request, root_pem=self.authority.root_pem, reactor=reactor
        )
        await self.assertFailure(Deferred.fromCoroutine(enrolling), PeerNotTrusted)

    async def test_enrollment_noise_is_refused(self) -> None:
        """A message that is no enrollment request is answered with a refusal."""
        self.listen()
        self.enrolled: list[EnrollRequest] = []
        request = Enrolled(agent_id="a", chain_pem="", root_pem="")
        answer = await enroll(
            self.endpoint,
            "edge1.example.org",
            lambda _: request,  # type: ignore[arg-type, return-value]  # the point of the test
            root_pem=self.authority.root_pem,
            reactor=reactor,
        )
        self.assertEqual(answer.code if isinstance(answer, EnrollRefused) else "", "bad_request")


class _Silence(Protocol):
    """Says nothing and remembers the end."""

    def __init__(self) -> None:
        self.is_lost: Deferred[None] = Deferred()
        self.has_heard: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        if not self.has_heard.called:
            self.has_heard.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_lost.callback(None)
