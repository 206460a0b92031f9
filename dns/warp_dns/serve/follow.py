"""
Live records from an edge beside us: a client of `GET /v1/records?watch=1`, at its `listen.records` or its admin socket.

The stream is one JSON object a line, `{name: [record, …]}`: first every name, then each change with all records of the
names that changed; now and then an empty one, to show that the edge is there. When it breaks, we reconnect and
keep the records, until they are too old (`stale_seconds`); the server is told then, they are withdrawn, and it is told
again when a new snapshot has come.
"""

import random
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import SchedulerStopped, TaskStopped, deferLater
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseFailed
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from warp_base.reactor import Reactor
from warp_base.slices import Slices
from warp_dns.errors import DnsError
from warp_dns.message.records import RecordLike
from warp_dns.zone.source import Record, Records
from warp_dns.zone.steps import Steps, finish, in_batches

MAX_LINE_BYTES = 64 << 20  # a snapshot of some 300,000 records
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 35.0  # an edge shows every 10 s that it is there
FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = (
    1.0  # so long at most an edge that is back is not heard; a look at a socket that is not there is 0.1 ms
)
SAY_AGAIN_SECONDS = 60.0  # that it is away, for the same reason
LONG_LINE_BYTES = 65536  # some 0.5 ms; longer ones are read in slices


class EdgeNotUnderstood(DnsError):
    """The edge sent something that is not a stream of records."""


PIECE_BYTES = 16 * 1024  # of a line, decoded at once, in some 0.2 ms

_NAMED = msgspec.json.Decoder(dict[str, list[Record]])
# Between the records of one name and the next name. It is in no string: there a quotation mark has a backslash before
# it. And where the first one ends a string, `name":[` does not follow.
_BETWEEN_NAMES = re.compile(rb'\],(?="[^"\\]*":\[)')
_NAMES_PER_STEP = 1_000


class _Said(NamedTuple):
    """What a line says: names and their records now; and all records after it, where it changes many."""

    changed: dict[str, Sequence[RecordLike]]
    after: dict[str, Sequence[RecordLike]] | None


def _put(records: dict[str, Sequence[RecordLike]], changed: Iterable[tuple[str, Sequence[RecordLike]]]) -> None:
    """Change records; a name without any is gone."""
    for name, members in changed:
        if members:
            records[name] = members
        else:
            records.pop(name, None)


def _pieces(line: bytes) -> Iterator[bytes]:
    """Cut a JSON object of lists into smaller ones, in order; what is none of that may come out whole, or broken."""
    begin = b""
    at = 0
    while (found := _BETWEEN_NAMES.search(line, at + PIECE_BYTES)) is not None:
        yield begin + line[at : found.start() + 1] + b"}"
        at = found.end()
        begin = b"{"
    yield begin + line[at:]


