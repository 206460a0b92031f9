"""
One visitor's connection: bytes in, requests one after the other, bytes out.

Decides which bytes belong to which request, when the visitor is read and when the connection ends. One machine on
two transports: `plain.PlainVisitor` and `secure.SecureVisitor` differ only in how bytes leave.

A head that arrived whole is served within the same call, with no state kept but the exchange. Requests that are
pipelined wait in a bounded buffer; behind one that the edge has answered by itself they wait for a turn in the queue
of all visitors (`warp_base.fair_queue`), because they cost the visitor nothing to send and the edge as much as any.
Time-outs are one number, `deadline`, that `crowd.Visitors` compares with its clock every second; no request sets a
timer of its own.

`state` follows `states.VISITOR_TRANSITIONS`. Beside it stand what the transport says (`is_clogged`), what it was told
(`is_paused`, `_is_bulk`), and the bytes that wait on either side.
"""

from collections import deque
from itertools import count

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from warp_twisted.edge import refusals
from warp_twisted.edge.exchange.exchange import Exchange
from warp_twisted.edge.exchange.interfaces import Asker, Conversation
from warp_twisted.edge.exchange.splice import Splice
from warp_twisted.edge.exchange.states import Ending
from warp_twisted.edge.policy.passage import Passage
from warp_twisted.edge.routes.limits import network_of, plain_address
from warp_twisted.edge.visitors.http_proxies import ProxiedHeads
from warp_twisted.edge.visitors.interfaces import VisitorSide
from warp_twisted.edge.visitors.states import VisitorState
from warp_twisted.http1.forwarding import Forwarding, Statements
from warp_twisted.http1.refusals import MessageRefused, Refusal
from warp_twisted.http1.request import RequestReader
from warp_twisted.policy.visitor import Visitor as Source

PIECE_BYTES = 65_536  # of what waits, given to the transport at once
SMALL_BYTES = 256  # a read that costs more than what it brings
BULK_BYTES = 49_152  # a piece of a body from which on we expect more of the kind
# Names of this module are found much faster than members of an Enum.
_NEW, _IDLE, _HEAD, _SERVING = VisitorState.NEW, VisitorState.IDLE, VisitorState.HEAD, VisitorState.SERVING
_QUEUED = VisitorState.QUEUED
_CLOSING, _LINGERING, _CLOSED = VisitorState.CLOSING, VisitorState.LINGERING, VisitorState.CLOSED
_KEEP = Ending.KEEP
_NUMBERS = count(1)  # of connections of proxies
# Why a visitor is not read: the stream takes no more; too much has arrived of what comes later; what has arrived, or
# the next read, waits for a turn; it sends no more.
_CREDIT, _HELD, _TURN, _OVER = 1, 2, 4, 8


