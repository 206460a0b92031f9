"""Tests of `warp_twisted.demo.admin`: what the demo asks of its edge, and what it is told when there is no answer."""

import json

from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from tests.case import AsyncTestCase, reactor
from warp_twisted.cli.errors import EdgeRefused, EdgeUnreachable
from warp_twisted.demo.admin import DemoAdmin


class _Edge(Resource):
    isLeaf = True
    status = 200

    def render(self, request: Request) -> bytes:
        request.setResponseCode(self.status)
        if request.path == b"/metrics":
            return b"# TYPE warp_edge_visitors gauge\nwarp_edge_visitors 3.0\n"
        body = request.content.read() if request.content else b""
        return json.dumps([f"{request.method.decode()} {request.path.decode()}", body.decode()]).encode()


class DemoAdminTests(AsyncTestCase):
    """Over a unix socket, from inside the reactor."""

    async def prepare(self) -> None:
        self.edge = _Edge()
        self.path = self.mktemp() + ".s"
        self.listener = await UNIXServerEndpoint(reactor, self.path).listen(Site(self.edge))
        self.addCleanup(self.listener.stopListening)
        self.admin = DemoAdmin(reactor, self.path)

    async def test_calls(self) -> None:
        """The calls go where architecture.md says, with what was wished for."""
        self.assertEqual(await self.admin.status(), ["GET /v1/status", ""])
        made = await self.admin.create_token({"uses": 1})
        assert isinstance(made, list)
        call, body = made
        self.assertEqual((call, json.loads(body)), ("POST /v1/tokens", {"uses": 1}))

    async def test_policy_and_routing(self) -> None:
        """A policy goes as it is written, a shift as JSON."""
        self.assertEqual(await self.admin.apply_policy("rules: []\n"), ["POST /v1/policy", "rules: []\n"])
        self.assertEqual(await self.admin.splits(), ["GET /v1/splits", ""])
        made = await self.admin.shift("a.example", "release=canary", 25, 10.0)
        assert isinstance(made, list)
        self.assertEqual(made[0], "POST /v1/shifts")
        wanted = {"hostname": "a.example", "selector": "release=canary", "percent": 25, "over_seconds": 10.0}
        self.assertEqual(json.loads(made[1]), wanted)

    async def test_metrics(self) -> None:
        """Metrics are read as Prometheus reads them."""
        (family,) = await self.admin.metrics()
        self.assertEqual([(sample.name, sample.value) for sample in family.samples], [("warp_edge_visitors", 3.0)])

    async def test_refusal(self) -> None:
        """An answer that is no success is an error."""
        self.edge.status = 409
        with self.assertRaises(EdgeRefused):
            await self.admin.create_token({})

    async def test_nobody_answers(self) -> None:
        """An edge that is gone is an error of Warp's, which whoever looks again and again can wait out."""
        await self.listener.stopListening()
        with self.assertRaises(EdgeUnreachable):
            await self.admin.status()
