"""Origins for the agent's tests: an echo, one that is slow, one that is mute, and certificates to be right or wrong."""

import socket
from pathlib import Path

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.internet.tcp import Connection
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from tests.self_signed import self_signed


def listen_at(endpoint: IStreamServerEndpoint, factory: IProtocolFactory) -> IListeningPort:
    """Listen at once; an endpoint says so by a Deferred that has fired."""
    found: list[IListeningPort] = []
    endpoint.listen(factory).addCallback(found.append)
    return found[0]


def port_of(listening: IListeningPort) -> int:
    """Return the number of a TCP port."""
    address = listening.getHost()
    assert isinstance(address, IPv4Address)
    return address.port


class Echo(Protocol):
    """Returns what it is sent."""

    transport: Connection

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


class Origin(Factory):
    """
    Keeps its connections, and tells when one comes.

    :ivar mute: whether it reads nothing.
    """

    noisy = False

    def __init__(self, mute: bool = False) -> None:
        self.mute = mute
        self.connections: list[OriginConnection] = []
        self._waiting: list[Deferred[OriginConnection]] = []

    def buildProtocol(self, address: object) -> "OriginConnection":
        return OriginConnection(self)

    def connected(self, connection: "OriginConnection") -> None:
        """Note a connection."""
        self.connections.append(connection)
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(connection)

    def next_connection(self) -> "Deferred[OriginConnection]":
        """Wait for the next connection."""
        deferred: Deferred[OriginConnection] = Deferred()
        self._waiting.append(deferred)
        return deferred


class OriginConnection(Protocol):
    """One connection, in the hands of the test."""

    transport: Connection | TLSMemoryBIOProtocol

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self.data = b""
        self.lost: Deferred[BaseException | None] = Deferred()
        self._awaited: tuple[int, Deferred[bytes]] | None = None

    def connectionMade(self) -> None:
        if self._origin.mute:
            self.transport.pauseProducing()
        self._origin.connected(self)

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if self._awaited is not None and len(self.data) >= self._awaited[0]:
            (_, deferred), self._awaited = self._awaited, None
            deferred.callback(self.data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(reason.value)

    def read(self, size: int) -> Deferred[bytes]:
        """Wait until so many bytes have come in all."""
        deferred: Deferred[bytes] = Deferred()
        if len(self.data) >= size:
            deferred.callback(self.data)
        else:
            self._awaited = (size, deferred)
        return deferred


def origin_certificate(directory: Path, *names: str, has_names: bool = True) -> tuple[CertificateOptions, Path]:
    """
    Make a certificate for names and addresses.

    :param has_names: without, the certificate has no subjectAltName at all.
    :returns: what an origin listens with, and the file that a client may trust.
    """
    certificate, pem, key_pem = self_signed(names[0], names if has_names else (), is_ca=True)
    path = directory / f"{certificate.serial_number}.pem"
    path.write_bytes(pem)
    return PrivateCertificate.loadPEM(pem + key_pem).options(), path


def black_hole() -> tuple[list[socket.socket], int]:
    """
    Listen so that a further connection gets no answer: the queue of those that wait is full.

    :returns: the sockets, to be closed, and the port.
    """
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(0)
    sockets = [listening]
    for _ in range(2):
        waiting = socket.socket()
        waiting.setblocking(False)
        waiting.connect_ex(listening.getsockname())
        sockets.append(waiting)
    return sockets, listening.getsockname()[1]


def unused_port() -> int:
    """Return a port of loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
