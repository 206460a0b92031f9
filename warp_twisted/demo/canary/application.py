"""
A release of the application that `warp demo --canary` exposes: its page names it, and so does each answer's header.

A release that has become worse answers every third request with 500, so that it is judged by its guard; one that fails
every time would be ejected before.
"""

from twisted.internet.interfaces import IReactorTCP
from twisted.web.resource import Resource
from twisted.web.server import Request

from warp_twisted.demo.loopback_site import LoopbackSite

HEADER = "x-release"
FAILS_EVERY = 3  # requests, once it is worse
_COLOURS = {"stable": "#1d6fb8", "canary": "#c98a00"}
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="2"><title>{release}</title>
<style>body {{ background: {colour}; color: white; font: 20px/1.5 system-ui, sans-serif; margin: 15vh auto;
max-width: 36rem }}</style>
<h1>This is the release {release}.</h1>
<p>You are one visitor, and a cookie keeps you to it; a private window is another visitor. The page asks again every two
seconds, so you see when a shift moves you.</p>
</html>
"""


class ReleaseApplication(LoopbackSite):
    """
    One release on a loopback port of its own choice.

    :ivar is_worse: whether it fails now and then.
    """

    def __init__(self, reactor: IReactorTCP, release: str) -> None:
        self.is_worse = False
        super().__init__(reactor, _Page(self, release))


class _Page(Resource):
    isLeaf = True

    def __init__(self, application: ReleaseApplication, release: str) -> None:
        super().__init__()
        self._application = application
        self._release = release
        self._count = 0
        self._text = _PAGE.format(release=release, colour=_COLOURS.get(release, "#555")).encode()

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(HEADER, self._release)
        self._count += 1
        if self._application.is_worse and self._count % FAILS_EVERY == 0:
            request.setResponseCode(500)
            return b"this release fails every third time\n"
        request.setHeader("content-type", "text/html; charset=utf-8")
        return self._text
