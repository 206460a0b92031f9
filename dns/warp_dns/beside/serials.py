"""
The serials of a zone that a fleet of edges numbers: a client of `GET /v1/zone` of the edge beside us.

The edge tells the numbered zone as it tells other edges (`numbered.telling`): a snapshot, then each change. That is
what is transferred here, and its serial is what every answer tells. While the edge is away, both stay as they are.
"""

from collections.abc import Callable, Iterator

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import SchedulerStopped, TaskStopped, deferLater
from twisted.python.failure import Failure
from twisted.web.iweb import IResponse

from warp_base.reactor import Reactor
from warp_base.slices import Slices
from warp_dns.beside.asking import Asking, Body
from warp_dns.errors import EdgeNotUnderstood
from warp_dns.message import names
from warp_dns.numbered.hearing import ZoneHearing
from warp_dns.numbered.telling import VERSION
from warp_dns.zone.numbering import ZoneNumbering

UNREAD_BYTES = 256 * 1024  # beyond it nothing is taken until they are read
SLICE_SECONDS = 0.002  # of a turn
OLDER_SECONDS = 10.0  # until an edge is asked again that has what is older: reading 10,000 names takes 0.4 s


class EdgeSerials:
    """
    What the fleet has numbered of one zone.

    :ivar numbering: of the zone.
    """

    def __init__(self, reactor: Reactor, path: str, zone: str) -> None:
        """
        Begin with nothing numbered.

        :param path: the edge's unix socket.
        :param zone: its name.
        """
        self.numbering = ZoneNumbering()
        self._reactor = reactor
        self._apex = names.from_text(zone).lower()
        self._slices = Slices(reactor, SLICE_SECONDS)
        self._asking = Asking(reactor, path, f"/v1/zone?name={zone}", self._take_answer)

    def start(self) -> None:
        """Ask the edge, again and again as needed."""
        self._asking.start()

    def stop(self) -> None:
        """Ask no more; what is numbered stays."""
        self._asking.stop()
        self._slices.stop()

    async def _take_answer(self, response: IResponse) -> None:
        answer = _Answer(ZoneHearing(self._apex, self.numbering), self._slices, self._asking.understood)
        body = answer.body = Body(self._reactor, answer.received)
        response.deliverBody(body)
        try:
            await body.ended
        except _Older:
            await deferLater(self._reactor, OLDER_SECONDS)
            raise
        finally:
            answer.stop()


class _Older(EdgeNotUnderstood):
    """What the edge tells of the numbered zone is older than what is known here."""


class _Answer:
    """One answer: its bytes are read in slices, and no more are taken while many wait."""

    body: Body

    def __init__(self, hearing: ZoneHearing, slices: Slices, understood: Callable[[], None]) -> None:
        self._hearing = hearing
        self._slices = slices
        self._understood = understood
        self._has_version = False
        self._unread_bytes = 0
        self._working: Deferred[Iterator[object]] | None = None

    def received(self, data: bytes) -> None:
        if not self._has_version:
            if data[:1] != VERSION:
                raise EdgeNotUnderstood("the edge's release tells the numbered zone in another way")
            self._has_version, data = True, data[1:]
        self._hearing.feed(data)
        self._unread_bytes += len(data)
        if self._unread_bytes > UNREAD_BYTES:
            self.body.pause()
        if self._working is None:
            self._working = self._slices.run(self._steps())
            self._working.addBoth(self._worked)

    def stop(self) -> None:
        """Read no more."""
        if self._working is not None:
            self._working.cancel()

    def _steps(self) -> Iterator[None]:
        while (message := self._hearing.next_message()) is not None:
            if not (yield from self._hearing.apply(message)):
                raise _Older
            self._understood()

    def _worked(self, result: object) -> None:
        self._working = None
        if isinstance(result, Failure):
            if not result.check(SchedulerStopped, TaskStopped, CancelledError):
                self.body.fail(result.value or EdgeNotUnderstood())
            return
        self._unread_bytes = 0
        self.body.go_on()