class EdgeRecords:
    """The records that an edge publishes: a `zone.source.RecordSource`."""

    _log = Logger()

    def __init__(
        self, reactor: Reactor, path: str, stale_seconds: float, currency_changed: Callable[[bool], None]
    ) -> None:
        """
        Begin with no records.

        :param path: the edge's unix socket.
        :param currency_changed: called with True when there is a snapshot, and with False when it is too old.
        """
        self._reactor = reactor
        self._path = path
        self._stale_seconds = stale_seconds
        self._currency_changed = currency_changed
        self._records: dict[str, Sequence[RecordLike]] = {}
        self._subscribers: list[Callable[[Records], None]] = []
        self._running: Deferred[None] | None = None
        self._stale_call: Any = None
        self._wait_seconds = FIRST_WAIT_SECONDS
        self._has_snapshot = False
        self._away_said: tuple[str, float] | None = None  # why the edge is away, and when that was logged
        self._slices = Slices(reactor)
        self._reading: Deferred[Any] | None = None  # of a long line
        self._waiting: deque[bytes] = deque()  # lines behind it
        self._is_wanted = False
        self.is_current = False

    def snapshot(self) -> Records:
        """Return the records as they were last told."""
        return dict(self._records)

    def subscribe(self, changed: Callable[[Records], None]) -> Callable[[], None]:
        """Call `changed` at each change, until the returned function is called."""
        self._subscribers.append(changed)
        return lambda: self._subscribers.remove(changed)

    def start(self) -> None:
        """Connect and follow, reconnecting as needed."""
        self._is_wanted = True
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(lambda failure: failure.trap(CancelledError))

    def stop(self) -> None:
        """Stop following."""
        if self._running is not None:
            self._is_wanted = False
            self._running.cancel()
            self._running = None
        if self._stale_call is not None:
            self._stale_call.cancel()
            self._stale_call = None

    async def _run(self) -> None:
        while self._is_wanted:
            problem = await self._follow_once()
            if not self._is_wanted:
                return  # cancelling may surface as another error
            self._expire_later()
            self._say_away(problem)
            wait = self._wait_seconds * random.uniform(0.5, 1.0)  # noqa: S311  # jitter
            self._wait_seconds = min(self._wait_seconds * 2, LONGEST_WAIT_SECONDS)
            await deferLater(self._reactor, wait)

    def _say_away(self, problem: str) -> None:
        now = self._reactor.seconds()
        if self._away_said is None or self._away_said[0] != problem or now - self._away_said[1] >= SAY_AGAIN_SECONDS:
            self._away_said = problem, now
            self._log.warn("the edge at {path} is away: {problem}", path=self._path, problem=problem)

    async def _follow_once(self) -> str:
        """Follow one connection to its end, and say how it ended."""
        agent = Agent.usingEndpointFactory(self._reactor, _UnixEndpoint(self._reactor, self._path))
        try:
            asking = agent.request(b"GET", b"http://edge/v1/records?watch=1")
            response = await asking.addTimeout(SILENCE_SECONDS, self._reactor)
            if response.code != 200:
                return f"status {response.code}"
            self._has_snapshot = False
            lines = _Lines(self._reactor, self._line_received)
            response.deliverBody(lines)
            try:
                await lines.ended
            finally:
                self._waiting.clear()
                if self._reading is not None:
                    self._reading.cancel()
        except CancelledError:
            raise
        except ResponseFailed as error:
            return str(error.reasons[0].value) if error.reasons else str(error)
        except Exception as error:  # whatever connecting raises is a reason to retry
            return str(error) or type(error).__name__
        return "the stream ended"

    def _line_received(self, line: bytes, lines: "_Lines") -> None:
        """Take a line, unless it has to wait for a long one before it; raises EdgeNotUnderstood."""
        if self._reading is not None:
            self._waiting.append(line)
        elif len(line) > LONG_LINE_BYTES:
            self._reading = Deferred.fromCoroutine(self._slices.result_of(self._reading_line(line)))
            self._reading.addCallback(self._line_read, lines).addErrback(self._line_failed, lines)
        else:
            self._take(finish(self._reading_line(line)))

    def _line_read(self, said: "_Said", lines: "_Lines") -> None:
        self._reading = None
        self._take(said)
        while self._waiting and self._reading is None:
            self._line_received(self._waiting.popleft(), lines)

    def _line_failed(self, failure: Failure, lines: "_Lines") -> None:
        self._reading = None
        if not failure.check(CancelledError, TaskStopped, SchedulerStopped):
            lines.fail(failure.value or EdgeNotUnderstood())

    def _reading_line(self, line: bytes) -> "Steps[_Said]":
        """Return what a line says: the names that it changes and their records now, and the records with them."""
        changed: dict[str, Sequence[RecordLike]] = {}
        named: set[str] = set()
        try:
            for piece in _pieces(line):
                members_of = _NAMED.decode(piece)
                if not self._has_snapshot:
                    named.update(members_of)
                for name, members in members_of.items():
                    if self._has_snapshot or self._records.get(name) != members:
                        changed[name] = members
                yield
        except msgspec.MsgspecError as error:
            raise EdgeNotUnderstood(str(error)) from error
        if not self._has_snapshot:
            for names in in_batches(tuple(self._records), _NAMES_PER_STEP):
                changed.update((name, ()) for name in names if name not in named)
                yield
        if len(changed) <= _NAMES_PER_STEP:
            return _Said(changed, None)
        after = dict(self._records)
        for items in in_batches(changed.items(), _NAMES_PER_STEP):
            _put(after, items)
            yield
        return _Said(changed, after)

    def _take(self, said: "_Said") -> None:
        if self._has_snapshot:
            if said.changed:
                self._take_change(said)
            return
        self._has_snapshot = True
        self._away_said = None
        self._take_change(said)
        self._wait_seconds = FIRST_WAIT_SECONDS
        if self._stale_call is not None:
            self._stale_call.cancel()
            self._stale_call = None
        if not self.is_current:
            self.is_current = True
            self._currency_changed(True)

    def _take_change(self, said: "_Said") -> None:
        if said.after is None:
            _put(self._records, said.changed.items())
        else:
            before, self._records = self._records, said.after
            self._slices.discard(before)
        for subscriber in tuple(self._subscribers):
            subscriber(said.changed)

    def _expire_later(self) -> None:
        if self.is_current and self._stale_call is None:
            self._stale_call = self._reactor.callLater(self._stale_seconds, self._expire)

    def _expire(self) -> None:
        self._stale_call = None
        self.is_current = False
        self._log.error(
            "the edge at {path} has been away for {seconds} s: its records are no longer served",
            path=self._path,
            seconds=self._stale_seconds,
        )
        self._currency_changed(False)
        self._take_change(_Said(dict.fromkeys(self._records, ()), {}))  # who is told may answer what it holds


