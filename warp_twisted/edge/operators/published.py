"""
What DNS publishes, for the name server beside this edge: `/v1/records`, and in a fleet `/v1/zone`, with `/live` and
`/ready`.

`/v1/records` and `/v1/zone` are on the admin socket, too; `listen.records` has these calls only, so that a name server
in a process of its own needs no access to the admin interface. Nothing here changes the edge.
"""

from collections.abc import Callable
from typing import Any

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.http import Request

from warp_base.answer_stream import send_in_slices
from warp_base.slices import Slices
from warp_dns.zone.numbering import ZoneNumbering
from warp_twisted.edge.operators.json_pieces import ended
from warp_twisted.edge.operators.observation import Observation
from warp_twisted.edge.operators.record_watch import RecordWatch, snapshot
from warp_twisted.edge.operators.sites import AdminFactory, answer, make_site
from warp_twisted.edge.operators.zone_watch import ZoneWatch
from warp_twisted.registry.published.publish import Publication

MAX_WATCHERS = 64


class PublishedRecords:
    """
    The published records, for those who ask at one socket.

    :param has_settled: whether the agents of before a restart are back, or have been waited for long enough.
    :param clock: times the heartbeats of watched records.
    :param slices: make long answers.
    :param numbering: of the zone; None: this edge is alone, and who serves its zone numbers it.
    """

    def __init__(
        self,
        publication: Publication,
        has_settled: Callable[[], bool],
        clock: IReactorTime,
        slices: Slices,
        numbering: ZoneNumbering | None = None,
    ) -> None:
        self._publication = publication
        self._has_settled = has_settled
        self._clock = clock
        self._slices = slices
        self._numbering = numbering
        self._watchers: set[RecordWatch | ZoneWatch] = set()
        self._sites: list[AdminFactory] = []

    def add_to(self, app: Klein) -> None:
        """Serve `GET /v1/records` and `GET /v1/zone`."""
        app.route("/v1/records", methods=["GET"])(self._records)
        app.route("/v1/zone", methods=["GET"])(self._zone)

    def site(self, observation: Observation) -> AdminFactory:
        """Return a factory that serves the records, `/live` and `/ready`, and nothing else."""
        app = Klein()
        self.add_to(app)
        observation.add_readiness_to(app)
        self._sites.append(make_site(app))
        return self._sites[-1]

    def close(self) -> None:
        """End the answers that go on for ever."""
        for watcher in tuple(self._watchers):
            watcher.stop()

    def disconnect(self) -> None:
        """Hang up on everybody who is connected to `site`."""
        for site in self._sites:
            site.disconnect()

    def _records(self, request: Request) -> Any:
        if not self._has_settled():  # who follows would withdraw the names of agents that are about to come
            return answer(request, {"error": "the edge has just started, and waits for its agents"}, 503)
        if request.args.get(b"watch", [b"0"])[-1] in (b"", b"0"):
            return Deferred.fromCoroutine(self._all(request))
        return self._watch(
            request,
            lambda: RecordWatch(request, self._publication, self._clock, self._slices, self._watchers.discard),
        )

    def _zone(self, request: Request) -> Any:
        numbering = self._numbering
        if numbering is None:
            problem = "this edge follows no shared registry, so it numbers no zone: take follow_serials out of dns.yaml"
            return answer(request, {"error": problem}, 404)
        return self._watch(request, lambda: ZoneWatch(request, numbering, self._slices, self._watchers.discard))

    def _watch(self, request: Request, make: Callable[[], RecordWatch | ZoneWatch]) -> Any:
        if len(self._watchers) >= MAX_WATCHERS:
            return answer(request, {"error": f"{MAX_WATCHERS} watchers are enough"}, 503)
        watcher = make()
        self._watchers.add(watcher)
        watcher.start()
        return watcher.done

    async def _all(self, request: Request) -> bytes:
        request.setHeader(b"content-type", b"application/json")
        return await send_in_slices(request, ended(snapshot(self._publication)), self._slices)
