"""
The doors of a tunnel: the edge's listener factory, and what an agent, or another edge, calls to dial or to enroll.

Decides which protocol a proven peer gets. The reactor comes in as an argument.
"""

import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocol, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_base.wall_clock import WallClock
from warp_twisted.errors import WarpError
from warp_twisted.tunnel.contexts import (
    ENROLL_PROTOCOL,
    PEER_PROTOCOL,
    TUNNEL_PROTOCOL,
    enrollment_context,
    server_name,
    unverified_context,
    verify_name,
)
from warp_twisted.tunnel.enrollment import Enroll, EnrollmentClient, EnrollmentServer
from warp_twisted.tunnel.errors import EnrollmentFailed, NoCertificate, NoCommonProtocol, PeerNotTrusted, TooBusy
from warp_twisted.tunnel.limits import TunnelTimes
from warp_twisted.tunnel.protocol import TunnelDelegate, TunnelProtocol
from warp_twisted.tunnel.tls import TlsProtocol
from warp_twisted.tunnel.turns import Turn
from warp_twisted.wire.control import (
    Authority,
    ControlMessage,
    Enrolled,
    EnrollRefused,
    EnrollRequest,
    ReturnRequest,
)
from warp_twisted.wire.frames import Role
from warp_twisted.wire.limits import Limits

P = TypeVar("P", bound=Protocol)

MAX_HANDSHAKES = 1024  # unproven connections at once; OpenSSL holds about 40 KiB for each
PROBE_SECONDS = 4  # how soon an agent hears that its edge has lost its power and is back
MAX_ENROLLMENTS = 256  # peers without a certificate that we listen to at once: a crowd that returns together


@dataclass(kw_only=True, eq=False)
class TunnelListener(Factory):
    """
    The edge's side of the tunnel port: proves each agent, then joins it to the delegate.

    :ivar context: `edge_context(...)`; may be replaced when certificates change, for connections to come.
    :ivar delegate: hears of every tunnel.
    :ivar reactor: for timers.
    :ivar wall: told to who enrolls.
    :ivar turn: shared by all tunnels of the process.
    :ivar root_pem: the CA's root, told to agents that enroll.
    :ivar enroll: judges enrollment requests; None refuses the enrollment protocol.
    :ivar accept_peer: makes the protocol of a connection that speaks `PEER_PROTOCOL`, or raises `WarpError`; None
        refuses them all.
    :ivar max_handshakes: connections that are not proven yet; one more is closed at once.
    :ivar max_enrollments: enrollments under way; one more is closed after its handshake.
    :ivar refused: called with the peer's address and the reason for each connection that did not become a tunnel.
    """

    context: ssl.SSLContext
    delegate: TunnelDelegate
    reactor: IReactorTime
    turn: Turn
    root_pem: str = ""
    wall: WallClock = MACHINE_WALL_CLOCK
    enroll: Enroll | None = None
    accept_peer: Callable[[TlsProtocol], TunnelProtocol] | None = None
    limits: Limits | None = None
    times: TunnelTimes | None = None
    max_handshakes: int = MAX_HANDSHAKES
    max_enrollments: int = MAX_ENROLLMENTS
    handshake_seconds: float = 10.0
    refused: Callable[[IAddress | None, WarpError], None] | None = None
    handshakes: int = field(default=0, init=False)
    enrollments: int = field(default=0, init=False)

    noisy = False
    _log = Logger()

    def buildProtocol(self, addr: IAddress | None) -> TlsProtocol | None:
        """Begin a handshake, unless too many are under way."""
        if self.handshakes >= self.max_handshakes:
            self._refuse(addr, TooBusy(f"{self.handshakes} handshakes are under way"))
            return None
        self.handshakes += 1
        return TlsProtocol(
            self.context,
            is_server=True,
            secured=self._secured,
            failed=lambda error: self._failed(addr, error),
            clock=self.reactor,
            handshake_seconds=self.handshake_seconds,
            handshakes=self.turn.handshakes,
            network=getattr(addr, "host", ""),
        )

    def _secured(self, transport: TlsProtocol) -> IProtocol:
        protocol = self._protocol_for(transport)
        self.handshakes -= 1
        return protocol

    def _protocol_for(self, transport: TlsProtocol) -> IProtocol:
        spoken = transport.negotiated_protocol
        if spoken == TUNNEL_PROTOCOL:
            if not transport.has_peer_certificate:
                raise NoCertificate("an agent without a certificate asked for a tunnel")
            return TunnelProtocol(
                Role.SERVER, self.delegate, clock=self.reactor, turn=self.turn, limits=self.limits, times=self.times
            )
        if spoken == ENROLL_PROTOCOL and self.enroll is not None:
            if self.enrollments >= self.max_enrollments:
                raise TooBusy(f"{self.enrollments} enrollments are under way")
            self.enrollments += 1
            return EnrollmentServer(
                self.root_pem, self.enroll, clock=self.reactor, wall=self.wall, ended=self._enrollment_ended
            )
        if spoken == PEER_PROTOCOL and self.accept_peer is not None:
            return self.accept_peer(transport)
        raise NoCommonProtocol(f"the peer asked for protocol {spoken or 'none'}")

    def _enrollment_ended(self) -> None:
        self.enrollments -= 1

    def _failed(self, address: IAddress | None, error: WarpError) -> None:
        self.handshakes -= 1
        self._refuse(address, error)

    def _refuse(self, address: IAddress | None, error: WarpError) -> None:
        self._log.debug("no tunnel with {address}: {error}", address=address, error=error)
        if self.refused is not None:
            self.refused(address, error)


