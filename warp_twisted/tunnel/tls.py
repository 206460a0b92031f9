"""
TLS between a TCP transport and a protocol that is made only when the peer is proven.

Decides how bytes are encrypted and moved, and when the handshake or the goodbye took too long. Who may speak what is
decided by the `secured` function that it is given.

It uses the standard library's `ssl` over memory BIOs instead of
Twisted's TLS (pyOpenSSL): measured on this path, a 1 KiB record costs 2.4 µs to write and read instead of 7.7 µs, and
an idle connection 22 KiB instead of 33 KiB (no cffi call or exception per read, buffers released when idle).

Bytes are offered to the socket at once, and only what it does not take goes through `transport.write`, which would
cost a turn of the reactor and two `epoll_ctl` each time. To keep the order, everything goes that way while bytes are
left there. We are a pull producer of the TCP transport, because it tells those, and only those, each time that its
buffer has become empty.
"""

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable

from cryptography import x509
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProducer,
    IProtocol,
    IPullProducer,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from warp_twisted.errors import WarpError
from warp_twisted.tunnel.errors import HandshakeFailed, HandshakeTimedOut, PeerNotTrusted, PeerNotValidNow
from warp_twisted.tunnel.records import Records
from warp_twisted.tunnel.step_queue import StepQueue

RECORD_BYTES = 16 * 1024  # the most a TLS record carries (RFC 8446 §5.1), so one read empties one record
PIECE_BYTES = 32 * 1024  # of what is written, or came, at once: two full records are given to OpenSSL at once
BULK_BYTES = 128 * 1024  # read from an origin or a visitor at once while a lot is coming: half a stream's first window
BULK_READ_BYTES = BULK_BYTES + 4 * 1024  # read from a tunnel at once: such a piece as one frame, in its records
RECORDS_AT_ONCE = 128  # opened in one turn: 0.3 ms of small ones, 3.6 ms of those that ask for new keys
# Records without data, such as those: so many, and one more for each sixteen that carry something.
MAX_SILENT_RECORDS = 64
RECORDS_PER_SILENT = 16
PIECES_AT_ONCE = 256  # given to the socket at once; sendmsg(2) takes 1,024 (IOV_MAX)
# Offered to the socket at once. Twisted's 128 KiB would cut a bulk read's records, and send their end by the slow way.
SEND_BYTES = 1024 * 1024

# The kernel takes no more while it holds so many that it has not sent yet: what it holds can no longer be overtaken.
# Its own limit is some megabytes, a hundred milliseconds and more of a path with 200 Mbit/s.
KERNEL_BYTES = 128 * 1024
# X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED (X509_STORE_CTX_get_error(3)).
_NOT_VALID_NOW = (9, 10)
_PLAIN_HTTP = "HTTP_REQUEST"  # OpenSSL's reason for bytes that begin as GET, POST, HEAD or PUT does
HIGH_WATER_BYTES = 64 * 1024  # left in the transport's buffer before the protocol above is paused; Twisted's own size


def forget_connector(transport: object) -> None:
    """
    Break the reference cycle of a connection that is over and its connector, which Twisted leaves.

    Each would keep a protocol and what that holds until the garbage collector finds them.
    """
    below = getattr(transport, "transport", None)  # of a transport of Twisted's that runs TLS
    connector = getattr(transport if below is None else below, "connector", None)
    if connector is not None:
        connector.transport = None


