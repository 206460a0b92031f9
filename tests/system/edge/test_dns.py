"""What DNS in an edge's process says of the zone's names, asked over its own sockets."""

import socket
from collections.abc import Sequence

import dns.message
import dns.query
import dns.rcode
from twisted.internet.threads import deferToThread

from tests.case import reactor, until, until_said
from tests.system.edge.live import HOST, ZONE, EnrolledAgent, make_node
from tests.system.edge.test_admin import AdminTestCase
from warp_twisted.registry.published.records import Record
from warp_twisted.wire.control import Accepted


class DnsTestCase(AdminTestCase):
    """An edge that answers DNS."""

    async def asked(self, name: str, kind: str = "A") -> dns.message.Message:
        """Ask the edge, and return what it says."""
        host, port = self.node.ports.dns[0]
        query = dns.message.make_query(name, kind)
        return await deferToThread(dns.query.udp, query, host, timeout=5, port=port)

    async def until_denied(self, *names: str) -> None:
        """Wait until the edge says of each name that there is none."""

        async def are_denied() -> bool:
            return all([(await self.asked(name)).rcode() == dns.rcode.NXDOMAIN for name in names])

        await until_said(are_denied)

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
        await self.until_denied(self.name)

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


class RestartTests(DnsTestCase):
    """What is said of names while an edge restarts."""

    sections: dict[str, object] = {"dns": {"grace": 4}, "timeouts": {"drain": 1, "settle": 1}}
    names = (f"app.{ZONE}", f"*.team.{ZONE}")

    async def restart(self) -> EnrolledAgent:
        """Let an agent serve two names, and begin to start the edge again; it waits for the agent."""
        agent = await self.agent()
        await agent.register(*self.names)
        told: dict[str, Sequence[Record]] = {}
        self.node.parts.publication.subscribe(told.update)
        await self.node.stopService()
        self.assertEqual({name: told[name] for name in self.names if name in told}, {})
        self.node = make_node(self.directory, **self.sections)
        self.node.startService()
        self.addCleanup(self.stop, self.node)
        await until(lambda: bool(self.node.ports.tunnel))
        self.assertFalse(self.node.started.called)
        return agent

    async def codes(self, *names: str) -> list[str]:
        """Return what is answered for each name."""
        return [dns.rcode.to_text((await self.asked(name)).rcode()) for name in names]

    async def test_names_of_before(self) -> None:
        """A stop withdraws no name; those of before are answered for `dns.grace` after it, and visitors get 503."""
        await self.restart()
        await until(lambda: self.node.parts.readiness.has_published)
        hosts = (self.names[0], f"x.team.{ZONE}", f"other.{ZONE}")
        self.assertEqual(await self.codes(*hosts), ["NOERROR", "NOERROR", "NXDOMAIN"])
        self.assertFalse(self.node.started.called)
        await self.node.started
        self.assertEqual([(await self.visit(host))[0] for host in hosts], [503, 503, 404])
        await self.until_denied(*hosts)
        self.assertEqual([(await self.visit(host))[0] for host in hosts], [503, 503, 404])

    async def test_back(self) -> None:
        """An agent that comes back after the restart serves its names, and its goodbye is one."""
        agent = await self.restart()
        agent.port = self.port
        agent.delegate.losses.clear()
        self.assertIsInstance(await agent.register(*self.names), Accepted)
        await self.node.started
        self.assertTrue(self.node.parts.serving.routes.is_served(self.names[0]))
        self.assertEqual(await self.codes(self.names[0]), ["NOERROR"])
        agent.tunnels[-1].close()
        await until(lambda: not self.published(self.names[0]), timeout=1)

    async def test_names_of_the_registry(self) -> None:
        """A hostname that an agent is enrolled for by name is 503 whenever it served; what a pattern covers is 404."""
        await self.agent(f"named.{ZONE}", f"*.pattern.{ZONE}")
        hosts = (f"named.{ZONE}", f"x.pattern.{ZONE}")
        for _ in range(2):
            self.assertEqual([(await self.visit(host))[0] for host in hosts], [503, 404])
            self.assertIn(b"\r\nRetry-After: 5\r\n", (await self.visit(hosts[0]))[1])
            await self.node.stopService()
            self.node = await self.start()


class UntilKnownTests(RestartTests):
    """Without a grace a name of before cannot be answered until its agent is back, nor may it be denied."""

    sections: dict[str, object] = {"dns": {"grace": 0}, "timeouts": {"drain": 1, "settle": 2}}

    async def test_names_of_before(self) -> None:
        """What is not known to be there is SERVFAIL until the agents are back or were waited for; the edge says so."""
        await self.restart()
        names = (self.names[0], ZONE, f"edge1.{ZONE}", f"other.{ZONE}")
        self.assertEqual(await self.codes(*names), ["SERVFAIL", "SERVFAIL", "NOERROR", "SERVFAIL"])
        self.assertEqual((await self.asked(ZONE, "SOA")).rcode(), dns.rcode.NOERROR)
        self.assertIs((await self.call("GET", "/ready"))[1]["parts"]["dns"], False)
        await self.node.started
        self.assertEqual(await self.codes(*names), ["NXDOMAIN", "NOERROR", "NOERROR", "NXDOMAIN"])
        self.assertIs((await self.call("GET", "/ready"))[1]["parts"]["dns"], True)


class NegativeTests(DnsTestCase):
    """A name that is not there."""

    sections: dict[str, object] = {"dns": {"negative_ttl": 3}}

    async def test_negative_ttl(self) -> None:
        """A name that does not exist may be believed not to for `dns.negative_ttl` seconds (RFC 2308 §5)."""
        answer = await self.asked(f"nothing.{ZONE}")
        (soa,) = answer.authority
        self.assertEqual((answer.rcode(), soa.ttl, soa[0].minimum), (dns.rcode.NXDOMAIN, 3, 3))


del AdminTestCase
