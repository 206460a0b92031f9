"""
Copies of visitors' requests that shadows get, whose answers are read and dropped.

A copy has nothing to do with the exchange that it was made in: it is sent once, on a healthy tunnel or not at all, and
whatever becomes of it is counted in its mirror's counters alone, not in those of shares, guards, ejections or
latencies. What may be under way at once is bounded by number and bytes, and so is an answer, and the time for it;
beyond that copies are dropped. A visitor waits for none of this.
"""

from collections.abc import Callable, Iterator

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from warp_base.slices import Slices
from warp_twisted.edge.routes.members import AtLimit, NoTunnel
from warp_twisted.edge.routes.mirror_counters import MirrorMetrics, Unanswered
from warp_twisted.edge.routes.pool import Borrower, OriginStream
from warp_twisted.edge.routes.shadows import Shadow
from warp_twisted.http1.body import BodyReader, UntilCloseReader, chunks_at_once, make_reader
from warp_twisted.http1.limits import BodyLimits
from warp_twisted.http1.refusals import TOO_MANY_INTERIM, MessageRefused
from warp_twisted.http1.request import RequestHead
from warp_twisted.tunnel.step_queue import StepQueue
from warp_twisted.wire.errors import WireError
from warp_twisted.wire.preamble import Opening

SECONDS = 10.0  # until an answer must be whole
COPIES = 100  # of one mirror under way at once
COPIES_OF_ALL = 1_000
REQUEST_BYTES = 1 << 20  # of one mirror's copies under way; of all, ten times as much
ANSWER_BYTES = 1 << 20  # of one answer
ANSWER_BYTES_A_SECOND = 1 << 24  # of one mirror, after which none is sent for the rest of the second
INTERIM_RESPONSES = 16  # 1xx of one answer
TOLD_SECONDS = 600.0
# Visitors cannot send it: `http1.request_fields` drops it, as all that the edge says itself.
MIRROR_LINE = b"Warp-Mirror: 1\r\n"
_SWITCHING_PROTOCOLS = 101
_ANY_BODY = BodyLimits()
_KEY = "mirror"  # of the losses of copies, which are obeyed in turns with visitors'


class Mirroring:
    """
    All copies under way.

    :param seconds: a monotonic clock.
    :param losses: where streams that died are obeyed.
    """

    _log = Logger()

    def __init__(
        self, metrics: MirrorMetrics, clock: IReactorTime, seconds: Callable[[], float], losses: StepQueue
    ) -> None:
        self._metrics = metrics
        self._seconds = seconds
        self.losses = losses
        self._copies: dict[_Copy, None] = {}  # the oldest first
        self._waiting_bytes = 0
        self._ending = Slices(clock)

    @property
    def count(self) -> int:
        """How many are under way."""
        return len(self._copies)

    def copy(self, shadow: Shadow, head: RequestHead, request_id: bytes, scheme: str) -> bool:
        """
        Send a copy of a request if there is room for it; it never raises.

        :param head: as the visitor's origin gets it.
        :param scheme: as the visitor asked.
        :returns: whether it was sent.
        """
        try:
            return self._copy(shadow, head, request_id, scheme)
        except Exception:
            self._log.failure("a copy of request {id} failed", id=request_id.decode())
            return False

    def _copy(self, shadow: Shadow, head: RequestHead, request_id: bytes, scheme: str) -> bool:
        counters = shadow.counters
        lines = head.lines + MIRROR_LINE
        request = RequestHead(head.method, head.target, head.size, head.fields, lines, head.accept).for_origin(
            request_id
        )
        if (
            counters.under_way >= COPIES
            or counters.waiting_bytes + len(request) > REQUEST_BYTES
            or counters.read_bytes > ANSWER_BYTES_A_SECOND
            or len(self._copies) >= COPIES_OF_ALL
            or self._waiting_bytes + len(request) > 10 * REQUEST_BYTES
        ):
            counters.unanswered[Unanswered.BUSY] += 1
            self._tell(shadow)
            return False
        copy = _Copy(self, shadow, head.method == b"HEAD", len(request), self._seconds())
        try:
            origin = copy.origin = shadow.members.borrow(copy, only_trusted=True)
        except AtLimit:
            counters.unanswered[Unanswered.BUSY] += 1
            return False
        except NoTunnel:
            counters.unanswered[Unanswered.NO_TUNNEL] += 1
            return False
        self._copies[copy] = None
        counters.under_way += 1
        counters.waiting_bytes += len(request)
        self._waiting_bytes += len(request)
        rewriting = origin.member.rewriting
        if rewriting is not None:
            request = rewriting.request(request, scheme, head.fields.authority)
        origin.stream.write(request)
        return True

    def _tell(self, shadow: Shadow) -> None:
        now = self._seconds()
        counters = shadow.counters
        if now - counters.told_at < TOLD_SECONDS:
            return
        counters.told_at = now
        self._log.warn(
            "copies of requests to {hostname} are dropped, as {count} are under way to {selector}, its shadow, or as "
            "it answers with too many bytes",
            hostname=shadow.hostname,
            count=counters.under_way,
            selector=shadow.mirror.selector,
        )

    def answered(self, copy: "_Copy", status: int) -> None:
        """A copy has its whole answer."""
        if self._forget(copy):
            copy.shadow.counters.count(status, self._seconds() - copy.sent_at)

    def unanswered(self, copy: "_Copy", why: Unanswered) -> None:
        """A copy will have none."""
        if self._forget(copy):
            copy.shadow.counters.unanswered[why] += 1

    def _forget(self, copy: "_Copy") -> bool:
        """Give up what a copy takes; return whether it was under way."""
        if copy not in self._copies:
            return False
        del self._copies[copy]
        counters = copy.shadow.counters
        counters.under_way -= 1
        counters.waiting_bytes -= copy.size
        self._waiting_bytes -= copy.size
        return True

    def sweep(self, now: float) -> None:
        """End what took too long; called about once a second."""
        self._metrics.begin_second()
        if self._copies and next(iter(self._copies)).sent_at + SECONDS <= now:
            self._ending.start(self._end_late(now))

    def _end_late(self, now: float) -> Iterator[None]:
        while self._copies:
            copy = next(iter(self._copies))
            if copy.sent_at + SECONDS > now:
                break
            copy.end(Unanswered.LATE)
            yield

    def stop(self) -> None:
        """Forget all of them."""
        self._ending.stop()
        for copy in list(self._copies):
            copy.end(Unanswered.LOST)


