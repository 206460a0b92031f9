"""What DNS in an edge's process says of the zone's names, asked over its own sockets."""

import socket

import dns.message
import dns.query
import dns.rcode
from twisted.internet.threads import deferToThread

from tests.case import reactor, until
from tests.system.edge.live import HOST, ZONE
from tests.system.edge.test_admin import AdminTestCase
from warp_twisted.wire.control import Accepted


class DnsTestCase(AdminTestCase):
    """An edge that answers DNS."""

    async def asked(self, name: str, kind: str = "A") -> dns.message.Message:
        """Ask the edge, and return what it says."""
        host, port = self.node.ports.dns[0]
        query = dns.message.make_query(name, kind)
        return await deferToThread(dns.query.udp, query, host, timeout=5, port=port)

    async def visit(self, hostname: str) -> tuple[int, bytes]:
        """Ask the edge for a hostname's page; returns status and head."""

        def work() -> bytes:
            with socket.create_connection((HOST, self.node.ports.http[0]), timeout=5) as visitor:
                visitor.sendall(b"GET / HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % hostname.encode())
                return visitor.makefile("rb").read()

        head, _, _ = (await deferToThread(work)).partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), head + b"\r\n"


class GraceTests(DnsTestCase):
    """A name whose agent is lost."""

    sections: dict[str, object] = {"dns": {"grace": 3, "negative_ttl": 3}}
    name = f"app.{ZONE}"

    async def addresses(self) -> list[str]:
        """Return what the edge answers for the name: its addresses, or why there are none."""
        answer = await self.asked(self.name)
        return [str(record) for rrset in answer.answer for record in rrset] or [dns.rcode.to_text(answer.rcode())]

    async def test_lost(self) -> None:
        """A name whose agent is killed keeps its address for `dns.grace`, and 503 tells visitors when to try again."""
        agent = await self.agent()
        await agent.register(self.name, labels={"release": "stable"})
        self.assertEqual(await self.addresses(), [HOST])
        agent.tunnels[0].transport.abortConnection()  # type: ignore[union-attr]
        lost_at = reactor.seconds()
        await until(lambda: not self.node.parts.tunnels.registrations.by_id)
        while reactor.seconds() < lost_at + 2.9:
            self.assertEqual(await self.addresses(), [HOST])
            for kind in ("TXT", "SRV"):
                self.assertEqual((await self.asked(self.name, kind)).answer, [])
            owners = self.node.parts.publication.owners()
            self.assertEqual([owner for owner in owners if self.name in owner], [self.name])
        status, head = await self.visit(self.name)
        self.assertEqual((status, b"\r\nRetry-After: 5\r\n" in head), (503, True))
        await until(lambda: not self.node.parts.publication.records_of(self.name))
        self.assertEqual(await self.addresses(), ["NXDOMAIN"])

    async def test_back(self) -> None:
        """An agent that comes back in time serves the name again, and no query between hears that there is none."""
        agent = await self.agent()
        await agent.register(self.name)
        for _ in range(3):
            agent.tunnels[-1].transport.abortConnection()  # type: ignore[union-attr]
            await until(lambda: not self.node.parts.tunnels.registrations.by_id)
            self.assertEqual(await self.addresses(), [HOST])
            agent.delegate.losses.clear()
            self.assertIsInstance(await agent.register(self.name), Accepted)
            self.assertEqual(await self.addresses(), [HOST])

    async def test_goodbye(self) -> None:
        """A name whose agent says goodbye is gone within a second."""
        agent = await self.agent()
        await agent.register(self.name)
        agent.tunnels[0].close()
        began_at = reactor.seconds()
        while await self.addresses() != ["NXDOMAIN"]:
            self.assertLess(reactor.seconds(), began_at + 1)


class NegativeTests(DnsTestCase):
    """A name that is not there."""

    sections: dict[str, object] = {"dns": {"negative_ttl": 3}}

    async def test_negative_ttl(self) -> None:
        """A name that does not exist may be believed not to for `dns.negative_ttl` seconds (RFC 2308 §5)."""
        answer = await self.asked(f"nothing.{ZONE}")
        (soa,) = answer.authority
        self.assertEqual((answer.rcode(), soa.ttl, soa[0].minimum), (dns.rcode.NXDOMAIN, 3, 3))


del AdminTestCase
