"""Origins for the agent's tests: an echo, one that is slow, one that is mute, and certificates to be right or wrong."""

import datetime
import ipaddress
import socket
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.internet.tcp import Connection
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure


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


def self_signed(directory: Path, *names: str, has_names: bool = True) -> tuple[CertificateOptions, Path]:
    """
    Make a certificate for names and addresses.

    :param has_names: without, the certificate has no subjectAltName at all.
    :returns: what an origin listens with, and the file that a client may trust.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if has_names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    path = directory / f"{certificate.serial_number}.pem"
    path.write_bytes(pem)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return PrivateCertificate.loadPEM(pem + key_pem).options(), path


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


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
