"""Tests of `warp_twisted.demo.canary.visitors`, against a site that gives cookies."""

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from tests.case import AsyncTestCase, reactor, until
from warp_twisted.demo.canary.application import HEADER
from warp_twisted.demo.canary.samples import Seen
from warp_twisted.demo.canary.visitors import MAX_UNDER_WAY, REQUESTS_EACH, VISITORS, Visitors
from warp_twisted.demo.loopback_site import LoopbackSite


class _Site(Resource):
    """Gives each visitor a cookie of its own, and notes what it shows with each request."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.cookies: list[str] = []
        self.release = "stable"
        self.code = 200
        self.is_silent = False
        self.waiting = 0

    def render_GET(self, request: Request) -> bytes | int:
        if self.is_silent:
            self.waiting += 1
            return NOT_DONE_YET
        cookie = request.getHeader("cookie") or ""
        self.cookies.append(cookie)
        if not cookie:
            request.setHeader("set-cookie", f"warp_route={len(self.cookies)}; Path=/; HttpOnly")
        request.setHeader(HEADER, self.release)
        request.setResponseCode(self.code)
        return b"."


class VisitorsTests(AsyncTestCase):
    """Visitors in a hurry."""

    async def prepare(self) -> None:
        self.site = _Site()
        self.application = LoopbackSite(reactor, self.site)
        await self.application.start()
        self.clean_up_with(self.application.stop)
        self.visitors = Visitors(reactor, 1000.0)
        self.clean_up_with(self.visitors.stop)
        self.visitors.start(f"http://app.warp.localhost:{self.application.port}/")

    async def test_cookies(self) -> None:
        """A visitor shows the cookie that it got, until another one comes in its place."""
        await until(lambda: self.visitors.answers >= VISITORS * (REQUESTS_EACH + 2))
        shown = {cookie: self.site.cookies.count(cookie) for cookie in self.site.cookies if cookie}
        self.assertLessEqual(max(shown.values()), REQUESTS_EACH - 1)
        self.assertGreater(len(shown), VISITORS)
        self.assertEqual(self.visitors.errors, 0)

    async def test_what_was_seen(self) -> None:
        """Each visitor knows its release, whether it was served well, and who was moved is counted."""
        await until(lambda: all(seen == Seen("stable", has_failed=False) for seen in self.visitors.seen))
        self.site.release, self.site.code = "canary", 500
        await until(lambda: self.visitors.moved.get("canary", 0) >= VISITORS // 2)
        await until(lambda: Seen("canary", has_failed=True) in self.visitors.seen)
        self.assertGreater(self.visitors.errors, 0)
        self.assertNotIn("stable", self.visitors.moved)

    async def test_silent_edge(self) -> None:
        """What is not answered is not asked without bound."""
        self.site.is_silent = True
        await until(lambda: self.site.waiting >= MAX_UNDER_WAY)
        await until(lambda: self.visitors.answers == len(self.site.cookies))
        self.assertEqual(self.site.waiting, MAX_UNDER_WAY)
        await self.application.stop()
        await until(lambda: self.visitors.errors >= MAX_UNDER_WAY)
