"""
All visitors of this edge: what their connections share, the one sweep over all time-outs, and the edge's drain.

Nothing here reads settings: its builder passes limits and time-outs, and may replace them while it runs.
"""

import itertools
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import formatdate

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from warp_base.fair_queue import FairQueue
from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_base.slices import Slices
from warp_base.token_buckets import TokenBuckets
from warp_base.wall_clock import WallClock
from warp_twisted.edge.exchange.access_log import AccessEntry, AccessLog
from warp_twisted.edge.exchange.mirroring import Mirroring
from warp_twisted.edge.exchange.pages import response as error_response
from warp_twisted.edge.exchange.schedule import Schedule
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.edge.policy.passage import Passage
from warp_twisted.edge.refusals import GAVE_WAY, TOO_MANY_CONNECTIONS, TOO_MUCH_UNREAD
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.limits import ConnectionCounts, VisitorLimits, VisitorTimeouts, network_of
from warp_twisted.edge.routes.pool import OriginStream
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.edge.visitors.evictions import IdleConnections, Silent, slowest_first
from warp_twisted.edge.visitors.half_closed import HalfClosed
from warp_twisted.edge.visitors.handshake_rate import HandshakeRate
from warp_twisted.edge.visitors.http_proxies import HttpProxies
from warp_twisted.edge.visitors.interfaces import OpenConnection
from warp_twisted.http1.forwarding import Statements
from warp_twisted.http1.refusals import Refusal
from warp_twisted.http1.request import FirstSection
from warp_twisted.http1.request_fields import FieldRules
from warp_twisted.http1.shared_sections import SharedSections
from warp_twisted.policy.verdict import Objection
from warp_twisted.policy.visitor import Visitor as Source
from warp_twisted.tunnel.step_queue import StepQueue
from warp_twisted.wire.streams import Stream

UPGRADES = frozenset({b"websocket"})
SMALL_READS_PER_SECOND = 1_000  # of one network; each costs as much as one of many kilobytes
LATE_PER_TURN = 50  # connections whose deadline has passed are answered or closed; each takes 20 µs
NEW_SECONDS = 1.0  # which the first request of a new connection, or its handshake, has when the edge drains


