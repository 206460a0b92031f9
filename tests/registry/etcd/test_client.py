"""Tests for `warp_twisted.registry.etcd.client` on a small web server."""

from collections.abc import Callable

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from tests.case import AsyncTestCase, reactor, until
from warp_twisted.registry.errors import StoreBroken, StoreClosed
from warp_twisted.registry.etcd import client as module
from warp_twisted.registry.etcd.client import EtcdClient, EtcdWatch
from warp_twisted.registry.etcd.endpoints import Endpoints
from warp_twisted.registry.etcd.messages import Heard, watch_request

CALL_SECONDS = 2.0  # enough where the machine is busy


class Member(Resource):
    """A member that answers as it is told."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.status = 200
        self.content = b"{}"
        self.is_silent = False
        self.asked: list[tuple[bytes, bytes]] = []
        self.open: list[Request] = []

    def render_POST(self, request: Request) -> bytes | int:
        """Answer, or wait."""
        assert request.content is not None
        self.asked.append((request.path, request.content.read()))
        request.setResponseCode(self.status)
        if self.is_silent or request.path == b"/v3/watch":
            self.open.append(request)
            request.notifyFinish().addErrback(lambda _: self.open.remove(request))
            if not self.is_silent:
                request.write(b'{"result":{"header":{"revision":"1"},"created":true}}\n')
            return NOT_DONE_YET
        return self.content


def url_of(port: IListeningPort) -> str:
    """Return where a member listens."""
    address = port.getHost()
    assert isinstance(address, IPv4Address)
    return f"http://127.0.0.1:{address.port}"


class EtcdClientTests(AsyncTestCase):
    """`EtcdClient`."""

    timeout = 30

    async def prepare(self) -> None:
        """Start two members."""
        self.members = [Member(), Member()]
        self.urls = []
        for member in self.members:
            port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(member))
            self.addCleanup(port.stopListening)
            self.urls.append(url_of(port))
        self.client = EtcdClient(reactor, Endpoints(self.urls), call_seconds=CALL_SECONDS)
        self.clean_up_with(self.client.close)

    async def test_call(self) -> None:
        """An answer is returned whole, and the connection is kept."""
        self.members[0].content = b"x" * 100_000
        self.assertEqual(await self.client.call("/v3/kv/range", b"wish"), b"x" * 100_000)
        self.assertEqual(self.members[0].asked, [(b"/v3/kv/range", b"wish")])

    async def test_refused(self) -> None:
        """An error is raised in etcd's words; a member that serves stays in use, one in trouble does not."""
        self.members[0].status, self.members[0].content = 400, b'{"message":"etcdserver: no"}'
        with self.assertRaisesRegex(StoreBroken, f"^etcd at {self.urls[0]} refuses: etcdserver: no$"):
            await self.client.call("/v3/kv/txn", b"")
        self.assertEqual(self.client.endpoint, self.urls[0])
        self.members[0].status = 503
        with self.assertRaises(StoreBroken):
            await self.client.call("/v3/kv/txn", b"")
        self.assertEqual(self.client.endpoint, self.urls[1])

    async def test_silent(self) -> None:
        """A member that does not answer in time is left; nothing is sent twice."""
        self.members[0].is_silent = True
        with self.assertRaisesRegex(StoreBroken, f"etcd at {self.urls[0]} does not answer: not in 2 s"):
            await self.client.call("/v3/kv/txn", b"")
        self.assertEqual([len(member.asked) for member in self.members], [1, 0])
        await self.client.call("/v3/kv/txn", b"")
        self.assertEqual([len(member.asked) for member in self.members], [1, 1])
        await until(lambda: not self.members[0].open)

    async def test_too_long(self) -> None:
        """An answer over the bound is refused."""
        self.patch(module, "MAX_ANSWER_BYTES", 1000)
        self.members[0].content = b"x" * 1_000_000
        with self.assertRaisesRegex(StoreBroken, "longer than 1000 bytes"):
            await self.client.call("/v3/kv/range", b"")

    async def test_cancelled(self) -> None:
        """Who gives up does not make a member a bad one."""
        self.members[0].is_silent = True
        call = Deferred.fromCoroutine(self.client.call("/v3/kv/range", b""))
        await until(lambda: bool(self.members[0].open))
        call.cancel()
        self.failureResultOf(call, CancelledError)
        self.assertEqual(self.client.endpoint, self.urls[0])

    async def test_watch(self) -> None:
        """Messages are told as they come, and after `cancel` the connection is gone."""
        told: list[Heard] = []
        watch = await self.client.watch(watch_request(1), told.append)
        self.assertEqual(told, [])
        await until(lambda: told == [Heard()])
        self.members[0].open[0].write(b'{"result":{"header":{"revision":"9"}}}\n')
        await until(lambda: told[1:] == [Heard((), 9)])
        watch.cancel()
        await until(lambda: not self.members[0].open)
        self.assertEqual(len(told), 2)

    async def test_watch_of_a_member_that_dies(self) -> None:
        """The last message says why it ended."""
        told: list[Heard] = []
        await self.client.watch(watch_request(1), told.append)
        await until(lambda: bool(told))
        self.members[0].open[0].loseConnection()
        await until(lambda: len(told) == 2)
        self.assertIn("the connection was closed", told[1].ended)

    async def test_watch_that_does_not_begin(self) -> None:
        """No answer in time, and another member is asked."""
        self.members[0].is_silent = True
        with self.assertRaisesRegex(StoreBroken, "does not answer"):
            await self.client.watch(watch_request(1), lambda heard: None)
        self.assertEqual(self.client.endpoint, self.urls[1])

    async def test_nobody_listens(self) -> None:
        """A member that is not there is an error with its reason, and the next one is asked."""
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Factory())
        gone = url_of(port)
        await maybeDeferred(port.stopListening)
        client = EtcdClient(reactor, Endpoints([gone, self.urls[0]]))
        self.clean_up_with(client.close)
        with self.assertRaisesRegex(StoreBroken, f"etcd at {gone} does not answer: .*refused"):
            await client.call("/v3/kv/range", b"")
        self.assertEqual(await client.call("/v3/kv/range", b""), b"{}")

    async def test_closed_meanwhile(self) -> None:
        """Who waits for an answer at the end is told so, and no connection is left."""
        self.members[0].is_silent = True
        call = Deferred.fromCoroutine(self.client.call("/v3/kv/range", b""))
        await until(lambda: bool(self.members[0].open))
        await self.client.close()
        self.failureResultOf(call, StoreClosed)
        await until(lambda: not self.members[0].open)

    async def test_closed(self) -> None:
        """After the end nothing is asked."""
        await self.client.close()
        with self.assertRaises(StoreClosed):
            await self.client.call("/v3/kv/range", b"")


