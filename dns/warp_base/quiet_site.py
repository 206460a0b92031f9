"""The HTTP site that programs ask every few seconds: no access log, no tracebacks in answers."""

from twisted.web.http import Request
from twisted.web.server import Site


class QuietSite(Site):
    """A `Site` that logs no requests and shows no tracebacks."""

    displayTracebacks = False
    noisy = False

    def log(self, request: Request) -> None:
        """Write nothing: monitoring asks every few seconds, and what visitors ask is in the edge's access log."""