class VisitorConnection(Protocol):
    """
    What both kinds of connection share.

    :ivar visitors: what all connections share.
    :ivar address: the visitor's, for logs and for the origin.
    :ivar network: what counts as one visitor; see `network_of`. A connection of an HTTP proxy counts alone.
    :ivar state: what it is doing.
    :ivar conversation: the request being served, or None between two.
    :ivar is_clogged: whether bytes wait here because the visitor does not read them.
    :ivar unread_bytes: how many wait here, in either direction; of answers those in the transport included, as far as
        it says when they are gone.
    :ivar kept_bytes: of request and answer, that the conversation keeps; they count as unread.
    :ivar is_paused: whether the visitor is not read.
    :ivar has_ended: whether the visitor has closed its sending side.
    :ivar deadline: an instant of the visitors' clock.
    :ivar hostname: for which the connection was used last, or empty.
    :ivar spoken_for: who asks, on the connection of an HTTP proxy that is believed.
    """

    scheme = "http"
    hostname = ""
    unread_bytes = 0
    spoken_for: Asker | None = None
    _proxied: ProxiedHeads | None = None
    _source: Source | None = None  # made at the first request that a rule is about
    _passage: Passage | None = None  # made by who let it in, or when a limit of connections is to be asked
    _given_bytes = 0  # of the piece that the transport has
    has_ended = False
    _is_given_up = False

    def __init__(self, visitors: VisitorSide, address: str, passage: Passage | None = None) -> None:
        self.visitors = visitors
        self.address = address
        if passage is not None:
            self._passage = passage
            self._source = passage.source
        self.network = network_of(address)
        self.state = _NEW
        self.conversation: Conversation | None = None
        self.is_clogged = False
        self.is_paused = False
        self.deadline = visitors.now + visitors.timeouts.header
        self._queue: deque[bytes] = deque()
        self._held = b""
        self._counted_bytes = 0  # of those held, as far as they are counted
        self.kept_bytes = 0
        self._is_queued = False
        self._pauses = 0
        self._is_bulk = False

    # Bytes in.

    def dataReceived(self, data: bytes) -> None:
        conversation = self.conversation
        if conversation is not None:
            if conversation.wants_data and not self._held:
                if (len(data) >= BULK_BYTES) != self._is_bulk:
                    self._is_bulk = not self._is_bulk
                    self._expect_bulk(self._is_bulk)
                rest = conversation.request_received(data)
                if rest:
                    if self._keep(rest):
                        self._enqueue_self()
                elif len(data) < SMALL_BYTES:
                    self._read_little()
            else:
                self._hold_read(data)
            return
        state = self.state
        if state is _IDLE or state is _NEW or state is _HEAD:
            if self.is_clogged:
                self._hold_read(data)
                return
            self._held = self._held + data if self._held else data
            if self._serve():
                self._enqueue_self()
            elif self._held and len(data) < SMALL_BYTES:
                self._read_little()
        elif state is _QUEUED:
            self._hold_read(data)

    def _hold_read(self, data: bytes) -> None:
        """Keep what a read brought for later."""
        self.hold(data)
        if len(data) < SMALL_BYTES:
            self._read_little()

    def _read_little(self) -> None:
        """Small reads that are many wait for turns: meanwhile what comes is gathered by the kernel."""
        if self.visitors.is_piecemeal(self.network) and self.state is not _CLOSED:
            self._pause(_TURN)
            self._enqueue_self()

    def _enqueue_self(self) -> None:
        """Wait for a turn."""
        if not self._is_queued:
            self._is_queued = True
            self.visitors.queue.add(self)

    def hold(self, data: bytes) -> None:
        """Keep bytes that follow the request being served; too many stop the visitor."""
        self._held += data
        self._count_held()
        if len(self._held) >= self.visitors.limits.held_bytes:
            self._pause(_HELD)

    def take_held(self) -> bytes:
        """Give away the bytes that followed the request."""
        held, self._held = self._held, b""
        self._count_held()
        self._resume_if_room()
        return held

    def _count_held(self) -> None:
        """Count what is held, or is no longer."""
        held = len(self._held)
        change = held - self._counted_bytes
        if change:
            self._counted_bytes = held
            self.unread_bytes += change
            self.visitors.count_unread(change)

    def count_kept(self, count: int) -> None:
        """Count the bytes of a request that the conversation keeps now."""
        change = count - self.kept_bytes
        if change:
            self.kept_bytes = count
            self.unread_bytes += change
            self.visitors.count_unread(change)

    def _serve(self) -> bool:
        """
        Serve the next request that has arrived.

        :returns: whether more of it, or what follows it, waits for a turn.
        """
        data = self._held
        try:
            head = self._reader.read(data)
        except MessageRefused as error:
            self._refuse(error.refusal)
            return False
        if head is None:
            self._wait_for_head()
            return False
        # An exchange that ends within this call must not serve the next request, so it finds nothing held.
        self._held = b""
        self.state = _SERVING
        if self._proxied is not None:
            self.spoken_for = self._proxied.asker
        exchange = self.conversation = Exchange(self, head)
        rest = exchange.begin(data[head.size :])
        if rest:
            return self._keep(rest)
        if self._counted_bytes:
            self._count_held()
        return False

    def _keep(self, rest: bytes) -> bool:
        """Keep what a conversation has left: more of its body, or what follows; return whether it waits for a turn."""
        if self.state is not _SERVING and self.state is not _IDLE:
            return False
        self._held = b""
        self.hold(rest)
        if self.conversation is not None:
            if not self.conversation.wants_data:
                return False
            self._pause(_TURN)
        elif self.is_clogged:
            return False
        else:
            self.state = _QUEUED
        return True

    def take_turn(self) -> bool:
        """Go on with what waits: requests, a body, or only the next read; see `warp_base.fair_queue.Waiting`."""
        conversation = self.conversation
        if self.state is _QUEUED:
            self.state = _IDLE
            self.wait(self.visitors.timeouts.idle)
            self._serve()
        elif conversation is not None:
            if conversation.wants_data and self._held and not conversation.is_blocked:
                rest = conversation.request_received(self.take_held())
                if rest:
                    self._keep(rest)
            if conversation.has_more and not self.is_clogged:
                conversation.take_turn()
        self._resume_if_room()
        conversation = self.conversation
        waits = conversation is not None and conversation.wants_data and bool(self._held)
        # A stream that takes no more says when it does (`resume_reading`); until then no turn is of use.
        is_blocked = waits and conversation is not None and conversation.is_blocked
        has_more = conversation is not None and conversation.has_more and not self.is_clogged
        self._is_queued = self.state is _QUEUED or has_more or (waits and not is_blocked)
        if not self._is_queued and not is_blocked and self.state is not _CLOSED:
            self._unpause(_TURN)
        if self.has_ended and not self._is_queued:
            self._look_for_end()
        return self._is_queued

    def _serve_held(self) -> None:
        """The connection is free: serve what was held meanwhile."""
        if self._held and self._serve():
            self._enqueue_self()
        self._resume_if_room()

    def _resume_if_room(self) -> None:
        """Read the visitor again, if little is held now."""
        if self._pauses & _HELD and len(self._held) < self.visitors.limits.held_bytes:
            self._unpause(_HELD)

    def _wait_for_head(self) -> None:
        """Wait for the rest: within `header` of its first byte; for the first head, of the connection."""
        self._count_held()
        if self.state is _IDLE:
            self.state = _HEAD
            self.wait(self.visitors.timeouts.header)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what is no request."""
        self.write(self.visitors.refuse_connection(self, refusal))
        self.linger()

    # What an exchange asks.

    def check_hostname(self, hostname: str) -> None:
        """Go on with another hostname, which nothing speaks against without TLS."""
        self.hostname = hostname

    def chain_for(self, authorities: frozenset[bytes]) -> tuple[bytes, ...]:
        """Return nothing: without TLS nobody proves a certificate."""
        return ()

    @property
    def source(self) -> Source:
        """The visitor, as the policy knows it."""
        source = self._source
        if source is None:
            source = self._source = Source(plain_address(self.address), self.network)
        return source

    @property
    def passage(self) -> Passage:
        """The connection's way through the limits of connections."""
        passage = self._passage
        if passage is None:
            passage = self._passage = Passage(self.visitors.policy, self.source, self.scheme)
        return passage

    def hand_over(self, conversation: Conversation) -> None:
        """Serve another conversation from now on, in the exchange's place."""
        self.conversation = conversation

    def wait_for_turn(self) -> None:
        """Let the conversation go on in a turn."""
        if self.state is not _CLOSED:
            self._enqueue_self()

    def conversation_ended(self, ending: Ending) -> None:
        """The conversation is at its end."""
        self.conversation = None
        if self.kept_bytes:
            self.count_kept(0)
        if self.state is not _SERVING:
            return
        if ending is _KEEP:
            self.state = _IDLE
            visitors = self.visitors
            self.deadline = visitors.now + visitors.timeouts.idle
            if self._pauses:
                self.resume_reading()
                if self.has_ended:
                    self._enqueue_self()  # not now: what followed the request may not be held again yet
            if self._held and not self.is_clogged:
                self._serve_held()
        elif ending is Ending.ABORT:
            self.abort()
        elif ending is Ending.LINGER or self._held:
            self.linger()
        else:
            self.close()

    # Time.

    def wait(self, seconds: float) -> None:
        """Set the deadline."""
        self.deadline = self.visitors.now + seconds

    def timed_out(self) -> None:
        """The deadline has passed."""
        if self._is_given_up:
            self.abort()
        elif self.conversation is not None:
            self.conversation.timed_out()
        elif self.state is _QUEUED:
            self.wait(self.visitors.timeouts.idle)  # it is the edge that is slow
        elif self.state is _CLOSING or self.state is _LINGERING or self.is_clogged:
            self.abort()
        elif self._held:
            self._refuse(refusals.HEAD_TOO_SLOW)
        else:
            self.close()

    def close_if_idle(self, *, even_if_new: bool) -> None:
        """The edge drains: a connection without a request is of no use, but one that is new may have sent its first."""
        if not self._held and (self.state is _IDLE or (even_if_new and self.state is _NEW)):
            self.close()

    @property
    def asker(self) -> Asker | None:
        """Who has the connection now; None between two requests of a proxy."""
        if self._proxied is None:
            return self
        return self.spoken_for if self.state is _SERVING else None

    @property
    def is_upgraded(self) -> bool:
        """Whether it is no longer HTTP, but a WebSocket or the like."""
        return isinstance(self.conversation, Splice)

    def give_way(self) -> bool:
        """Close at once, unless there is a request or an answer that is not read; return whether it did."""
        state = self.state
        if self.is_clogged or not (state is _IDLE or state is _NEW or state is _HEAD):
            return False
        self.abort()
        return True

    # A visitor that closes its sending side.

    @property
    def is_waited_for(self) -> bool:
        """Whether the visitor may wait for something: a request is being served, or an answer is not read."""
        return self.conversation is not None or self.state is _QUEUED or (self.is_clogged and self.state is not _CLOSED)

    def visitor_ended(self) -> None:
        """
        The visitor sends no more, but `is_waited_for`: what has arrived whole is answered, then the connection ends.

        :raises: nothing; called by the transport, once.
        """
        self.has_ended = True
        self._pause(_OVER)
        visitors = self.visitors
        visitors.half_closed.add(self, visitors.now + visitors.timeouts.half_closed)
        self._look_for_end()

    def _look_for_end(self) -> None:
        """End the connection of a visitor that sends no more, unless something that it has sent is left to be done."""
        conversation = self.conversation
        if conversation is not None:
            if not (self._held and conversation.wants_data) and not conversation.visitor_ended():
                self._leave()
        elif not self.is_clogged and self.state is not _QUEUED and self.state is not _CLOSED:
            self.close()

    def _leave(self) -> None:
        """The visitor has not sent all of its request, and never will: it has left."""
        self._let_go()
        if self.is_clogged:
            self._cut()
        else:
            self._lose()

    def give_up(self) -> None:
        """Have it ended as one whose visitor has left, with those whose time-outs have passed."""
        self._is_given_up = True
        self.deadline = 0.0

    def is_reset(self) -> bool:
        """Whether the visitor has said that it knows the connection no more; asked of those that send no more."""
        raise NotImplementedError

    def end_sending(self) -> None:
        """Close our sending side, behind what was written and has left; the visitor may go on sending."""
        raise NotImplementedError

    # The transport.

    def connectionMade(self) -> None:
        visitors, said = self.visitors, self.visitors.statements
        port = self._public_port(said) if said.needs_port else 0
        forwarding = Forwarding(self.address, self.scheme, said.fields, port)
        if visitors.http_proxies and self.address in visitors.http_proxies:
            self._proxied = ProxiedHeads(lambda: visitors.http_proxies, forwarding, dict(said.ports))
            self.network = f"{self.address}#{next(_NUMBERS)}"  # so that one visitor does not take the turns of all
        self._reader = RequestReader(
            visitors.limits.head,
            forwarding,
            visitors.upgrades,
            visitors.first_sections,
            visitors.rules,
            self._proxied.read if self._proxied is not None else None,
        )
        visitors.connected(self)

    def _public_port(self, said: Statements) -> int:
        """Return the port that the visitor connected to, as far as is known."""
        host = self.transport.getHost()  # type: ignore[union-attr]  # set while connected
        own: int = getattr(host, "port", 0)  # a unix socket has none
        return dict(said.ports).get(self.scheme, own)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._let_go()
        if self._passage is not None:
            self._passage.leave()
        if self.has_ended:
            self.visitors.half_closed.discard(self)
        self.visitors.disconnected(self)

    def _clog(self) -> None:
        """The transport takes no more: from here on the visitor has its time to read."""
        self.is_clogged = True
        self.wait(self.visitors.timeouts.visitor_stall)

    def _make_progress(self) -> None:
        """The transport takes more: it is given the next piece, so that a slow visitor is told from a stalled one."""
        self._discount(self._given_bytes)
        if self._queue:
            self.wait(self.visitors.timeouts.visitor_stall)
            self._give()
            return
        self.is_clogged = False
        if self.conversation is not None:
            self.conversation.visitor_drained()
        elif self.state is _IDLE:
            self.wait(self.visitors.timeouts.idle)
            self._serve_held()
            if self.has_ended:
                self._enqueue_self()
        elif self.state is _CLOSING or self.state is _LINGERING:
            self._say_goodbye()

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

    def _discount(self, count: int) -> None:
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
        self._end(_CLOSING)

    def linger(self) -> None:
        """
        Close after what was written, but let the visitor read it: bytes that it still sends are dropped for a while.

        RFC 9112 §9.6: closing a socket with unread bytes resets the connection, and our last words would be lost.
        """
        self._end(_LINGERING)

    def abort(self) -> None:
        """Close now; the conversation hears that the visitor is gone."""
        if self.state is not _CLOSED:
            self._let_go()
            self._cut()

    def _let_go(self) -> None:
        """Nothing is read or written any more: forget what waits, and tell the conversation."""
        self.state = _CLOSED
        if self._is_queued:
            self._is_queued = False
            self.visitors.queue.discard(self)
        self._held = b""
        self._counted_bytes = self.kept_bytes = 0
        self._queue.clear()
        self._discount(self.unread_bytes)
        conversation, self.conversation = self.conversation, None
        if conversation is not None:
            conversation.visitor_lost()

    def _end(self, state: VisitorState) -> None:
        if self.state is _CLOSING or self.state is _LINGERING or self.state is _CLOSED:
            return
        self.state = _CLOSING if self.has_ended else state
        self._held = b""
        self._count_held()
        self._unpause(_CREDIT | _HELD | _TURN)
        if not self.is_clogged:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        """Everything was written: close, and let go of a visitor that does not."""
        self.wait(self.visitors.timeouts.linger)
        self._lose()

    def _lose(self) -> None:
        """Close the transport in the way that the state says."""
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
        """Read the visitor no more, because the stream takes no more."""
        self._pause(_CREDIT)

    def resume_reading(self) -> None:
        """Read the visitor again, unless there is another reason not to."""
        self._unpause(_CREDIT)
        if self._pauses & _TURN:
            self._enqueue_self()

    def _pause(self, reason: int) -> None:
        if not self._pauses:
            self.is_paused = True
            self._stop_reading()
        self._pauses |= reason

    def _unpause(self, reason: int) -> None:
        if self._pauses & reason:
            self._pauses &= ~reason
            if not self._pauses:
                self.is_paused = False
                self._start_reading()

    def _stop_reading(self) -> None:
        """Tell the transport to read no more."""
        raise NotImplementedError

    def _start_reading(self) -> None:
        """Tell the transport to read again."""
        raise NotImplementedError
