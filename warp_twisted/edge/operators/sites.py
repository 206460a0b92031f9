"""
The HTTP sites that operators and monitoring reach: quiet, and ended on command; and the form of a JSON answer.

Knows no call of the edge: `admin` and `observation` serve theirs through it.
"""

import msgspec
from klein import Klein
from twisted.protocols.policies import WrappingFactory
from twisted.web.http import Request

from warp_base.quiet_site import QuietSite


class AdminFactory(WrappingFactory):
    """Serves a site, and can end its connections."""

    noisy = False

    def disconnect(self) -> None:
        """Hang up on everybody."""
        for protocol in tuple(self.protocols):
            protocol.abortConnection()


def make_site(app: Klein) -> AdminFactory:
    """Return the factory that serves the calls of an application."""
    return AdminFactory(QuietSite(app.resource()))


def answer(request: Request, value: object, code: int = 200) -> bytes:
    """Set status and type of a JSON answer, and return its body."""
    request.setResponseCode(code)
    request.setHeader(b"content-type", b"application/json")
    return msgspec.json.encode(value) + b"\n"
