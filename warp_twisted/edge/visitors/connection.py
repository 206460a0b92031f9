"""
One visitor's connection: bytes in, requests one after the other, bytes out.

Decides which bytes belong to which request, when the visitor is read and when the connection ends. One machine on
two transports: `plain.PlainVisitor` and `secure.SecureVisitor` differ only in how bytes leave.

A head that arrived whole is served within the same call, with no state kept but the exchange. Requests that are
pipelined wait in a bounded buffer. Time-outs are one number, `deadline`, that `visitors.Visitors` compares with its
clock every second; no request sets a timer of its own.
"""

import socket
from collections import deque
from typing import TYPE_CHECKING
from typing import Protocol as Interface

from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure

from warp_twisted.edge import refusals
from warp_twisted.edge.visitors.exchange import Exchange
from warp_twisted.http1.forwarding import Forwarding
from warp_twisted.http1.refusals import MessageRefused, Refusal
from warp_twisted.http1.request import RequestReader

if TYPE_CHECKING:
    from warp_twisted.edge.visitors.crowd import Visitors


PIECE_BYTES = 65_536  # of what waits, given to the transport at once
UNSENT_BYTES = 262_144  # that the kernel takes beyond what the visitor's window lets it send
BULK_BYTES = 49_152  # a piece of a body from which on we expect more of the kind


def prepare_socket(transport: Connection) -> None:
    """
    Set a visitor's socket up: small writes go out at once, dead visitors are noticed, and the kernel holds little.

    Without the last, the kernel takes some megabytes for a slow visitor and reports room only when a third of them
    is gone: memory that nobody counts, and minutes in which a slow visitor looks like a stalled one.
    """
    transport.setTcpNoDelay(True)
    transport.setTcpKeepAlive(True)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        transport.getHandle().setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


class Conversation(Interface):
    """Who a connection's bytes are for: an `Exchange`, or the `Splice` that follows it."""

    @property
    def wants_data(self) -> bool:
        """Whether the next bytes belong to it, rather than to the next request."""

    def request_received(self, data: bytes) -> None:
        """Bytes of the visitor came."""

    def visitor_drained(self) -> None:
        """Everything written has gone out, after `is_clogged` was set; now credit may be returned."""

    def visitor_lost(self) -> None:
        """The connection is gone."""

    def timed_out(self) -> None:
        """The deadline has passed."""