def dial(
    endpoint: IStreamClientEndpoint,
    name: str,
    *,
    context: ssl.SSLContext,
    delegate: TunnelDelegate,
    reactor: IReactorTime,
    turn: Turn,
    limits: Limits | None = None,
    times: TunnelTimes | None = None,
    handshake_seconds: float = 10.0,
) -> Deferred[TunnelProtocol]:
    """
    Dial an edge and open a tunnel.

    The edge proves itself first. It may still refuse our certificate: then the delegate hears `tunnel_lost` later.

    :param endpoint: where the edge listens.
    :param name: the hostname or address that its certificate must be for.
    :param context: `agent_context(...)`.
    :returns: fires with the tunnel after the delegate has heard `tunnel_opened`; fails with a `TunnelError` or
        Twisted's `ConnectError`. Cancelling it hangs up.
    """
    tunnel = TunnelProtocol(Role.CLIENT, delegate, clock=reactor, turn=turn, limits=limits, times=times)
    return _dial(
        endpoint, _name_check(name), context, TUNNEL_PROTOCOL, tunnel, reactor, handshake_seconds, server_name(name)
    )


def dial_peer(
    endpoint: IStreamClientEndpoint,
    protocol: TunnelProtocol,
    verify: Callable[[x509.Certificate | None], None],
    *,
    context: ssl.SSLContext,
    reactor: IReactorTime,
    handshake_seconds: float = 10.0,
) -> Deferred[TunnelProtocol]:
    """
    Dial another edge.

    :param protocol: what runs on the connection, in the role of a client.
    :param verify: raises `WarpError` unless the other's certificate, whose chain leads to our root, is the right one.
    :param context: `peer_context(...)`.
    :returns: as `dial` does.
    """
    return _dial(endpoint, verify, context, PEER_PROTOCOL, protocol, reactor, handshake_seconds)


async def fetch_root(
    endpoint: IStreamClientEndpoint, fingerprint: str, *, reactor: IReactorTime, timeout: float = 20.0
) -> str:
    """
    Ask an edge for the CA's root certificate, and believe it only if it has the pinned fingerprint.

    :param fingerprint: SHA-256 of the root's DER form in hexadecimal digits; colons and case do not matter.
    :returns: the root as PEM.
    :raises PeerNotTrusted: if the edge has another root.
    :raises EnrollmentFailed: if it sends no root.
    """
    authority = await _fetch_authority(endpoint, reactor, timeout)
    try:
        root = x509.load_pem_x509_certificate(authority.root_pem.encode())
    except ValueError as error:
        raise EnrollmentFailed(f"the edge's root cannot be read: {error}") from error
    der = root.public_bytes(Encoding.DER)
    if hashlib.sha256(der).hexdigest() != fingerprint.replace(":", "").lower():
        raise PeerNotTrusted("the edge's root is not the one that the join token names")
    return ssl.DER_cert_to_PEM_cert(der)


async def fetch_time(endpoint: IStreamClientEndpoint, *, reactor: IReactorTime, timeout: float = 20.0) -> float | None:
    """
    Ask an edge what its clock shows, without verifying that it is one: a hint for people.

    :returns: seconds since the epoch, None if it does not say.
    :raises EnrollmentFailed: if it sends something else.
    """
    return (await _fetch_authority(endpoint, reactor, timeout)).time