class Visitors:
    """
    What the connections of all visitors share.

    :param routes: where requests go.
    :param metrics: counts them.
    :param clock: the reactor, for the sweep.
    :param access_log: or None to log no requests.
    :param upgrades: protocols, in lower case, that visitors may switch to.
    :param rules: which fields of requests are passed on.
    :param statements: which the edge sets beside X-Forwarded-*.
    :param policy: judges requests; without it everything is allowed.
    :param wall: the time of day, for the policy.
    :param seconds: a monotonic clock that is cheap to ask; only differences count.
    :ivar now: an instant of that clock at or after the present one, moved on by the sweep; deadlines are set from it.
    :ivar challenge_answers: what ACME's http-01 is answered with: hostname and path → body.
    :ivar http_proxies: who is believed in what it says of its visitors.
    :ivar handshake_rate: counts those that networks begin.
    :ivar is_draining: no connection is kept after the answer it waits for.
    """

    _log = Logger()

    def __init__(
        self,
        routes: RouteTable,
        metrics: DataPathMetrics,
        clock: IReactorTime,
        *,
        access_log: AccessLog | None = None,
        limits: VisitorLimits | None = None,
        timeouts: VisitorTimeouts | None = None,
        upgrades: frozenset[bytes] = UPGRADES,
        rules: FieldRules | None = None,
        statements: Statements | None = None,
        seconds: Callable[[], float] = time.monotonic,
        policy: PolicyInForce | None = None,
        wall: WallClock = MACHINE_WALL_CLOCK,
    ) -> None:
        self.routes, self.metrics, self.access_log = routes, metrics, access_log
        self.limits, self.timeouts = limits or VisitorLimits(), timeouts or VisitorTimeouts()
        self.upgrades = upgrades
        self.rules = rules or FieldRules()
        self.statements = statements or Statements()
        self.first_sections = SharedSections[FirstSection]()
        self.seconds = seconds
        self.challenge_answers: Mapping[tuple[str, bytes], bytes] = {}
        self.http_proxies = HttpProxies()
        self.policy = policy or PolicyInForce()
        self.wall, self.clock = wall, clock
        self.is_draining = self._closes_idle = self._is_cutting = False
        self.connections: dict[OpenConnection, None] = {}  # the oldest first
        self.shaking_hands: dict[Silent, None] = {}
        self.half_closed = HalfClosed()
        self._idle = IdleConnections(self.half_closed)
        self.counts = ConnectionCounts(self.limits)
        self.now = seconds() + self.timeouts.tick
        self.queue = FairQueue(clock)
        self.handshakes, self.losses = StepQueue(clock), StepQueue(clock)
        routes.queues.clock = clock
        self.schedule = Schedule(clock, seconds)
        self.mirroring = Mirroring(metrics.mirrors, clock, seconds, self.losses)
        self._requests = TokenBuckets(1.0, 1.0)
        self.handshake_rate = HandshakeRate(self.limits)
        self._small_reads = TokenBuckets(SMALL_READS_PER_SECOND, SMALL_READS_PER_SECOND)
        self._set_rate()
        self._ending: dict[Stream, float] = {}
        self._id_prefix = secrets.token_hex(4).encode() + b"-%08x"
        self._next_number = itertools.count(1).__next__
        self._sweeping = LoopingCall(self.sweep)
        self._sweeping.clock = clock
        self._drained: Deferred[None] | None = None
        self._welcoming: IDelayedCall | None = None  # those that are new, while the edge drains
        self._long_work = Slices(clock)
        self._late: dict[OpenConnection, None] = {}  # whose deadline has passed, in the order found
        self._ending_late: IDelayedCall | None = None
        self._date = b""

    def start(self) -> None:
        """Begin to sweep."""
        self._sweeping.start(self.timeouts.tick, now=True)

    def stop(self) -> None:
        """Cut every connection and stop sweeping; what the access log holds is written."""
        if self._sweeping.running:
            self._sweeping.stop()
        for call in (self._welcoming, self._ending_late):
            if call is not None:
                call.cancel()
        self._welcoming = self._ending_late = None
        self._long_work.stop()
        self.schedule.stop()
        self.mirroring.stop()
        self.queue.stop()
        for connection in list(self.connections):
            connection.abort()
        self.routes.close_idle()
        if self.access_log is not None:
            self.access_log.flush()

    def apply(
        self,
        limits: VisitorLimits,
        timeouts: VisitorTimeouts,
        rules: FieldRules | None = None,
        statements: Statements | None = None,
        upgrades: frozenset[bytes] | None = None,
    ) -> None:
        """Use other limits, time-outs and rules; head limits and all but limits hold for connections to come."""
        self.limits = limits
        self.upgrades = self.upgrades if upgrades is None else upgrades
        self.rules = rules or self.rules
        self.statements = statements or self.statements
        self.first_sections = SharedSections()
        self.timeouts = timeouts
        self.counts.limits = limits
        self._set_rate()
        self.routes.limits = limits
        if self._sweeping.running and self._sweeping.interval != timeouts.tick:
            self._sweeping.stop()
            self.start()

    def drain(self, *, keeps_idle: bool = False) -> Deferred[None]:
        """
        Close idle connections now and the others after their answer.

        One that was taken in a moment ago has not been heard of yet, though its request may be on the way.

        :param keeps_idle: close none that is idle before its next answer: a request may be on the way there, too.
        :returns: fires when the last connection is gone; the caller limits the wait.
        """
        self.is_draining = True
        self._drained = self._drained or Deferred()
        if not keeps_idle and not self._closes_idle:
            self._closes_idle = True
            self._welcoming = self.clock.callLater(NEW_SECONDS, self._welcome_no_more)
            self._long_work.start(self._close_idle(even_if_new=False))
        self._check_drained()
        return self._drained

    def resume(self) -> None:
        """Keep connections again after a drain that kept idle ones; its Deferred fires no more."""
        self.is_draining, self._drained = False, None

    def _welcome_no_more(self) -> None:
        self._welcoming = None
        self._long_work.start(self._close_idle(even_if_new=True))
        self._check_drained()

    def _close_idle(self, *, even_if_new: bool) -> Iterator[None]:
        for connection in list(self.connections):
            connection.close_if_idle(even_if_new=even_if_new)
            yield

    def sweep(self) -> None:
        """Move the clock on, end what took too long, and write the access log."""
        present = self.seconds()
        self.now = present + self.timeouts.tick
        self._date = b""
        self.half_closed.look(present, self.timeouts.half_closed)
        self._late.update(
            dict.fromkeys(connection for connection in self.connections if connection.deadline <= present)
        )
        if self._ending_late is None:
            self._end_late()
        for stream in [stream for stream, deadline in self._ending.items() if deadline <= present]:
            del self._ending[stream]
            stream.reset()
        self.mirroring.sweep(present)
        self.routes.sweep(present, self.timeouts.idle_stream)
        if self.access_log is not None:
            self.access_log.flush()

    def _end_late(self) -> None:
        """Time some out, and the others in later turns: a crowd may have begun, and waited, at one instant."""
        self._ending_late = None
        present = self.seconds()
        for connection in list(itertools.islice(self._late, LATE_PER_TURN)):
            del self._late[connection]
            if connection.deadline <= present and connection in self.connections:
                self._time_out(connection)
        if self._late:
            self._ending_late = self.clock.callLater(0, self._end_late)

    def _time_out(self, connection: OpenConnection) -> None:
        try:
            connection.timed_out()
        except Exception:
            self._log.failure("a connection of {address} failed at its time-out", address=connection.address)
            connection.abort()

    # For connections and exchanges.

    def next_request_id(self) -> bytes:
        """Return an id that no other request of any edge has: random for the process, then a number."""
        return self._id_prefix % self._next_number()

    def date(self) -> bytes:
        """Return the value of Date; formatted once a sweep."""
        if not self._date:
            self._date = formatdate(usegmt=True).encode()
        return self._date

    def count_unread(self, count: int) -> None:
        """
        Note that bytes begin or cease to wait, for a visitor to read them or for what it sent to be served.

        The credit for answers was given before they came, so nothing but a whole tunnel could be told to wait; that
        would hold everybody back. Above the limit the slowest visitors are cut instead, after this turn of the
        reactor, as Envoy resets the streams that hold most memory.
        """
        metrics, limit = self.metrics, self.limits.unread_bytes
        metrics.unread_bytes += count
        if metrics.unread_bytes > limit - limit // 16 and not self._is_cutting and count > 0:
            self._is_cutting = True
            self._long_work.start(self._cut_slowest())

    def _cut_slowest(self) -> Iterator[None]:
        """Cut the visitors that made no progress for the longest time, until an eighth of the limit is free."""
        metrics, limit = self.metrics, self.limits.unread_bytes
        unread, count = metrics.unread_bytes, 0
        if unread > limit - limit // 16:
            for connection in slowest_first(self.connections):
                if metrics.unread_bytes <= limit - limit // 8:
                    break
                if connection is not None and connection.unread_bytes:
                    metrics.count_refusal(TOO_MUCH_UNREAD)
                    count += 1
                    self._time_out(connection)
                    connection.abort()
                yield
        self._is_cutting = False
        if count:
            self._log.warn("{count} slow visitors were cut: {unread} bytes waited", count=count, unread=unread)

    def _set_rate(self) -> None:
        self._requests.per_second = self.limits.requests_per_second or 1.0
        self._requests.burst = self.limits.request_burst
        self.handshake_rate.follow(self.limits)

    def admit(self, address: str) -> Refusal | None:
        """
        Count a new connection in, or say why not; where there is no room, one on which nothing is asked makes some.

        :returns: None if it is counted; then `disconnected` or `handshake_failed` must follow at its end.
        """
        is_proxy = address in self.http_proxies
        refusal = self.counts.admit(address, is_limited=not is_proxy)
        if refusal is TOO_MANY_CONNECTIONS and self._idle.make_room(
            self.connections, self.shaking_hands, self.seconds()
        ):
            self.metrics.count_refusal(GAVE_WAY)
            refusal = self.counts.admit(address, is_exchanged=True, is_limited=not is_proxy)
        return refusal

    def refused_seconds(self, network: str, now: float) -> float:
        """Count a request of a network; return for how long it has asked too often, or 0."""
        return self._requests.take(network, now)

    def is_piecemeal(self, network: str) -> bool:
        """Note a small read of a network's visitor; return whether there were too many, and they wait for turns."""
        return self._small_reads.take(network, self.seconds()) > 0

    def let_end(self, origin: OriginStream) -> None:
        """End a stream in order, and cut it if the origin does not end as well."""
        origin.end()
        self._ending[origin.stream] = self.now + self.timeouts.linger

    def connected(self, connection: OpenConnection) -> None:
        """A connection is ready for requests."""
        self.connections[connection] = None
        if self._closes_idle and self._welcoming is None:
            connection.close_if_idle(even_if_new=True)

    def disconnected(self, connection: OpenConnection) -> None:
        """A connection is gone."""
        self.connections.pop(connection, None)
        self.counts.release(connection.address)
        self._check_drained()

    def handshake_failed(self, address: str) -> None:
        """A connection is gone before it was ready."""
        self.counts.release(address)
        self.metrics.failed_handshakes += 1
        self._check_drained()

    def refuse_connection(self, connection: OpenConnection, refusal: Refusal) -> bytes:
        """Log and count something that was no request, and return the answer to it."""
        request_id = self.next_request_id()
        page = error_response(refusal, request_id, b"", self.date(), connection=b"Connection: close\r\n", has_body=True)
        self.metrics.count_request(self.metrics.unrouted, refusal.status, 0, len(page), 0.0)
        self.log_refusal(connection.address, connection.scheme, refusal, request_id, len(page))
        return page

    def arrive(self, address: str, scheme: str) -> tuple[Passage | None, Objection | None]:
        """
        Ask the policy about a new connection.

        :returns: its way through the limits of connections, None if none count it; and why it may not come in. Who
            turns it away, for that or another reason, lets the passage `leave`.
        """
        policy = self.policy
        if not policy.counts_connections or address in self.http_proxies:
            return None, None
        passage = Passage(policy, Source(address, network_of(address)), scheme)
        verdict = passage.arrive(self.seconds())
        return passage, verdict.objection if verdict is not None else None

    def log_refusal(
        self,
        address: str,
        scheme: str,
        refusal: Refusal,
        request_id: bytes,
        size: int,
        objection: Objection | None = None,
        host: str = "",
    ) -> None:
        """
        Log a refusal that belongs to no request.

        :param objection: the rule's.
        :param host: as far as it is known.
        """
        self.metrics.count_refusal(refusal)
        self.policy.banning.refused(refusal, address, network_of(address))
        log = self.access_log
        if log is not None:
            log.record(
                AccessEntry(
                    log.timestamp(), request_id.decode(), address, scheme, "", host, "", refusal.status, 0, size, 0.0,
                    reason=refusal.slug,
                    rule=objection.rule if objection is not None else "",
                    detail=objection.detail if objection is not None else "",
                )
            )  # fmt: skip

    def _check_drained(self) -> None:
        if self._drained is None or self._drained.called or self.connections:
            return
        if self.counts.total and (self._welcoming is not None or not self._closes_idle):
            return  # handshakes are under way
        if self._welcoming is not None:
            self._welcoming.cancel()
            self._welcoming = None
        self._drained.callback(None)
