"""Tests of `warp_twisted.demo.canary.application`: a release says which it is, and can become worse."""

import treq
from twisted.web.client import HTTPConnectionPool

from tests.case import AsyncTestCase, reactor
from warp_twisted.demo.canary.application import FAILS_EVERY, HEADER, ReleaseApplication


class ReleaseApplicationTests(AsyncTestCase):
    """A release alone, without a tunnel."""

    async def prepare(self) -> None:
        self.application = ReleaseApplication(reactor, "canary")
        await self.application.start()
        self.clean_up_with(self.application.stop)
        self.pool = HTTPConnectionPool(reactor, persistent=False)
        self.addCleanup(self.pool.closeCachedConnections)

    async def ask(self, count: int) -> list[int]:
        """Ask for the page some times, and return the codes."""
        codes = []
        for _ in range(count):
            response = await treq.get(f"http://127.0.0.1:{self.application.port}/", pool=self.pool)
            self.assertEqual(response.headers.getRawHeaders(HEADER), ["canary"])
            self.text = await response.text()
            codes.append(response.code)
        return codes

    async def test_page(self) -> None:
        """The page names the release, and so does a header."""
        self.assertEqual(await self.ask(1), [200])
        self.assertIn("This is the release canary.", self.text)

    async def test_worse(self) -> None:
        """Every third request fails, never two in a row, which would have it ejected."""
        self.application.is_worse = True
        self.assertEqual(await self.ask(2 * FAILS_EVERY), 2 * [200, 200, 500])
