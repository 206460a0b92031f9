"""
What monitoring may see: `/live`, `/ready` and `/metrics`. It is on the admin socket, and on `listen.metrics` by itself.

Nothing here changes the edge or names an agent, so it may be on a TCP listener.
"""

from collections.abc import Callable, Mapping

from klein import Klein
from prometheus_client import CollectorRegistry, generate_latest
from twisted.web.http import Request

from warp_twisted.edge.operators.sites import AdminFactory, answer, make_site


class Observation:
    """
    What monitoring may see.

    :param readiness: says of each part whether it serves.
    """

    def __init__(self, readiness: Callable[[], Mapping[str, bool]], metrics: CollectorRegistry) -> None:
        self._readiness = readiness
        self._metrics = metrics
        self._sites: list[AdminFactory] = []

    def add_to(self, app: Klein) -> None:
        """Serve `/live`, `/ready` and `/metrics`."""
        app.route("/live", methods=["GET"])(self._live)
        app.route("/ready", methods=["GET"])(self._ready)
        app.route("/metrics", methods=["GET"])(self._serve_metrics)

    def _live(self, request: Request) -> bytes:
        return answer(request, {"live": True})

    def _ready(self, request: Request) -> bytes:
        parts = self._readiness()
        is_ready = all(parts.values())
        return answer(request, {"ready": is_ready, "parts": dict(parts)}, 200 if is_ready else 503)

    def _serve_metrics(self, request: Request) -> bytes:
        request.setHeader(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
        return generate_latest(self._metrics)

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
