"""
What monitoring may see: `/live`, `/ready` and `/metrics`. It is on the admin socket, and on `listen.metrics` by itself.

Nothing here changes the edge or names an agent, so it may be on a TCP listener.
"""

from collections.abc import Callable, Mapping

from klein import Klein
from twisted.web.http import Request

from warp_base.answer_stream import send_in_slices
from warp_base.exposition import Exposition
from warp_base.slices import Slices
from warp_twisted.edge.operators.sites import AdminFactory, answer, make_site


class Observation:
    """
    What monitoring may see.

    :param readiness: says of each part whether it serves.
    :param problems: says of parts that serve, but not all that they should, why.
    :param slices: make the metrics.
    """

    def __init__(
        self,
        readiness: Callable[[], Mapping[str, bool]],
        problems: Callable[[], Mapping[str, str]],
        metrics: Exposition,
        slices: Slices,
    ) -> None:
        self._readiness = readiness
        self._problems = problems
        self._metrics = metrics
        self._slices = slices
        self._sites: list[AdminFactory] = []

    def add_to(self, app: Klein) -> None:
        """Serve `/live`, `/ready` and `/metrics`."""
        self.add_readiness_to(app)
        app.route("/metrics", methods=["GET"])(self._serve_metrics)

    def add_readiness_to(self, app: Klein) -> None:
        """Serve `/live` and `/ready` alone."""
        app.route("/live", methods=["GET"])(self._live)
        app.route("/ready", methods=["GET"])(self._ready)

    def _live(self, request: Request) -> bytes:
        return answer(request, {"live": True})

    def _ready(self, request: Request) -> bytes:
        parts = self._readiness()
        is_ready = all(parts.values())
        said = {"ready": is_ready, "parts": dict(parts), "problems": dict(self._problems())}
        return answer(request, said, 200 if is_ready else 503)

    async def _serve_metrics(self, request: Request) -> bytes:
        request.setHeader(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
        return await send_in_slices(request, self._metrics.pieces(), self._slices)

    def site(self) -> AdminFactory:
        """Return a factory that serves monitoring only."""
        app = Klein()
        self.add_to(app)
        self._sites.append(make_site(app))
        return self._sites[-1]

    def disconnect(self) -> None:
        """Hang up on everybody who is connected to `site`."""
        for site in self._sites:
            site.disconnect()
