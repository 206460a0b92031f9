"""Tests of `warp_twisted.registry.etcd.blocking`; a real etcd is asked in `tests.system.registry.test_moving`."""

from pathlib import Path

from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.web.server import Site

from tests.case import AsyncTestCase, reactor
from tests.registry.etcd.test_client import Member, url_of
from warp_twisted.registry.errors import StoreBroken
from warp_twisted.registry.etcd import blocking as module
from warp_twisted.registry.etcd.blocking import BlockingEtcd
from warp_twisted.registry.etcd.trust import TrustFiles


class BlockingEtcdTests(AsyncTestCase):
    """`BlockingEtcd`."""

    timeout = 30

    async def prepare(self) -> None:
        """Start a member, and know of one that is gone."""
        self.member = Member()
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(self.member))
        self.addCleanup(port.stopListening)
        self.url = url_of(port)
        self.etcd = BlockingEtcd(["http://127.0.0.1:1", self.url], None)

    async def test_first_that_answers(self) -> None:
        """The first member that answers is asked, also for everything that follows."""
        self.member.content = b"x"
        self.assertEqual(await deferToThread(self.etcd.call, "/v3/kv/range", b"wish"), b"x")
        self.assertEqual((self.member.asked, self.etcd.name), ([(b"/v3/kv/range", b"wish")], f"etcd at {self.url}"))

    async def test_refused(self) -> None:
        """An error is raised in etcd's words."""
        self.member.status, self.member.content = 400, b'{"message":"etcdserver: no"}'
        with self.assertRaisesRegex(StoreBroken, f"^etcd at {self.url} refuses: etcdserver: no$"):
            await deferToThread(self.etcd.call, "/v3/kv/txn", b"")

    async def test_too_long(self) -> None:
        """An answer over the bound is refused."""
        self.patch(module, "MAX_ANSWER_BYTES", 1000)
        self.member.content = b"x" * 100_000
        with self.assertRaisesRegex(StoreBroken, "longer than 1000 bytes"):
            await deferToThread(self.etcd.call, "/v3/kv/range", b"")

    async def test_nobody_answers(self) -> None:
        """With no member left the last one's failure is told."""
        with self.assertRaisesRegex(StoreBroken, "etcd at http://127.0.0.1:1 does not answer: .*refused"):
            await deferToThread(BlockingEtcd(["http://127.0.0.1:1"], None).call, "/v3/kv/range", b"")

    async def test_files(self) -> None:
        """Files that cannot be used are named."""
        absent = Path(self.mktemp())
        with self.assertRaisesRegex(StoreBroken, f"{absent.name}.*No such file"):
            BlockingEtcd([self.url], TrustFiles(ca=absent, certificate=absent, key=absent))