@implementer(IAgentEndpointFactory)
class _UnixEndpoint:
    """Every request of the agent goes to the one socket."""

    def __init__(self, reactor: Reactor, path: str) -> None:
        self._reactor = reactor
        self._path = path

    def endpointForURI(self, uri: object) -> UNIXClientEndpoint:
        return _QuietUnixEndpoint(self._reactor, self._path, timeout=CONNECT_SECONDS)


class _QuietUnixEndpoint(UNIXClientEndpoint):
    """Twisted's HTTP client logs each connection's factory; what operators have to know is said by `EdgeRecords`."""

    def connect(self, protocolFactory: Any) -> Any:
        protocolFactory.noisy = False
        return super().connect(protocolFactory)


class _Lines(Protocol, TimeoutMixin):
    """Cuts a response's body into lines; `ended` fires with its end, or fails with what was wrong with it."""

    def __init__(self, reactor: Reactor, line_received: Callable[[bytes, "_Lines"], None]) -> None:
        self._reactor = reactor
        self._line_received = line_received
        self._unread = bytearray()
        self.ended: Deferred[None] = Deferred(self._cancel)

    def callLater(self, seconds: float, call: Callable[[], None]) -> Any:
        return self._reactor.callLater(seconds, call)

    def connectionMade(self) -> None:
        self.setTimeout(SILENCE_SECONDS)

    def dataReceived(self, data: bytes) -> None:
        self.resetTimeout()
        self._unread += data
        if b"\n" in data:
            *lines, rest = bytes(self._unread).split(b"\n")
            self._unread = bytearray(rest)
            for line in lines:
                self._take(line)
        if len(self._unread) > MAX_LINE_BYTES:
            self.fail(EdgeNotUnderstood(f"a line of more than {MAX_LINE_BYTES} bytes"))

    def timeoutConnection(self) -> None:
        self.fail(EdgeNotUnderstood(f"nothing was heard for {SILENCE_SECONDS} s"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.setTimeout(None)
        if not self.ended.called:
            self.ended.callback(None)

    def _take(self, line: bytes) -> None:
        if not line or self.ended.called:
            return
        try:
            self._line_received(line, self)
        except EdgeNotUnderstood as error:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End the connection because of an error."""
        self.setTimeout(None)
        self._unread.clear()
        self._abort()
        if not self.ended.called:
            self.ended.errback(error)

    def _cancel(self, deferred: object) -> None:
        self.setTimeout(None)
        self._abort()

    def _abort(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            getattr(transport, "abortConnection", transport.loseConnection)()