class VisitorConnection(Protocol):
    """
    What both kinds of connection share.

    :ivar visitors: what all connections share.
    :ivar address: the visitor's, for logs and for the origin.
    :ivar exchange: the request being served, or None between two.
    :ivar is_clogged: whether bytes wait here because the visitor does not read them.
    :ivar unread_bytes: how many wait, those in the transport included as far as it says when they are gone.
    :ivar is_paused: whether the visitor is not read.
    :ivar deadline: an instant of the visitors' clock.
    """

    scheme = "http"
    unread_bytes = 0
    _given_bytes = 0  # of the piece that the transport has

    def __init__(self, visitors: "Visitors", address: str) -> None:
        self.visitors = visitors
        self.address = address
        self.exchange: Conversation | None = None
        self.is_clogged = False
        self.is_paused = False
        self.deadline = visitors.now + visitors.timeouts.header
        self._reader = RequestReader(
            visitors.limits.head, Forwarding(address, self.scheme, visitors.via), visitors.upgrades
        )
        self._queue: deque[bytes] = deque()
        self._held = b""
        self._has_begun = True  # a new connection owes a request at once; later ones may rest first
        self._is_serving = False
        self._is_closing = False
        self._is_bulk = False
        self._lingers = False

    # Bytes in.

    def dataReceived(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is not None:
            if exchange.wants_data:
                if (len(data) >= BULK_BYTES) != self._is_bulk:
                    self._is_bulk = not self._is_bulk
                    self._expect_bulk(self._is_bulk)
                exchange.request_received(data)
            else:
                self.hold(data)
            return
        if self._is_closing:
            return
        self._held = self._held + data if self._held else data
        self._serve()

    def hold(self, data: bytes) -> None:
        """Keep bytes that follow the request being served; too many stop the visitor."""
        self._held += data
        if len(self._held) >= self.visitors.limits.held_bytes:
            self.pause_reading()

    def take_held(self) -> bytes:
        """Give away the bytes that followed the request."""
        held, self._held = self._held, b""
        return held

    def _serve(self) -> None:
        """Serve the requests that have arrived, as long as each is answered at once; never nested."""
        if self._is_serving:
            return
        self._is_serving = True
        try:
            while self._held and self.exchange is None and not self.is_clogged and not self._is_closing:
                data = self._held
                head = self._reader.read(data)
                if head is None:
                    self._wait_for_head()
                    return
                self._held = b""
                exchange = self.exchange = Exchange(self, head)
                self._held = exchange.begin(data[head.size :])
        except MessageRefused as error:
            self._refuse(error.refusal)
        finally:
            self._is_serving = False

    def _wait_for_head(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self.wait(self.visitors.timeouts.header)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what is no request."""
        self._held = b""
        self.write(self.visitors.refuse_connection(self, refusal))
        self.linger()

    # What an exchange asks.

    def exchange_finished(self, *, keeps: bool, is_read: bool) -> None:
        """
        The answer is written.

        :param keeps: whether the connection stays for another request.
        :param is_read: whether the request was read to its end; otherwise the visitor may still be sending it.
        """
        self.exchange = None
        if self._is_closing:
            return
        if not keeps:
            if is_read and not self._held:
                self.close()
            else:
                self.linger()
            return
        self._has_begun = False
        self.wait(self.visitors.timeouts.idle)
        if self.is_paused:
            self.resume_reading()
        if self._held:
            self._serve()

    def exchange_failed(self, *, must_abort: bool) -> None:
        """The answer cannot be completed, or an upgraded connection is over."""
        self.exchange = None
        if must_abort:
            self.abort()
        else:
            self.close()

    # Time.

    def wait(self, seconds: float) -> None:
        """Set the deadline."""
        self.deadline = self.visitors.now + seconds

    def timed_out(self) -> None:
        """The deadline has passed."""
        if self._is_closing:
            self.abort()
        elif self.exchange is not None:
            self.exchange.timed_out()
        elif self.is_clogged:
            self.abort()
        elif self._held:
            self._refuse(refusals.HEAD_TOO_SLOW)
        else:
            self.close()

    def close_if_idle(self, *, even_if_new: bool) -> None:
        """The edge drains: a connection without a request is of no use, but one that is new may have sent its first."""
        is_idle = self.exchange is None and not self._held and not self._is_closing
        if is_idle and (even_if_new or not self._has_begun):
            self.close()

    # The transport.

    def connectionMade(self) -> None:
        self.visitors.connected(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._is_closing = True
        self._settle(self.unread_bytes)
        exchange, self.exchange = self.exchange, None
        self.visitors.disconnected(self)
        if exchange is not None:
            exchange.visitor_lost()

    def _clog(self) -> None:
        """The transport takes no more: from here on the visitor has its time to read."""
        self.is_clogged = True
        self.wait(self.visitors.timeouts.visitor_stall)

    def _make_progress(self) -> None:
        """The transport takes more: it is given the next piece, so that a slow visitor is told from a stalled one."""
        self._settle(self._given_bytes)
        if self._queue:
            self.wait(self.visitors.timeouts.visitor_stall)
            self._give()
            return
        self.is_clogged = False
        if self._is_closing:
            self._say_goodbye()
        elif self.exchange is not None:
            self.exchange.visitor_drained()
        else:
            self.wait(self.visitors.timeouts.idle)
            self._serve()

    def _enqueue(self, data: bytes) -> None:
        for at in range(0, len(data), PIECE_BYTES):
            self._queue.append(data[at : at + PIECE_BYTES])
        self.unread_bytes += len(data)
        self.visitors.count_unread(len(data))

    def _give(self) -> None:
        """Give the transport the next piece that waits."""
        piece = self._queue.popleft()
        self._given_bytes = len(piece)
        self._put(piece)

    def _settle(self, count: int) -> None:
        """Note that bytes which waited are gone."""
        self._given_bytes = 0
        if count:
            self.unread_bytes -= count
            self.visitors.count_unread(-count)

    def _put(self, piece: bytes) -> None:
        """Give the transport a piece that had to wait."""
        raise NotImplementedError

    # The end.

    def close(self) -> None:
        """Close after what was written."""
        self._end(lingers=False)

    def linger(self) -> None:
        """
        Close after what was written, but let the visitor read it: bytes that it still sends are dropped for a while.

        RFC 9112 §9.6: closing a socket with unread bytes resets the connection, and our last words would be lost.
        """
        self._end(lingers=True)

    def abort(self) -> None:
        """Close now."""
        self._is_closing = True
        self._held = b""
        self._queue.clear()
        self._settle(self.unread_bytes)
        self._cut()

    def _end(self, *, lingers: bool) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        self._lingers = lingers
        self._held = b""
        self.resume_reading()
        if not self.is_clogged:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        """Everything was written: close, and let go of a visitor that does not."""
        self.wait(self.visitors.timeouts.linger)
        self._lose()

    def _lose(self) -> None:
        """Close the transport in the way that `_lingers` says."""
        raise NotImplementedError

    def _cut(self) -> None:
        """Reset the transport."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Send bytes now, or when the visitor reads."""
        raise NotImplementedError

    def _expect_bulk(self, is_bulk: bool) -> None:
        """Read more at once while a large body is coming, and the usual again."""
        raise NotImplementedError

    def pause_reading(self) -> None:
        """Read the visitor no more."""
        raise NotImplementedError

    def resume_reading(self) -> None:
        """Read the visitor again."""
        raise NotImplementedError