class EtcdWatchTests(SynchronousTestCase):
    """`EtcdWatch`."""

    def watch(self, tell: Callable[[Heard], object]) -> tuple[EtcdWatch, StringTransport]:
        """Return a watch that is connected."""
        watch, transport = EtcdWatch(tell), StringTransport()
        watch.makeConnection(transport)
        return watch, transport

    def test_pieces(self) -> None:
        """Lines come in any pieces, and are told once each."""
        lines = b'{"result":{"header":{"revision":"7"}}}\n{"result":{"header":{"revision":"8"}}}\n'
        for size in (1, 7, len(lines)):
            told: list[Heard] = []
            watch, _ = self.watch(told.append)
            for begin in range(0, len(lines), size):
                watch.dataReceived(lines[begin : begin + size])
            self.assertEqual(told, [Heard((), 7), Heard((), 8)])

    def test_nonsense(self) -> None:
        """What cannot be read ends the watch."""
        told: list[Heard] = []
        watch, transport = self.watch(told.append)
        watch.dataReceived(b"[]\n[]\n")
        self.assertEqual(len(told), 1)
        self.assertIn("none of its messages", told[0].ended)
        self.assertTrue(transport.disconnecting)

    def test_endless_line(self) -> None:
        """A line without an end is bounded."""
        self.patch(module, "MAX_LINE_BYTES", 100)
        told: list[Heard] = []
        watch, transport = self.watch(told.append)
        watch.dataReceived(b"{" * 60)
        self.assertEqual(told, [])
        watch.dataReceived(b"{" * 60)
        self.assertEqual([each.ended for each in told], ["a message of etcd has more than 100 bytes"])
        self.assertTrue(transport.disconnecting)

    def test_ends(self) -> None:
        """A watch that was cancelled tells no end, any other one does."""
        told: list[Heard] = []
        watch, _ = self.watch(told.append)
        watch.connectionLost(Failure(ResponseDone()))
        self.assertEqual(len(told), 1)
        watch, _ = self.watch(told.append)
        watch.cancel()
        watch.connectionLost(Failure(ResponseDone()))
        self.assertEqual(len(told), 1)

    def test_cancelled_before_it_is_connected(self) -> None:
        """It hangs up as soon as it is."""
        watch, transport = EtcdWatch(lambda heard: None), StringTransport()
        watch.cancel()
        watch.makeConnection(transport)
        self.assertTrue(transport.disconnecting)
