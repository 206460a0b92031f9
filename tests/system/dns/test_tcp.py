"""DNS over TCP on loopback (RFC 7766): pipelining, limits, transfers beside queries."""

import dns.message
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.case import reactor, until
from tests.dns.helpers import question
from tests.system.dns.asking import TcpClient
from warp_dns import (
    DnsServer,
    FixedSource,
    Record,
    ServedZone,
    ServerSettings,
    TcpSettings,
    TransferSettings,
    ZoneSettings,
)

ZONE = "warp.example"


class TcpTests(TestCase):
    """Connections to a server of ours."""

    timeout = 30

    def serve(self, size: int = 5000, **limits: object) -> None:
        """Serve a zone of so many names with limits."""
        names = [f"n{number}.{ZONE}" for number in range(size)]
        source = FixedSource({name: [Record(name, "TXT", 5, f'"{"x" * 200}"')] for name in names})
        zone = ZoneSettings(
            name=ZONE, nameservers={f"ns1.{ZONE}": ["127.0.0.1"]}, transfer=TransferSettings(networks=["127.0.0.0/8"])
        )
        settings = ServerSettings(tcp=TcpSettings(**limits))  # type: ignore[arg-type]
        self.server = DnsServer(reactor, [ServedZone(zone, source)], settings)
        self.addCleanup(self.server.stop)
        [(_, self.port)] = self.server.start(["127.0.0.1:0"])

    def connections(self) -> int:
        """Return how many connections the server has."""
        return sum(len(members) for members in self.server._tcp._networks.values())

    async def connect(self, host: str = "127.0.0.1") -> TcpClient:
        """Return a connection from an address."""
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port, bindAddress=(host, 0))
        client: TcpClient = await connectProtocol(endpoint, TcpClient())
        self.addCleanup(lambda: client.gone)
        self.addCleanup(client.transport.abortConnection)
        return client

    async def test_queries_may_be_sent_ahead(self) -> None:
        """Many queries in one write are all answered, also when they arrive octet by octet."""
        self.serve()
        client = await self.connect()
        queries = [number.to_bytes(2, "big") + question(f"n{number}.{ZONE}", "TXT")[2:] for number in range(200)]
        client.send(*queries)
        replies = {(await client.messages.get())[:2] for _ in queries}
        self.assertEqual(replies, {query[:2] for query in queries})
        for octet in len(queries[0]).to_bytes(2, "big") + queries[0]:
            client.transport.write(bytes([octet]))
            await deferLater(reactor, 0)
        self.assertEqual((await client.messages.get())[:2], queries[0][:2])

    async def test_an_idle_connection_is_closed(self) -> None:
        """A connection on which nothing whole arrives for the time-out is closed, trickle or not."""
        self.serve(idle_seconds=0.3)
        silent, trickling = await self.connect(), await self.connect()
        trickling.transport.write(b"\0")
        await deferLater(reactor, 0.2)
        trickling.transport.write(b"\x30")
        await silent.gone
        await trickling.gone
        self.assertEqual((silent.messages.pending, trickling.messages.pending, self.connections()), ([], [], 0))

    async def test_connections_are_limited(self) -> None:
        """An address has so many connections, the next one is closed at once, and room comes back."""
        self.serve(connections_per_address=2)
        first, second = await self.connect(), await self.connect()
        third = await self.connect()
        await third.gone
        first.transport.abortConnection()
        await first.gone
        await until(lambda: self.connections() == 1)
        fourth = await self.connect()
        for client in (second, fourth):
            client.send(question(ZONE, "SOA"))
            await client.messages.get()

    async def test_all_connections_together_are_limited(self) -> None:
        """The server's own limit holds whatever the addresses."""
        self.serve(connections=1)
        first = await self.connect()
        await (await self.connect()).gone
        first.send(question(ZONE, "SOA"))
        self.assertEqual((await first.messages.get())[3], 0)

    async def test_silent_connections_of_one_network_make_room(self) -> None:
        """When all connections are in use, a network that has many of them loses its longest silent one to another."""
        self.serve(connections=3)
        held = [await self.connect() for _ in range(3)]
        held[0].send(question(ZONE, "SOA"))
        await held[0].messages.get()
        other = await self.connect("127.0.0.2")
        await held[1].gone
        other.send(question(ZONE, "SOA"))
        self.assertEqual((await other.messages.get())[3] & 15, 0)
        self.assertEqual([client.gone.called for client in held], [False, True, False])

    async def test_who_does_not_speak_dns_is_cut_off(self) -> None:
        """Replies, and messages too short to be one, end the connection."""
        self.serve()
        for data in (b"\0\0", b"\0\x0c" + b"\0\1\x80" + bytes(9), b"\0\5GET /"):
            client = await self.connect()
            client.transport.write(data)
            await client.gone
            self.assertEqual(client.messages.pending, [])

    async def test_a_client_that_does_not_read_is_not_read_from(self) -> None:
        """Answers wait in bounded buffers only; when the client reads on, every one arrives."""
        self.serve()
        client = await self.connect()
        client.transport.pauseProducing()
        query = question(f"n1.{ZONE}", "TXT")
        count = 60000
        client.send(*[query] * count)
        [[connection]] = self.server._tcp._networks.values()
        await until(lambda: connection._is_clogged)
        self.assertLess(len(connection._unread) + len(connection._transport().dataBuffer), 1 << 20)
        client.transport.resumeProducing()
        for _ in range(count):
            await client.messages.get()

    async def test_a_transfer_does_not_stop_queries(self) -> None:
        """A query behind a transfer on the same connection is answered before the transfer ends."""
        self.serve()
        client = await self.connect()
        client.send(question(ZONE, "AXFR"), b"\0\2" + question(f"n1.{ZONE}", "TXT")[2:])
        order = []
        soas = 0
        while soas < 2:
            message = await client.messages.get()
            order.append(message[:2])
            reply = dns.message.from_wire(message, xfr=True, one_rr_per_rrset=True)
            soas += sum(rrset.rdtype == 6 for rrset in reply.answer)
        self.assertIn(b"\0\2", order)
        self.assertNotEqual(order[-1], b"\0\2")

    async def test_transfers_are_limited(self) -> None:
        """So many transfers run at a time; one more is answered with SERVFAIL until another has ended."""
        self.serve(size=30000, transfers=1)  # more than the sockets' buffers take
        slow = await self.connect()
        slow.transport.pauseProducing()
        slow.send(question(ZONE, "AXFR"))
        await until(lambda: self.server._tcp.transfers == 1)
        quick = await self.connect()
        quick.send(question(ZONE, "AXFR"))
        self.assertEqual((await quick.messages.get())[3], 2)
        slow.transport.abortConnection()
        await slow.gone
        await until(lambda: self.server._tcp.transfers == 0)
        quick.send(question(ZONE, "AXFR"))
        self.assertEqual((await quick.messages.get())[3], 0)

    async def test_a_transfer_whose_client_leaves_is_forgotten(self) -> None:
        """What was running for a lost connection no longer counts."""
        self.serve()
        client = await self.connect()
        client.send(question(ZONE, "AXFR"))
        await client.messages.get()
        client.transport.abortConnection()
        await client.gone
        await until(lambda: self.connections() == 0)
        self.assertEqual(self.server._tcp.transfers, 0)