class _Copy(Borrower):
    """
    One copy under way.

    :ivar shadow: whose it is.
    :ivar size: of the request, in bytes.
    :ivar sent_at: when.
    """

    __slots__ = (
        "_body", "_interim_count", "_is_head", "_is_persistent", "_mirroring", "_partial", "_read", "_status", "origin",
        "sent_at", "shadow", "size",
    )  # fmt: skip

    def __init__(self, mirroring: Mirroring, shadow: Shadow, is_head: bool, size: int, sent_at: float) -> None:
        self._mirroring = mirroring
        self.shadow = shadow
        self.size = size
        self.sent_at = sent_at
        self.origin: OriginStream | None = None
        self._is_head = is_head
        self._is_persistent = False
        self._partial = b""
        self._body: BodyReader | None = None
        self._status = 0
        self._interim_count = 0
        self._read = 0

    @property
    def network(self) -> str:
        """Copies are nobody's: where places at an origin are counted, all of them together are one visitor."""
        return ""

    # What the stream says.

    def origin_opened(self) -> None:
        """The origin was reached."""

    def origin_refused(self, opening: Opening) -> None:
        """The agent did not reach the origin, and nobody else is asked."""
        self.origin = None
        self._mirroring.unanswered(self, Unanswered.LOST)

    def tunnel_suspected(self) -> None:
        """The tunnel is silent; the copy waits no longer than others."""

    def credit_received(self) -> None:
        """The request is away."""

    def data_received(self, data: bytes) -> None:
        """Read a piece of the answer, and drop it; whatever is wrong with it ends the copy and nothing else."""
        origin = self.origin
        if origin is None:
            return
        self._read += len(data)
        self.shadow.counters.read_bytes += len(data)
        try:
            if not origin.stream.peer_heard and origin.was_used:
                self.end(Unanswered.LOST)  # the origin spoke before it was asked
                return
            is_complete = self._receive(data, origin)
            origin.stream.consumed(len(data))
            if is_complete:
                self._complete(origin)
            elif self._read > ANSWER_BYTES:
                self.end(Unanswered.CUT)
        except MessageRefused:
            self.end(Unanswered.LOST)
        except Exception:
            self._mirroring._log.failure("an answer to a copy for {hostname} failed", hostname=self.shadow.hostname)
            self.end(Unanswered.LOST)

    def _receive(self, data: bytes, origin: OriginStream) -> bool:
        """Take a piece; return whether the answer is complete."""
        body = self._body
        if body is None:
            data = self._partial + data
            head = origin.reader.read(data)
            while head is not None and head.status < 200 and head.status != _SWITCHING_PROTOCOLS:
                self._interim_count += 1
                if self._interim_count > INTERIM_RESPONSES:
                    raise MessageRefused(TOO_MANY_INTERIM)
                data = data[head.size :]
                head = origin.reader.read(data) if data else None
            if head is None:
                self._partial = data
                return False
            self._partial = b""
            self._status = head.status
            length = 0 if self._is_head else head.length
            self._is_persistent = (
                head.persistent and length == head.length and head.status != _SWITCHING_PROTOCOLS and length >= -1
            )
            body = self._body = make_reader(length, _ANY_BODY)
            data = data[head.size :]
        _, rest = body.receive(data, chunks_at_once(len(data)))
        if rest:
            self._is_persistent = False
            if not body.complete:
                self._read = ANSWER_BYTES + 1  # of chunks so small that each costs more than it brings
        return body.complete

    def _complete(self, origin: OriginStream) -> None:
        self.origin = None
        self._mirroring.answered(self, self._status)
        if self._is_persistent:
            origin.release(self._mirroring._seconds())
        else:
            origin.discard()

    def end_received(self) -> None:
        """The origin closed its connection, in order."""
        if isinstance(self._body, UntilCloseReader) and self.origin is not None:
            self._is_persistent = False
            self._complete(self.origin)
        else:
            self.end(Unanswered.LOST)

    def stream_lost(self, error: WireError) -> None:
        """The stream died, with its tunnel perhaps many."""
        self._mirroring.losses.take(_KEY, lambda: self.end(Unanswered.LOST))

    def end(self, why: Unanswered) -> None:
        """Wait for no answer any more."""
        origin, self.origin = self.origin, None
        self._mirroring.unanswered(self, why)
        if origin is not None:
            origin.discard()
