"""Tests of `warp_twisted.demo.loopback_site`, by the demo's application."""

import treq
from twisted.internet.error import ConnectionRefusedError
from twisted.web.client import HTTPConnectionPool, ResponseFailed
from twisted.web.websocket import WebSocketClientEndpoint

from tests.case import AsyncTestCase, reactor
from tests.system.demo.test_application import FirstBytes, RecorderFactory
from warp_twisted.demo.application import DemoApplication


class LoopbackSiteTests(AsyncTestCase):
    """Stopped and started again."""

    async def prepare(self) -> None:
        self.application = DemoApplication(reactor, reactor)
        await self.application.start()
        self.clean_up_with(self.application.stop)
        self.pool = HTTPConnectionPool(reactor, persistent=False)
        self.addCleanup(self.pool.closeCachedConnections)

    def url(self, path: str, scheme: str = "http") -> str:
        """Return the address of one path."""
        return f"{scheme}://127.0.0.1:{self.application.port}{path}"

    async def test_stop_cuts_open_connections(self) -> None:
        """A stopped application has no connection left, idle, streaming or upgraded, and comes back on its port."""
        response = await treq.get(self.url("/events"), pool=self.pool, unbuffered=True)
        reader = FirstBytes(1 << 20)
        response.deliverBody(reader)
        visitor = await WebSocketClientEndpoint.new(reactor, self.url("/ws", "ws")).connect(RecorderFactory())
        port = self.application.port
        await self.application.stop()
        await visitor.lost
        await self.assertFailure(reader.enough, ResponseFailed)
        await self.assertFailure(treq.get(self.url("/"), pool=self.pool), ConnectionRefusedError)
        await self.application.start()
        self.assertEqual(self.application.port, port)
        self.assertEqual((await treq.get(self.url("/echo"), pool=self.pool)).code, 200)