@implementer(ITransport, IPullProducer)
class TlsProtocol(Protocol):
    """
    The protocol of the TCP transport, and the transport of the protocol above.

    :param context: what we show and what we trust.
    :param is_server: whether the peer dialed.
    :param server_name: sent as SNI by a client, unless it is an IP address or None.
    :param secured: called with this transport after the handshake; returns the protocol to run on it, or raises a
        `WarpError` if the peer may not go on.
    :param failed: called once if no protocol was made, with the reason.
    :param handshake_seconds: how long the handshake may take, from the peer's first bytes.
    :param silence_seconds: how long the peer may take to say anything; None: as long as for the handshake.
    :param handshakes: takes the handshake's steps in turns with others'; None: they are taken at once.
    :param network: where the peer is, for that; kept as an attribute.
    :param close_seconds: how long the last bytes and the peer's goodbye may take.
    :param plain_answer: returns what a peer is told that begins with a request of plain HTTP; None: an alert.
    """

    _below: Connection

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        is_server: bool,
        server_name: str | None = None,
        secured: Callable[["TlsProtocol"], IProtocol],
        failed: Callable[[WarpError], None],
        clock: IReactorTime,
        handshake_seconds: float = 10.0,
        silence_seconds: float | None = None,
        handshakes: StepQueue | None = None,
        network: str = "",
        close_seconds: float = 5.0,
        plain_answer: Callable[[], bytes] | None = None,
    ) -> None:
        self._plain_answer = plain_answer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, is_server, server_name)
        self._secured: Callable[[TlsProtocol], IProtocol] | None = secured
        self._failed: Callable[[WarpError], None] | None = failed
        self._clock = clock
        self._handshake_seconds = handshake_seconds
        self._silence_seconds = silence_seconds
        self._handshakes = handshakes
        self.network = network
        self._is_waiting = False  # for its turn in the handshake
        self._close_seconds = close_seconds
        self._deadline: IDelayedCall | None = None
        self._above: IProtocol | None = None
        self._is_closing = False
        self._is_peer_done = False  # it said goodbye, and the protocol above goes on all the same
        self._is_bulk = False
        self._is_reading = True  # as far as the protocol above is concerned
        self._records = Records()
        self._silent_records = 0.0
        self._postponed: list[bytes] = []
        self._reason: Failure | None = None
        self._unsent = 0
        self._producer: IPushProducer | None = None
        self._is_producer_paused = False

    # What the protocol above may ask.

    @property
    def negotiated_protocol(self) -> str | None:
        """The ALPN protocol that both sides speak."""
        return self._tls.selected_alpn_protocol()

    @property
    def is_shaking_hands(self) -> bool:
        """Whether the handshake is not done, and goes on."""
        return self._secured is not None and not self._is_closing

    @property
    def peer_certificate(self) -> x509.Certificate | None:
        """The certificate that the peer showed, decoded at each call; verified as the context asked."""
        der = self._tls.getpeercert(binary_form=True)
        return None if der is None else x509.load_der_x509_certificate(der)

    @property
    def has_peer_certificate(self) -> bool:
        """Whether the peer showed a certificate; on an edge it then is from our CA."""
        return self._tls.getpeercert(binary_form=True) is not None

    def getPeer(self) -> IAddress:
        return IAddress(self._below.getPeer())

    def getHost(self) -> IAddress:
        return IAddress(self._below.getHost())

    def write(self, data: bytes) -> None:
        if len(data) > RECORD_BYTES:
            self.writeSequence((data,))
        elif not self._is_closing:
            try:
                self._tls.write(data)
            except ssl.SSLError as error:
                self._break(str(error.reason or error))
            else:
                self._send(self._outgoing.read())

    def writeSequence(self, data: Iterable[bytes | memoryview]) -> None:
        """Encrypt pieces, small ones together, and send them; the records of one call are full but for the last."""
        if self._is_closing:
            return
        encrypted: list[bytes] = []
        small: list[bytes | memoryview] = []  # what waits to be joined
        size = 0  # of that, less than a record
        try:
            for piece in data:
                length = len(piece)
                if size + length < RECORD_BYTES:
                    small.append(piece)
                    size += length
                    continue
                view = memoryview(piece)
                at = 0
                if small:
                    at = RECORD_BYTES - size
                    small.append(view[:at])
                    self._encrypt(b"".join(small), encrypted)
                    small = []
                # In pieces, so that the BIO, which never shrinks, stays small: an idle tunnel keeps its memory.
                while length - at >= RECORD_BYTES:
                    end = at + min(PIECE_BYTES, (length - at) // RECORD_BYTES * RECORD_BYTES)
                    self._encrypt(view[at:end], encrypted)
                    at = end
                size = length - at
                if size:
                    small.append(view[at:])
            if small:
                self._encrypt(small[0] if len(small) == 1 else b"".join(small), encrypted)
        except ssl.SSLError as error:
            self._break(str(error.reason or error))
            return
        if len(encrypted) == 1:
            self._send(encrypted[0])
        elif encrypted:
            self._send_pieces(encrypted)

    def _encrypt(self, data: bytes | memoryview, encrypted: list[bytes]) -> None:
        self._tls.write(data)
        encrypted.append(self._outgoing.read())

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Take a push producer, to be paused while more than `HIGH_WATER_BYTES` wait for the socket."""
        self._producer = IPushProducer(producer)
        self._is_producer_paused = False

    def unregisterProducer(self) -> None:
        self._producer = None

    def loseConnection(self) -> None:
        """Say goodbye after what was written, and wait for the peer's, but not for long."""
        if self._is_closing:
            return
        self._is_closing = True
        self._set_deadline(self._close_seconds, self.abortConnection)
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError:
            self.abortConnection()
        else:
            self._flush()
            self._lose()

    def loseWriteConnection(self) -> None:
        """Say goodbye after what was written, and go on reading (RFC 8446 §6.1)."""
        if not self._is_closing:
            try:
                self._tls.unwrap()
            except ssl.SSLWantReadError:
                self._flush()
            except ssl.SSLError:
                self.abortConnection()
            else:
                self.loseConnection()

    def abortConnection(self) -> None:
        self._is_closing = True
        self._below.unregisterProducer()
        self._below.abortConnection()

    def pause_reading(self) -> None:
        """Read the peer no more; what came in the same read, at most `BULK_READ_BYTES`, is still delivered."""
        self._is_reading = False
        self._below.pauseProducing()

    def resume_reading(self) -> None:
        """Read the peer again."""
        self._is_reading = True
        if not self._postponed and not self._is_waiting:
            self._below.resumeProducing()

    def probe_when_idle(self, seconds: int) -> None:
        """
        Have the kernel ask an idle peer for a sign of life (TCP keep-alive).

        A peer that lost its power cannot say goodbye. When it is back it does not know the connection, and says so to
        the first segment that reaches it, which a ping might send only much later.
        """
        if isinstance(self._below.getHost(), IPv4Address | IPv6Address):
            handle: socket.socket = self._below.getHandle()
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
                if hasattr(socket, option):
                    handle.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)

    # What TCP says.

    def makeConnection(self, transport: ITransport) -> None:
        if not isinstance(transport, Connection):
            raise TypeError(f"{transport!r} is not a TCP or unix connection")
        self._below = transport
        super().makeConnection(transport)

    def connectionMade(self) -> None:
        if isinstance(self._below.getHost(), IPv4Address | IPv6Address):
            self._below.setTcpNoDelay(True)  # bytes are joined already; Nagle would only hold them back
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                self._below.getHandle().setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, KERNEL_BYTES)
        self._below.SEND_LIMIT = SEND_BYTES
        self._below.registerProducer(self, False)
        self._set_deadline(self._silence_seconds or self._handshake_seconds, self._timed_out)
        self._shake_hands()

    def dataReceived(self, data: bytes) -> None:
        size = len(data)
        if size > RECORD_BYTES:
            if not self._is_bulk and size >= self._below.bufferSize:
                self._expect(True)
        elif self._is_bulk:
            self._expect(False)
        if self._postponed:
            self._postponed.append(data)
        else:
            self._open(data)

    def _open(self, data: bytes) -> None:
        """Open the first records of what came, and put off the rest, if there are many."""
        above = self._above
        size = len(data)
        records: list[bytes] = []
        begun = end = 0
        is_over, failure = False, None
        # In pieces, as in `write`. No more reads than records have ended: another would cost an exception.
        while end < size and begun < RECORDS_AT_ONCE:
            at = end
            end, more, ended = self._records.pass_over(data, at, RECORDS_AT_ONCE - begun, PIECE_BYTES)
            begun += more
            self._incoming.write(data if end - at == size else memoryview(data)[at:end])
            if above is not None:
                try:
                    is_over = self._read(ended, records)
                except ssl.SSLError as error:
                    failure = str(error.reason or error)
                if is_over or failure is not None:
                    break
        if end < size and not is_over and failure is None:
            self._postponed.insert(0, data[end:])
            self._below.pauseProducing()
            self._clock.callLater(0, self._open_more)
        carried = self._go_on_with_handshake() if above is None else self._deliver(above, records, is_over, failure)
        if carried is not None:
            silent = self._silent_records + begun - carried - carried / RECORDS_PER_SILENT
            self._silent_records = silent if silent > 0 else 0.0
            if silent > MAX_SILENT_RECORDS:
                self._break("the peer sent too many records that carry nothing")

    def _open_more(self) -> None:
        if self._below.connected and not self._below.disconnected and self._postponed:
            self._open(self._postponed.pop(0))
            if not self._postponed and self._is_reading and not self._is_waiting:
                self._below.resumeProducing()

    def _expect(self, is_bulk: bool) -> None:
        """
        Read more at once while a lot is coming, and the usual again.

        Not always, because each read allocates what it may take, and that is a system call from 128 KiB on:
        measured 17 µs for a read of 256 KiB, and 2 µs for one of 64 KiB, that returns 200 bytes.
        """
        self._is_bulk = is_bulk
        self._below.bufferSize = BULK_READ_BYTES if is_bulk else Connection.bufferSize

    def resumeProducing(self) -> None:
        """The transport's buffer is empty."""
        self._unsent = 0
        if self._is_producer_paused:
            self._is_producer_paused = False
            if self._producer is not None:
                self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is gone; `connectionLost` follows."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._cancel_deadline()
        self._is_closing = True
        self._producer = None
        forget_connector(self._below)
        above, self._above = self._above, None
        if above is not None:
            above.connectionLost(self._reason or reason)
        else:
            self._fail(HandshakeFailed(f"the connection was lost in the TLS handshake: {reason.getErrorMessage()}"))

    def peer_hung_up(self) -> bool:
        """Pass on that the peer says no more than what has come; see `warp_base.loop.hang_ups`."""
        hear: Callable[[], bool] | None = getattr(self._above, "peer_hung_up", None)
        return hear is not None and hear()

    # TLS.

    def _read(self, count: int, records: list[bytes]) -> bool:
        """
        Decrypt records.

        :param count: how many have ended; where none has, one is tried all the same, to hear what is wrong with it.
        :param records: gets those that carry something.
        :returns: whether the peer said goodbye.
        :raises ssl.SSLError: for what is no record of the peer's.
        """
        read = self._tls.read
        try:
            for _ in range(count or not records):
                data = read(RECORD_BYTES)
                if not data:
                    return True
                records.append(data)
        except ssl.SSLWantReadError:
            pass  # some of them carried nothing
        except ssl.SSLZeroReturnError:
            return True  # what `read` raises, instead of returning nothing, when we said goodbye first
        return False

    def _go_on_with_handshake(self) -> int | None:
        """Take a step of the handshake, now or in turn; returns as `_deliver` does."""
        if self._secured is None:
            return None
        if self._silence_seconds is not None:
            self._silence_seconds = None
            self._set_deadline(self._handshake_seconds, self._timed_out)
        if self._handshakes is not None:
            self._wait_for_turn(self._handshakes)
            return None
        self._shake_hands()
        return self._read_what_came_behind()

    def _read_what_came_behind(self) -> int | None:
        """Read what came with the end of the handshake, if that is done; returns as `_deliver` does."""
        above = self._above
        if above is None:
            return None
        records: list[bytes] = []
        is_over, failure = False, None
        try:
            while self._incoming.pending and not is_over:
                is_over = self._read(RECORDS_AT_ONCE, records)
        except ssl.SSLError as error:
            failure = str(error.reason or error)
        return self._deliver(above, records, is_over, failure)

    def _deliver(self, above: IProtocol, records: list[bytes], is_over: bool, failure: str | None) -> int | None:
        """
        Hand on what one read brought, in one piece: each piece costs the protocol above a write of its own.

        :param is_over: whether the peer said goodbye behind it.
        :param failure: why nothing more can be read.
        :returns: how many records carried something, or None when all is over.
        """
        if records and not self._is_closing:
            above.dataReceived(records[0] if len(records) == 1 else b"".join(records))
        if failure is not None:
            self._break(failure)
            return None
        if is_over:
            self._goodbye_received()
            return None
        if self._outgoing.pending:
            self._flush()
        return len(records)

    def _wait_for_turn(self, handshakes: StepQueue) -> None:
        """Go on with the handshake when it is this peer's turn; until then no more of what it says is read."""
        if not self._is_waiting:
            self._is_waiting = True
            handshakes.take(self.network, self._shake_hands_in_turn)
            if self._is_waiting:
                self._below.pauseProducing()

    def _shake_hands_in_turn(self) -> None:
        self._is_waiting = False
        if self._secured is None:
            return  # too late, or gone
        if not self._postponed:
            self._below.resumeProducing()
        self._shake_hands()
        self._read_what_came_behind()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLCertVerificationError as error:
            kind = PeerNotValidNow if error.verify_code in _NOT_VALID_NOW else PeerNotTrusted
            self._refuse(kind(f"the peer's certificate is not good: {error.verify_message}"))
            return
        except ssl.SSLError as error:
            if error.reason == _PLAIN_HTTP and self._plain_answer is not None:
                self._outgoing.read()  # an alert, which would stand before it
                self._send(self._plain_answer())
            self._refuse(HandshakeFailed(f"the TLS handshake failed: {error.reason or error}"))
            return
        self._flush()
        self._cancel_deadline()
        secured, self._secured = self._secured, None
        if secured is None:
            return
        try:
            self._above = secured(self)
        except WarpError as error:
            self._refuse(error)
            return
        self._failed = None
        self._above.makeConnection(self)

    def _refuse(self, error: WarpError) -> None:
        """Let the alert go out, close, and say why."""
        self._secured = None
        self._is_closing = True
        self._flush()
        self._set_deadline(self._close_seconds, self.abortConnection)
        self._lose()
        self._fail(error)

    def _timed_out(self) -> None:
        seconds = self._silence_seconds or self._handshake_seconds
        self._fail(HandshakeTimedOut(f"no TLS handshake within {seconds:g} seconds"))
        self.abortConnection()

    def _fail(self, error: WarpError) -> None:
        self._secured = None
        failed, self._failed = self._failed, None
        if failed is not None:
            failed(error)

    def _goodbye_received(self) -> None:
        if not self._is_closing:
            if self._is_peer_done:
                self._break("the peer sent more behind its goodbye")
                return
            # As `peer_hung_up`: a protocol above with `peer_ended` may go on writing, if it says so.
            hear: Callable[[], bool] | None = getattr(self._above, "peer_ended", None)
            self._is_peer_done = True
            if hear is not None and hear():
                return
        if not self._is_closing:
            self._is_closing = True
            self._set_deadline(self._close_seconds, self.abortConnection)
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                self.abortConnection()
                return
            self._flush()
        self._lose()

    def _break(self, reason: str) -> None:
        """Give up; an alert of the peer, such as its refusal of our certificate, arrives here as well."""
        self._reason = Failure(HandshakeFailed(f"TLS failed: {reason}"))
        self.abortConnection()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._send(self._outgoing.read())

    def _send(self, data: bytes) -> None:
        """Give encrypted bytes to the socket, and what it does not take to the transport."""
        if not self._unsent:
            sent = self._below.writeSomeData(data)
            if sent == len(data):
                return
            if isinstance(sent, int):
                data = data[sent:]
            # Otherwise the connection is lost, as the transport will find out when it writes.
        self._wait_for_transport(data)

    def _wait_for_transport(self, data: bytes) -> None:
        """Leave bytes to the transport; too many of them pause the producer."""
        self._unsent += len(data)
        self._below.write(data)
        if self._unsent > HIGH_WATER_BYTES and self._producer is not None and not self._is_producer_paused:
            self._is_producer_paused = True
            self._producer.pauseProducing()

    def _send_pieces(self, pieces: list[bytes]) -> None:
        """Give encrypted bytes to the socket without joining them, as far as it takes them."""
        sent = 0
        if not self._unsent and len(pieces) <= PIECES_AT_ONCE:
            # An error says that it is full, or that the connection is lost, as the transport will find out.
            with contextlib.suppress(OSError):
                sent = self._below.socket.sendmsg(pieces)
            if sent == sum(map(len, pieces)):
                return
        rest = b"".join(pieces)[sent:]
        self._wait_for_transport(rest)

    def _lose(self) -> None:
        """Close TCP after what is left to send."""
        self._below.unregisterProducer()
        self._below.loseConnection()

    def _set_deadline(self, seconds: float, function: Callable[[], None]) -> None:
        self._cancel_deadline()
        self._deadline = self._clock.callLater(seconds, function)

    def _cancel_deadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()
