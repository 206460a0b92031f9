"""Tests of asking etcd's members before an edge starts; a real etcd with TLS is in `tests.system.edge.test_etcd`."""

from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from tests.case import AsyncTestCase, reactor
from warp_twisted.edge.stores.asking import ask_members
from warp_twisted.edge.stores.settings import EtcdSettings


class Member(Resource):
    """A member that says this of its health; None: nothing at all."""

    isLeaf = True

    def __init__(self, said: bytes | None) -> None:
        super().__init__()
        self.said = said

    def render_GET(self, request: Request) -> bytes | int:
        """Answer, or not."""
        if self.said is None:
            request.notifyFinish().addErrback(lambda failure: None)
            return NOT_DONE_YET
        return self.said


class AskingTests(AsyncTestCase):
    """`ask_members`."""

    async def prepare(self) -> None:
        """Begin without members."""
        self.urls: list[str] = []

    async def ask(self, *said: bytes | None) -> list[str]:
        """Ask members that say this."""
        self.urls = []
        for each in said:
            port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(Member(each)))
            self.addCleanup(port.stopListening)
            address = port.getHost()
            assert isinstance(address, IPv4Address)
            self.urls.append(f"http://127.0.0.1:{address.port}")
        return await deferToThread(ask_members, EtcdSettings(endpoints=tuple(self.urls)), 0.5)

    async def test_all_serve(self) -> None:
        """Then there is nothing to say."""
        self.assertEqual(await self.ask(b'{"health":"true"}', b'{"health":"true","reason":""}'), [])

    async def test_some_serve(self) -> None:
        """Each that does not is named with the reason."""
        found = await self.ask(b'{"health":"true"}', b'{"health":"false"}', None, b"<html>")
        self.assertEqual(len(found), 3)
        for url, said, why in zip(
            self.urls[1:], found, ("takes no changes", "timed out", "Expecting value"), strict=True
        ):
            self.assertIn(f"registry.etcd: {url}: ", said)
            self.assertIn(why, said)

    async def test_none_serves(self) -> None:
        """Then it is said what that means."""
        found = await self.ask(b"[]")
        self.assertIn("no member of etcd serves; an edge that starts now knows only what its copy", found[-1])
