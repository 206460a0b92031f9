"""Tests of `warp_dns.beside.serials` against an edge on a unix socket that the test plays."""

from tests.case import reactor, until
from tests.dns.numbered.pair import Pair, content_of
from tests.system.dns.beside.played_edge import HEAD, Edge, PlayedEdgeCase, chunk
from warp_dns.beside import serials
from warp_dns.beside.serials import EdgeSerials
from warp_dns.numbered.telling import VERSION


class EdgeSerialsTests(PlayedEdgeCase):
    """Following an edge whose fleet numbers the zone."""

    def setUp(self) -> None:
        super().setUp()
        self.pair = Pair()  # of which the one that tells is the edge
        self.serials = EdgeSerials(reactor, self.path, "example.org")
        self.addCleanup(self.serials.stop)
        self.serials.start()

    async def connected(self, *first: bytes) -> Edge:
        """Accept a connection and say something on it."""
        edge: Edge = await self.connections.get()
        edge.transport.write(HEAD + b"".join(map(chunk, first)))
        return edge

    def told(self) -> bytes:
        """Return what the edge has to tell now."""
        return b"".join(iter(self.pair.telling.next_piece, None))

    def is_same(self) -> bool:
        """Whether what is transferred here is what the edge has numbered."""
        here, there = self.serials.numbering.zone, self.pair.teller.numbering.zone
        return here is not None and there is not None and content_of(here) == content_of(there)

    async def test_a_snapshot_and_changes(self) -> None:
        """What the edge has numbered is what is transferred, at its serial; it stays while the edge is away."""
        edge = await self.connected(VERSION + self.told())
        await until(self.is_same)
        self.assertTrue(edge.request.startswith(b"GET /v1/zone?name=example.org HTTP/1.1\r\n"))
        self.pair.teller.publish("a.example.org", "192.0.2.1")
        edge.transport.write(chunk(self.told()))
        await until(self.is_same)
        self.assertEqual(self.serials.numbering.serial, 101)
        edge.transport.abortConnection()
        await self.connections.get()
        self.assertTrue(self.is_same())

    async def test_an_edge_that_is_alone(self) -> None:
        """What an edge answers that numbers nothing is said, and it is asked again."""
        edge = await self.connections.get()
        edge.transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await until(lambda: bool(self.warnings))
        self.assertIn("status 404 for /v1/zone", str(self.warnings[0]))
        await self.connected(VERSION + self.told())
        await until(self.is_same)

    async def test_not_understood(self) -> None:
        """Another version, and what no zone can hold, end the connection and change nothing."""
        for nonsense in (b"\2" + self.told(), VERSION + b"\0\0\0\4nope", VERSION + b"\xff\xff\xff\xff"):
            edge = await self.connected(nonsense)
            await edge.gone
        self.assertIsNone(self.serials.numbering.zone)
        self.assertEqual(len(self.warnings), 3)

    async def test_older(self) -> None:
        """An edge that has what is older is left alone for a while, and changes nothing."""
        self.patch(serials, "OLDER_SECONDS", 0.05)
        older = self.told()
        self.pair.teller.publish("a.example.org", "192.0.2.1")
        self.pair.telling.mark(None)
        edge = await self.connected(VERSION + self.told())
        await until(self.is_same)
        edge.transport.abortConnection()
        edge = await self.connected(VERSION + older)
        await edge.gone
        self.assertTrue(self.is_same())
        await self.connections.get()
        self.assertIn("older than what is known here", str(self.warnings[-1]))

    async def test_much_at_once(self) -> None:
        """A large zone comes in whole, although no more is taken while much of it waits to be read."""
        for number in range(3000):
            self.pair.teller.publish(f"a{number}.example.org", "192.0.2.1")
        self.pair.telling.mark(None)
        self.patch(serials, "UNREAD_BYTES", 1000)
        await self.connected(VERSION + self.told())
        await until(self.is_same)
