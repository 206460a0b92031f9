"""Tests of `warp_twisted.cli.operate.admin`: calls over a unix socket, and what a user is told when they fail."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from tests.case import AsyncTestCase, reactor
from warp_twisted.cli.errors import EdgeRefused, EdgeUnreachable
from warp_twisted.cli.operate.admin import Admin

T = TypeVar("T")


class _FakeAdmin(Resource):
    """Answers with what it was asked, or with what it was told to answer."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.status = 200
        self.answer: bytes | None = None
        self.is_silent = False

    def render(self, request: Request) -> bytes | int:
        if self.is_silent:
            return NOT_DONE_YET
        request.setResponseCode(self.status)
        if self.answer is not None:
            return self.answer
        body = request.content.read() if request.content else b""
        asked = [request.method.decode(), request.uri.decode(), json.loads(body) if body else None]
        return json.dumps(asked).encode()


class AdminTests(AsyncTestCase):
    """One call at a time."""

    async def prepare(self) -> None:
        self.edge = _FakeAdmin()
        self.path = os.path.relpath(self.mktemp() + ".sock")
        listener = await UNIXServerEndpoint(reactor, self.path).listen(Site(self.edge))
        self.addCleanup(listener.stopListening)

    def call(self, call: Callable[[Admin], T], timeout: float = 5.0) -> Deferred[T]:
        """Make a blocking call beside the reactor that answers it."""
        return deferToThread(call, Admin(self.path, timeout))

    async def test_calls(self) -> None:
        """Method, quoted path and JSON body arrive; the JSON of the answer comes back."""
        self.assertEqual(await self.call(lambda admin: admin.get("v1", "status")), ["GET", "/v1/status", None])
        self.assertEqual(
            await self.call(lambda admin: admin.post("v1", "tokens", body={"uses": 1})),
            ["POST", "/v1/tokens", {"uses": 1}],
        )
        self.assertEqual(
            await self.call(lambda admin: admin.delete("v1", "agents", "a/../b?")),
            ["DELETE", "/v1/agents/a%2F..%2Fb%3F", None],
        )

    async def test_empty_answer(self) -> None:
        """An answer without a body is None."""
        self.edge.status, self.edge.answer = 204, b""
        self.assertIsNone(await self.call(lambda admin: admin.delete("v1", "tokens", "x")))

    async def test_refusal_carries_the_reason(self) -> None:
        """The edge's own sentence is passed on; without one, its status is."""
        self.edge.status, self.edge.answer = 404, b'{"error": "no such token"}'
        error = await self.assertFailure(self.call(lambda admin: admin.delete("v1", "tokens", "x")), EdgeRefused)
        self.assertEqual(str(error), "no such token")
        self.edge.answer = b""
        error = await self.assertFailure(self.call(lambda admin: admin.get("v1", "status")), EdgeRefused)
        self.assertEqual(str(error), "the edge answered 404 Not Found")

    async def test_answer_that_is_no_json(self) -> None:
        """Another program on that socket is told apart."""
        self.edge.answer = b"<html>"
        await self.assertFailure(self.call(lambda admin: admin.get("v1", "status")), EdgeRefused)

    async def test_silence_ends(self) -> None:
        """An edge that does not answer is given up after the time-out."""
        self.edge.is_silent = True
        call = self.call(lambda admin: admin.get("v1", "status"), timeout=0.1)
        error = await self.assertFailure(call, EdgeUnreachable)
        self.assertIn("did not answer in 0.1 s", str(error))

    def test_nobody_there(self) -> None:
        """A socket that does not exist, or that nobody listens on, is named together with what to do."""
        Path("plain").touch()
        for path in ("missing.sock", "plain"):
            error = self.assertRaises(EdgeUnreachable, Admin(path).get, "v1", "status")
            self.assertRegex(str(error), rf"no edge answers at {path}: .*; start one, or name its socket with --admin")
            self.assertEqual(error.exit_code, 3)
