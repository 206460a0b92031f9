"""
A visitor on plain TCP: how bytes leave, with the least done for an answer that the socket takes at once.
"""

import socket

from twisted.internet.interfaces import IHalfCloseableProtocol, IPullProducer
from twisted.internet.protocol import connectionDone
from twisted.internet.tcp import Connection
from zope.interface import implementer

from warp_twisted.edge.visitors.connection import VisitorConnection
from warp_twisted.edge.visitors.states import VisitorState
from warp_twisted.tunnel.tls import BULK_BYTES


@implementer(IHalfCloseableProtocol, IPullProducer)
class PlainVisitor(VisitorConnection):
    """
    A visitor on TCP.

    Bytes are offered to the socket at once, and only what it does not take goes through `transport.write`, which
    would cost a turn of the reactor and two `epoll_ctl` for each answer. It is a pull producer of its transport,
    because Twisted tells those each time that its buffer has become empty.
    """

    transport: Connection

    def connectionMade(self) -> None:
        transport = self.transport
        self._send = transport.writeSomeData
        transport.registerProducer(self, False)
        super().connectionMade()

    def write(self, data: bytes) -> None:
        if self.is_clogged:
            self._enqueue(data)
            return
        sent = self._send(data)
        if sent == len(data):
            return
        # If it is no number, the connection is lost, as the transport will find out when it writes.
        self._enqueue(data[sent:] if isinstance(sent, int) else data)
        self._clog()
        self._give()

    def _put(self, piece: bytes) -> None:
        self.transport.write(piece)

    def resumeProducing(self) -> None:
        """The transport's buffer is empty."""
        if self.is_clogged:
            self._make_progress()

    def stopProducing(self) -> None:
        """The connection is gone; `connectionLost` follows."""

    def readConnectionLost(self) -> None:
        """The visitor has closed its sending side: it may wait for an answer, or have left."""
        if self.is_waited_for:
            self.visitor_ended()
        else:
            self.transport.connectionLost(connectionDone)

    def writeConnectionLost(self) -> None:
        """Our own half-close went out."""

    def is_reset(self) -> bool:
        return self.transport.getHandle().getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

    def end_sending(self) -> None:
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()

    def _expect_bulk(self, is_bulk: bool) -> None:
        # Not always, for each read allocates what it may take: from 128 KiB on that is a system call.
        self.transport.bufferSize = BULK_BYTES if is_bulk else Connection.bufferSize

    def _stop_reading(self) -> None:
        self.transport.pauseProducing()

    def _start_reading(self) -> None:
        self.transport.resumeProducing()

    def _lose(self) -> None:
        self.transport.unregisterProducer()
        if self.state is VisitorState.LINGERING:
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()

    def _cut(self) -> None:
        self.transport.unregisterProducer()
        self.transport.abortConnection()
