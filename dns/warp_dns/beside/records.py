"""
Live records from an edge beside us: a client of `GET /v1/records?watch=1`, at its `listen.records` or its admin socket.

The stream is one JSON object a line, `{name: [record, …]}`: first every name, then each change with all records of the
names that changed; now and then an empty one, to show that the edge is there. When it breaks, we reconnect and
keep the records, until they are too old (`stale_seconds`); the server is told then, they are withdrawn, and it is told
again when a new snapshot has come.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import SchedulerStopped, TaskStopped
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IResponse

from warp_base.reactor import Reactor
from warp_base.slices import Slices
from warp_dns.beside.asking import Asking, Body
from warp_dns.errors import EdgeNotUnderstood
from warp_dns.message.records import RecordLike
from warp_dns.zone.source import Record, Records
from warp_dns.zone.steps import Steps, finish, in_batches

MAX_LINE_BYTES = 64 << 20  # a snapshot of some 300,000 records
SILENCE_SECONDS = 35.0  # an edge shows every 10 s that it is there
LONG_LINE_BYTES = 65536  # some 0.5 ms; longer ones are read in slices


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
        self._asking = Asking(reactor, path, "/v1/records?watch=1", self._take_answer, self._expire_later)
        self._stale_call: Any = None
        self._has_snapshot = False
        self._slices = Slices(reactor)
        self._reading: Deferred[Any] | None = None  # of a long line
        self._waiting: deque[bytes] = deque()  # lines behind it
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
        self._asking.start()

    def stop(self) -> None:
        """Stop following."""
        self._asking.stop()
        if self._stale_call is not None:
            self._stale_call.cancel()
            self._stale_call = None

    async def _take_answer(self, response: IResponse) -> None:
        self._has_snapshot = False
        lines = _Lines(lambda line: self._line_received(line, body))
        body = Body(self._reactor, lines.received, SILENCE_SECONDS)
        response.deliverBody(body)
        try:
            await body.ended
        finally:
            self._waiting.clear()
            if self._reading is not None:
                self._reading.cancel()

    def _line_received(self, line: bytes, body: Body) -> None:
        """Take a line, unless it has to wait for a long one before it; raises EdgeNotUnderstood."""
        if self._reading is not None:
            self._waiting.append(line)
        elif len(line) > LONG_LINE_BYTES:
            self._reading = Deferred.fromCoroutine(self._slices.result_of(self._reading_line(line)))
            self._reading.addCallback(self._line_read, body).addErrback(self._line_failed, body)
        else:
            self._take(finish(self._reading_line(line)))

    def _line_read(self, said: "_Said", body: Body) -> None:
        self._reading = None
        self._take(said)
        while self._waiting and self._reading is None:
            self._line_received(self._waiting.popleft(), body)

    def _line_failed(self, failure: Failure, body: Body) -> None:
        self._reading = None
        if not failure.check(CancelledError, TaskStopped, SchedulerStopped):
            body.fail(failure.value or EdgeNotUnderstood())

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
        self._take_change(said)
        self._asking.understood()
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


class _Lines:
    """Cuts what comes into lines."""

    def __init__(self, line_received: Callable[[bytes], None]) -> None:
        self._line_received = line_received
        self._unread = bytearray()

    def received(self, data: bytes) -> None:
        """
        Take bytes.

        :raises EdgeNotUnderstood: if a line is too long, or is not understood.
        """
        self._unread += data
        if b"\n" in data:
            *lines, rest = bytes(self._unread).split(b"\n")
            self._unread = bytearray(rest)
            for line in lines:
                if line:
                    self._line_received(line)
        if len(self._unread) > MAX_LINE_BYTES:
            self._unread.clear()
            raise EdgeNotUnderstood(f"a line of more than {MAX_LINE_BYTES} bytes")
