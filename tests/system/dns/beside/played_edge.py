"""An edge that a test plays, on a unix socket, and the question that is asked of it again and again."""

from typing import Any

from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.trial.unittest import TestCase

from tests.case import reactor, short_directory_of
from tests.dns.helpers import Events
from warp_dns.beside import asking

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Return bytes as a chunk of an answer."""
    return b"%x\r\n%s\r\n" % (len(data), data)


class Edge(Protocol):
    """One connection to the edge that the test plays."""

    transport: Any

    def connectionMade(self) -> None:
        """Tell the test."""
        self.request = b""
        self.gone: Deferred[None] = Deferred()
        self.factory.connections.put(self)

    def dataReceived(self, data: bytes) -> None:
        """Keep the request."""
        self.request += data

    def connectionLost(self, reason: object = None) -> None:
        """Tell the test."""
        self.gone.callback(None)


class PlayedEdgeCase(TestCase):
    """
    Tests with such an edge; waits between two tries are short.

    :cvar kind: of its connections.
    :ivar connections: that came.
    :ivar warnings: what was said of the edge's absence.
    """

    timeout = 20
    kind: type[Edge] = Edge

    def setUp(self) -> None:
        self.patch(asking, "FIRST_WAIT_SECONDS", 0.01)
        self.patch(asking, "LONGEST_WAIT_SECONDS", 0.02)
        self.warnings = Events()
        self.patch(asking.Asking, "_log", Logger(observer=self.warnings))
        self.path = str(short_directory_of(self) / "admin.sock")
        self.connections: DeferredQueue[Any] = DeferredQueue()
        self.listen()

    def listen(self) -> None:
        """Begin to accept connections."""
        factory: Any = Factory.forProtocol(self.kind)
        factory.noisy = False
        factory.connections = self.connections
        self.port: Any = reactor.listenUNIX(self.path, factory)
        self.addCleanup(lambda: self.port.stopListening())