async def _fetch_authority(endpoint: IStreamClientEndpoint, reactor: IReactorTime, timeout: float) -> Authority:
    """Hear an edge's first words of an enrollment, unverified."""
    client = EnrollmentClient()
    await _dial(endpoint, None, unverified_context(), ENROLL_PROTOCOL, client, reactor, timeout)
    try:
        authority = await client.next_message().addTimeout(timeout, reactor, _late)
    finally:
        await client.close()
    if not isinstance(authority, Authority):
        raise EnrollmentFailed(f"the edge sent {type(authority).__name__} instead of its root")
    return authority


async def enroll(
    endpoint: IStreamClientEndpoint,
    name: str,
    request: Callable[[Authority], EnrollRequest | ReturnRequest],
    *,
    root_pem: str,
    reactor: IReactorTime,
    timeout: float = 20.0,
) -> Enrolled | EnrollRefused:
    """
    Ask to be let in, as a new agent or as one that returns, by an edge whose certificate is verified first.

    :param name: the hostname or address that the edge's certificate must be for.
    :param request: makes what to ask, when the edge has spoken; may raise `TunnelError` to ask nothing.
    :param root_pem: from `fetch_root`, or kept since.
    :raises TunnelError: if the edge is not trusted or does not answer.
    """
    client = EnrollmentClient()
    context = enrollment_context(root_pem=root_pem)
    await _dial(endpoint, _name_check(name), context, ENROLL_PROTOCOL, client, reactor, timeout, server_name(name))
    try:
        authority = await client.next_message().addTimeout(timeout, reactor, _late)
        if not isinstance(authority, Authority):
            raise EnrollmentFailed(f"the edge sent {type(authority).__name__} instead of its root")
        client.send(request(authority))
        answer = await client.next_message().addTimeout(timeout, reactor, _late)
        if not isinstance(answer, Enrolled | EnrollRefused):
            raise EnrollmentFailed(f"the edge sent {type(answer).__name__} instead of an answer")
        return answer
    finally:
        await client.close()


class OneProtocol(Factory):
    """
    Builds the one protocol it was given, once; a second connection of a race is dropped.

    It does not log, as that of `connectProtocol` would. And it keeps nothing, because Twisted's endpoints leave it in a
    reference cycle.
    """

    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._protocol: Protocol | None = protocol

    def buildProtocol(self, address: IAddress | None) -> Protocol | None:
        """Hand out the protocol."""
        protocol, self._protocol = self._protocol, None
        return protocol


def _late(result: object, timeout: float) -> ControlMessage:
    raise EnrollmentFailed(f"the edge did not answer within {timeout:g} seconds")


def _name_check(name: str) -> Callable[[x509.Certificate | None], None]:
    return lambda certificate: verify_name(certificate, name)


def _dial(
    endpoint: IStreamClientEndpoint,
    verify: Callable[[x509.Certificate | None], None] | None,
    context: ssl.SSLContext,
    alpn: str,
    protocol: P,
    reactor: IReactorTime,
    handshake_seconds: float,
    sni: str | None = None,
) -> Deferred[P]:
    """Connect, secure, and run a protocol; `verify` None leaves the certificate unchecked."""
    is_cancelled = False

    def secured(transport: TlsProtocol) -> P:
        if transport.negotiated_protocol != alpn:
            raise NoCommonProtocol(f"the edge does not speak {alpn}")
        if verify is not None:
            verify(transport.peer_certificate)
        transport.probe_when_idle(PROBE_SECONDS)
        reactor.callLater(0, succeeded)
        return protocol

    def succeeded() -> None:
        if not done.called:
            done.callback(protocol)

    def failed(error: WarpError) -> None:
        if not done.called:
            done.errback(error)

    def not_connected(failure: Failure) -> None:
        if not (done.called or is_cancelled):
            done.errback(failure)

    def cancelled(_: Deferred[P]) -> None:
        nonlocal is_cancelled
        is_cancelled = True  # the Deferred then fails with CancelledError, whatever the endpoint makes of it
        connecting.cancel()
        if tls.transport is not None:
            tls.abortConnection()

    done: Deferred[P] = Deferred(cancelled)
    tls = TlsProtocol(
        context,
        is_server=False,
        server_name=sni,
        secured=secured,
        failed=failed,
        clock=reactor,
        handshake_seconds=handshake_seconds,
    )
    connecting = endpoint.connect(OneProtocol(tls))
    connecting.addCallbacks(lambda _: None, not_connected)  # else it would keep the protocol
    return done
