"""Tests of `warp_dns.beside.asking`."""

from typing import Any

from twisted.web.iweb import IResponse

from tests.case import reactor, until
from tests.system.dns.beside.played_edge import HEAD, PlayedEdgeCase, chunk
from warp_dns.beside import asking
from warp_dns.beside.asking import Asking, Body
from warp_dns.errors import EdgeNotUnderstood


class AskingTests(PlayedEdgeCase):
    """One question."""

    def setUp(self) -> None:
        super().setUp()
        self.taken = b""
        self.broke = 0
        self.asking = Asking(reactor, self.path, "/v1/x?y=z", self.take, self.note_end)
        self.addCleanup(self.asking.stop)

    async def take(self, response: IResponse) -> None:
        """Read an answer."""
        body = Body(reactor, self.received)
        response.deliverBody(body)
        await body.ended

    def received(self, data: bytes) -> None:
        """Keep what comes."""
        if data == b"nonsense":
            raise EdgeNotUnderstood("no sense")
        self.taken += data
        self.asking.understood()

    def note_end(self) -> None:
        """Count the ends."""
        self.broke += 1

    async def answered(self, *parts: bytes) -> Any:
        """Accept a connection and answer."""
        edge = await self.connections.get()
        edge.transport.write(b"".join(parts))
        return edge

    async def test_an_answer_and_its_end(self) -> None:
        """What comes is taken; after the end the same is asked again, and the end is said."""
        self.asking.start()
        edge = await self.answered(HEAD, chunk(b"one"), chunk(b"two"))
        await until(lambda: self.taken == b"onetwo")
        self.assertTrue(edge.request.startswith(b"GET /v1/x?y=z HTTP/1.1\r\n"))
        edge.transport.write(b"0\r\n\r\n")
        await self.answered(HEAD, chunk(b"three"))
        await until(lambda: self.taken == b"onetwothree")
        self.assertEqual(self.broke, 1)
        self.assertIn("the stream ended", str(self.warnings[0]))

    async def test_not_an_answer(self) -> None:
        """Another status, and what makes no sense, are why it is asked again."""
        self.asking.start()
        await self.answered(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        edge = await self.answered(HEAD, chunk(b"nonsense"))
        await edge.gone
        await self.connections.get()
        said = [str(each) for each in self.warnings]
        self.assertIn("status 503 for /v1/x", said[0])
        self.assertIn("no sense", said[1])

    async def test_no_answer(self) -> None:
        """An edge that takes the question and says nothing is given up."""
        self.patch(asking, "ANSWER_SECONDS", 0.1)
        self.asking.start()
        edge = await self.connections.get()
        await edge.gone
        await self.connections.get()
        self.assertEqual((self.broke, len(self.warnings)), (1, 1))
