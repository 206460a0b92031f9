"""
A visitor of the demo: asks DNS, and speaks HTTP, HTTPS, WebSocket and event streams to the edge on loopback.

`warp demo --check` looks through its eyes, so it uses clients that share no code with the edge or the DNS server.
The edge is dialed at 127.0.0.1 whatever the hostname is, since not every machine resolves `*.localhost`.
"""

import shutil
from dataclasses import dataclass

import treq
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IReactorTCP, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutput
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.iweb import IAgentEndpointFactory, IResponse
from twisted.web.websocket import WebSocketClientEndpoint, WebSocketTransport
from zope.interface import implementer

from dns import message, query, rcode

ADDRESS = "127.0.0.1"
DNS_SECONDS = 2.0
MAX_EVENT_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one request."""

    status: int
    body: bytes


@implementer(IAgentEndpointFactory)
class _Loopback:
    """Leads every URI to the edge, with the hostname kept for SNI and verification."""

    def __init__(self, reactor: IReactorTCP, root_pem: str) -> None:
        self._reactor = reactor
        self._trust = trustRootFromCertificates([Certificate.loadPEM(root_pem.encode())])

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        endpoint = TCP4ClientEndpoint(self._reactor, ADDRESS, uri.port)
        if uri.scheme != b"https":
            return endpoint
        return wrapClientTLS(optionsForClientTLS(uri.host.decode(), self._trust), endpoint)


class Visitor:
    """
    One visitor, with a connection pool of its own.

    :param root_pem: the certificate authority that HTTPS is verified against.
    """

    def __init__(self, reactor: IReactorTCP, dns_port: int, root_pem: str) -> None:
        self._endpoints = _Loopback(reactor, root_pem)
        self._pool = HTTPConnectionPool(reactor, persistent=False)
        self._http = HTTPClient(Agent.usingEndpointFactory(reactor, self._endpoints, self._pool))
        self._dns_port = dns_port

    async def get(self, url: str) -> Answer:
        """Fetch one page."""
        return await _answer(await self._http.get(url))

    async def post(self, url: str, body: bytes) -> Answer:
        """Send a body and read what comes back."""
        return await _answer(await self._http.post(url, data=body))

    async def first_event(self, url: str) -> bytes:
        """Read an event stream up to its first event, then leave."""
        response: IResponse = await self._http.get(url, unbuffered=True)
        reader = _FirstEvent()
        response.deliverBody(reader)
        return await reader.event

    async def websocket_echo(self, url: str, text: str) -> str:
        """Send one message over a WebSocket, and return the message that comes back."""
        echo = await WebSocketClientEndpoint(self._endpoints, url).connect(_EchoFactory())
        echo.transport.sendTextMessage(text)
        try:
            return await echo.message
        finally:
            echo.transport.loseConnection()

    async def lookup(self, name: str) -> list[str]:
        """
        Ask the demo's DNS server for a name's IPv4 addresses; empty: there is no such name.

        With `dig` where it is installed, as a user would; with dnspython otherwise.
        """
        if dig := shutil.which("dig"):
            options = [f"@{ADDRESS}", "-p", str(self._dns_port), "+short", "+tries=1", f"+time={DNS_SECONDS:g}"]
            output: bytes = await getProcessOutput(dig, [*options, name, "A"])
            return [line for line in output.decode().split() if not line.startswith(";")]
        return await deferToThread(self._ask, name)

    def _ask(self, name: str) -> list[str]:
        answer = query.udp(message.make_query(name, "A"), ADDRESS, DNS_SECONDS, self._dns_port)
        if answer.rcode() not in (rcode.NOERROR, rcode.NXDOMAIN):
            raise ValueError(f"DNS answered {rcode.to_text(answer.rcode())} for {name}")
        return [item.to_text() for rrset in answer.answer for item in rrset]

    async def leave(self) -> None:
        """Close what is open."""
        await self._pool.closeCachedConnections()


async def _answer(response: IResponse) -> Answer:
    return Answer(response.code, await treq.content(response))


class _FirstEvent(Protocol):
    def __init__(self) -> None:
        self.event: Deferred[bytes] = Deferred()
        self._data = b""

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        event, end, _ = self._data.partition(b"\n\n")
        if (end or len(self._data) > MAX_EVENT_BYTES) and not self.event.called and self.transport is not None:
            self.event.callback(event)
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.event.called:
            self.event.errback(reason)


class _Echo:
    """See `twisted.web.websocket.WebSocketProtocol`."""

    def __init__(self) -> None:
        self.message: Deferred[str] = Deferred()
        self.transport: WebSocketTransport

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self.transport = transport

    def negotiationFinished(self) -> None: ...

    def pongReceived(self, payload: bytes) -> None: ...

    def textMessageReceived(self, message: str) -> None:
        if not self.message.called:
            self.message.callback(message)

    def bytesMessageReceived(self, data: bytes | bytearray) -> None: ...

    def connectionLost(self, reason: Failure) -> None:
        if not self.message.called:
            self.message.errback(reason)


class _EchoFactory:
    def buildProtocol(self, url: str) -> _Echo:
        return _Echo()
