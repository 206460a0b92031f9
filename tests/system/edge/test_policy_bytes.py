"""Tests of limits of bytes at the edge, on real sockets and in real time."""

from time import monotonic

from tests.system.edge.harness import RawConnection, get
from tests.system.edge.test_policy import PolicyTestCase, request
from tests.system.edge.test_policy_connections import PolicyConnectionsTestCase

SIZE = 1_000_000
RATE, BURST = 1_000_000, 200_000
SECONDS = (SIZE - BURST) / RATE
SLACK = 2.0  # of a busy machine; never faster, however busy


TEXT = f"""
rules:
  - name: slow
    match: {{hostname: app.example}}
    except: [/quick]
    limits: [{{name: pace, of: bytes, rate: {RATE}B/s, burst: {BURST}B}}]
"""


class PolicyBytesTests(PolicyTestCase):
    """A limit of 1 MB a second, with a burst of 200 kB."""

    text = TEXT

    async def prepare(self) -> None:
        await super().prepare()
        self.edge.origin.answer = None

    async def test_download(self) -> None:
        """An answer takes the time that its size takes at the rate, less the burst; another request is not slowed."""
        began = monotonic()
        slow = await self.edge.visitor()
        slow.send(get())
        await self.edge.origin.until(b"GET / ")
        origin = self.edge.origin.connections[-1]
        origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + bytes(SIZE))
        quick = await self.edge.visitor()
        quick.send(get(b"/quick"))
        await self.edge.origin.until(b"GET /quick ")
        self.edge.origin.connections[-1].send(b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + bytes(400_000))
        await self.whole(quick, 400_000)
        self.assertLess(len(slow.received), SIZE)
        await self.whole(slow, SIZE)
        self.assert_paced(monotonic() - began)
        self.assert_paced(float(str(self.entry()["held_ms"])) / 1000 + 0.1)

    def assert_paced(self, seconds: float) -> None:
        """Check that something took as long as its size takes."""
        self.assertGreater(seconds, SECONDS - 0.01)
        self.assertLess(seconds, SECONDS + SLACK)

    async def whole(self, client: RawConnection, size: int) -> None:
        """Wait for a whole answer."""
        await client.when(lambda: len(client.received.partition(b"\r\n\r\n")[2]) >= size)

    async def test_upload(self) -> None:
        """A body reaches the origin at the rate."""
        began = monotonic()
        client = await self.edge.visitor()
        client.send(request(b"POST /", body=bytes(SIZE)))
        await self.edge.origin.when(lambda: self.edge.origin.seen.count(0) >= SIZE)
        self.assert_paced(monotonic() - began)


class SecureBytesTests(PolicyConnectionsTestCase):
    """The same on TLS."""

    text = TEXT

    async def test_both_ways(self) -> None:
        """A body and its answer are paced together, and both arrive whole."""
        began = monotonic()
        client = await self.secure_visitor()
        half = SIZE // 2
        self.origin.answer = None
        client.send(request(b"POST /", body=bytes(half)))
        await self.origin.when(lambda: self.origin.seen.count(0) >= half)
        self.origin.connections[-1].send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % half + bytes(half))
        await client.when(lambda: client.received.count(0) >= half)
        self.assertGreater(monotonic() - began, SECONDS - 0.01)
        self.assertLess(monotonic() - began, SECONDS + SLACK)
