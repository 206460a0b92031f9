"""
The numbered zone over the links between edges: each edge tells what it has, and follows the edge that numbers.

A stream of its own on a link carries it: what edges tell of tunnels never waits behind a large zone. That needs neither
keys nor an open port of its own, as DNS transfers would: a link has proven both ends. Where this edge has no link with
the one that numbers, it follows another that has what was numbered.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import SchedulerStopped, TaskStopped
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.slices import Slices
from warp_dns.errors import BadNumberedZone
from warp_dns.message import names
from warp_dns.numbered.hearing import ZoneHearing
from warp_dns.numbered.telling import VERSION, ZoneTeller
from warp_dns.zone.numbering import ZoneNumbering
from warp_twisted.tunnel import TunnelProtocol
from warp_twisted.wire.errors import CannotOpenStream, WireError
from warp_twisted.wire.preamble import Opening, OpeningCode, encode_opening
from warp_twisted.wire.streams import Stream

ZONE_ROUTE = 1  # the route id of the stream on which an edge asks another for the numbered zone
RETRY_SECONDS = 2.0
AT_ONCE = 2  # pieces in the turn in which a change happens, the rest in slices


class Links(Protocol):
    """The links with other edges; see `edge.peers.links`."""

    routes: dict[int, Callable[[str, Stream], None]]

    def names(self) -> Sequence[str]:
        """Return the edges that are alive."""

    def tunnel_to(self, edge: str) -> TunnelProtocol | None:
        """Return the link with an edge; None while it is not alive."""


class ZoneSharing:
    """
    What this edge tells the others of the numbered zone, and what it hears.

    :param zone: the zone's name.
    :ivar following: the edge that is followed; empty: none.
    """

    def __init__(self, links: Links, numbering: ZoneNumbering, zone: str, slices: Slices, clock: IReactorTime) -> None:
        self._links = links
        self._numbering = numbering
        self._apex = names.from_text(zone).lower()
        self._slices = slices
        self._clock = clock
        self._telling: dict[str, _Telling] = {}
        self._following: _Following | None = None
        self._not_before: dict[str, float] = {}  # edges that tell nothing of use → when they are asked again
        links.routes[ZONE_ROUTE] = self._asked

    @property
    def following(self) -> str:
        """The edge that is followed."""
        return self._following.edge if self._following is not None else ""

    def follow(self, holder: str) -> None:
        """Follow who numbers the zone, or another edge where there is no link with it; call this now and then."""
        edge, tunnel = self._source(holder)
        current = self._following
        if current is not None and (current.is_over or current.edge != edge or current.tunnel is not tunnel):
            current.stop()
            if current.is_over and current.is_refused:
                self._not_before[current.edge] = self._clock.seconds() + RETRY_SECONDS
                edge, tunnel = self._source(holder)
            self._following = current = None
        if current is None and tunnel is not None:
            following = _Following(edge, tunnel, ZoneHearing(self._apex, self._numbering), self._slices)
            if following.start():
                self._following = following

    def stop(self) -> None:
        """Follow nobody."""
        if self._following is not None:
            self._following.stop()
            self._following = None

    def _source(self, holder: str) -> tuple[str, TunnelProtocol | None]:
        if self._numbering.is_own:
            return "", None
        now = self._clock.seconds()
        self._not_before = {edge: at for edge, at in self._not_before.items() if at > now}
        alive = self._links.names()
        for edge in (holder, *alive) if holder in alive else alive:
            tunnel = self._links.tunnel_to(edge)
            if tunnel is not None and tunnel.can_open_stream and edge not in self._not_before:
                return edge, tunnel
        return "", None

    def _asked(self, edge: str, stream: Stream) -> None:
        """Tell an edge that asks; it has one such stream, the newest."""
        former = self._telling.pop(edge, None)
        if former is not None:
            former.stop()
        telling = self._telling[edge] = _Telling(stream, self._numbering, self._slices)
        telling.start(lambda: self._over(edge, telling))

    def _over(self, edge: str, telling: "_Telling") -> None:
        if self._telling.get(edge) is telling:
            del self._telling[edge]


class _Telling:
    """Tells one edge."""

    def __init__(self, stream: Stream, numbering: ZoneNumbering, slices: Slices) -> None:
        self._stream = stream
        self._numbering = numbering
        self._teller = ZoneTeller(numbering)
        self._slices = slices
        self._is_pumping = False
        self._is_over = False
        self._unsubscribe: Callable[[], None] = lambda: None
        self._ended: Callable[[], None] = lambda: None

    def start(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._stream.receiver = self
        self._stream.write(encode_opening(OpeningCode.OPENED) + VERSION)
        self._unsubscribe = self._numbering.subscribe(self._changed)
        self._pump()

    def stop(self) -> None:
        """Tell no more."""
        if not self._is_over:
            self._leave()
            self._stream.reset()

    def _leave(self) -> None:
        self._is_over = True
        self._unsubscribe()
        self._ended()

    def _changed(self, change: object) -> None:
        self._teller.mark(change)  # type: ignore[arg-type]  # as `ZoneNumbering.subscribe` says
        self._pump()

    def _pump(self) -> None:
        if self._is_pumping or self._stream.is_blocked:
            return
        for _ in range(AT_ONCE):
            if not self._tell():
                return
        self._is_pumping = True
        self._slices.run(self._pumping()).addErrback(_pass_over_the_end)

    def _pumping(self) -> Iterator[None]:
        try:
            while self._tell():
                yield
        finally:
            self._is_pumping = False

    def _tell(self) -> bool:
        """Write one piece; return whether there may be another."""
        if self._is_over or self._stream.is_blocked:
            return False
        piece = self._teller.next_piece()
        return piece is not None and self._stream.write(piece)

    def data_received(self, data: bytes) -> None:
        """Nothing is asked on it."""
        self.stop()

    def end_received(self) -> None:
        """Go on: who asks has nothing more to say."""

    def credit_received(self) -> None:
        """Go on."""
        self._pump()

    def stream_lost(self, error: WireError) -> None:
        """It is over."""
        if not self._is_over:
            self._leave()


class _Following:
    """Hears one edge; what came and is not applied yet has no credit, so a window of it waits at most."""

    _log = Logger()

    def __init__(self, edge: str, tunnel: TunnelProtocol, hearing: ZoneHearing, slices: Slices) -> None:
        self.edge = edge
        self.tunnel = tunnel
        self.is_over = False
        self.is_refused = False
        self._hearing = hearing
        self._slices = slices
        self._stream: Stream | None = None
        self._has_version = False
        self._owed = 0
        self._working: Deferred[Iterator[object]] | None = None

    def start(self) -> bool:
        """Ask; return whether that could be done."""
        try:
            self._stream = self.tunnel.open_route(ZONE_ROUTE, self)
        except CannotOpenStream:
            return False
        return True

    def stop(self) -> None:
        """Hear no more."""
        self._leave()
        if self._working is not None:
            self._working.cancel()

    def _leave(self) -> None:
        """End the stream; a job that is under way sees it, and ends by itself."""
        if not self.is_over:
            self.is_over = True
            if self._stream is not None:
                self._stream.reset()

    def _refuse(self, reason: str) -> None:
        self.is_refused = True
        self._log.warn(
            "the zone as edge {edge} has numbered it is not followed: {reason}", edge=self.edge, reason=reason
        )
        self._leave()

    def opening_received(self, opening: Opening) -> None:
        """An edge of an older release has no such stream; it is asked again now and then."""
        self.is_over = self.is_refused = not opening.is_opened

    def data_received(self, data: bytes) -> None:
        """Take what it tells."""
        if self.is_over:
            return
        self._owed += len(data)
        if not self._has_version:
            if data[:1] != VERSION:
                self._refuse("its release tells it in another way")
                return
            self._has_version, data = True, data[1:]
        self._hearing.feed(data)
        if self._working is None:
            self._working = self._slices.run(self._steps())
            self._working.addErrback(_pass_over_the_end).addBoth(self._worked)

    def _steps(self) -> Iterator[None]:
        try:
            while not self.is_over and (message := self._hearing.next_message()) is not None:
                if not (yield from self._hearing.apply(message)):
                    self.is_refused = True  # this edge has what is newer: it asks again, without a word
                    self._leave()
        except BadNumberedZone as error:
            self._refuse(str(error))

    def _worked(self, result: object) -> None:
        self._working = None
        owed, self._owed = self._owed, 0
        if owed and not self.is_over and self._stream is not None:
            self._stream.consumed(owed)

    def end_received(self) -> None:
        """It tells no more."""
        self._leave()

    def credit_received(self) -> None:
        """Nothing is written."""

    def stream_lost(self, error: WireError) -> None:
        """It is over, and asked again."""
        self.is_over = True


def _pass_over_the_end(failure: Failure) -> None:
    failure.trap(SchedulerStopped, TaskStopped, CancelledError)
