"""What one client or file may cause costs the others little: no turn of the reactor is long, and answers go on."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

import dns.message
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.case import reactor, spare_old_objects_of
from tests.dns.helpers import question
from tests.system.dns.asking import UdpClient
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
RECORDS = 30_000
LONGEST_SECONDS = 0.05  # CPU time of the reactor's thread in one turn; the server's own bounds are a tenth
HEAD = "$TTL 60\n@ SOA ns1 hostmaster {serial} 3600 600 86400 60\n@ NS ns1\nns1 A 192.0.2.53\n"


class InputsTests(TestCase):
    """A server with a large zone, asked by an honest client all the while."""

    timeout = 120

    def setUp(self) -> None:
        """Serve."""
        spare_old_objects_of(self)
        self.path = Path(self.mktemp())
        self.write(1, "192.0.2.1")
        zone = ZoneSettings(name=ZONE, master_file=str(self.path), transfer=TransferSettings(networks=["127.0.0.0/8"]))
        self.server = DnsServer(reactor, [ServedZone(zone)], ServerSettings(tcp=TcpSettings(idle_seconds=1.0)))
        self.addCleanup(self.server.stop)
        [self.address] = self.server.start(["127.0.0.1:0"])
        self.client = UdpClient()
        port = reactor.listenUDP(0, self.client, "127.0.0.1", 8192)
        self.addCleanup(port.stopListening)
        self.longest = 0.0
        self.turned_at = time.thread_time()
        self.is_watching = True
        reactor.callLater(0, self.turn)

    def tearDown(self) -> None:
        """Watch the turns no longer."""
        self.is_watching = False

    def write(self, serial: int, address: str) -> None:
        """Write the master file."""
        names = "".join(f"host{number} A {address}\n" for number in range(RECORDS))
        self.path.write_text(HEAD.format(serial=serial) + names)

    def turn(self) -> None:
        """Measure a turn of the reactor."""
        now = time.thread_time()
        self.longest = max(self.longest, now - self.turned_at)
        self.turned_at = now
        if self.is_watching:
            reactor.callLater(0, self.turn)

    async def ask_while(self, is_going_on: Callable[[], bool]) -> list[str]:
        """Ask for one name after the other as long as something goes on; return the addresses."""
        found = []
        self.turned_at, self.longest = time.thread_time(), 0.0
        number = 0
        while is_going_on():
            number += 1
            query = (number & 0xFFFF).to_bytes(2, "big") + question(f"host{number % RECORDS}.{ZONE}", "A")[2:]
            reply = dns.message.from_wire(await self.client.ask(query, self.address))
            found.append(str(reply.answer[0][0]))
        return found

    async def flood(self, *floods: Callable[[], int]) -> list[int]:
        """Run floods in threads of their own, and ask meanwhile; return what each of them got."""
        results: Deferred[list[int]] = gatherResults([deferToThread(flood) for flood in floods])
        found = await self.ask_while(lambda: not results.called)
        self.assertGreater(len(found), 3)
        self.assertLess(self.longest, LONGEST_SECONDS)
        return await results

    def pipelined(self, *queries: bytes) -> int:
        """Send queries on one connection without waiting, and return how many bytes come back before it is closed."""
        with socket.create_connection(self.address, timeout=60) as sock:
            sock.sendall(b"".join(len(query).to_bytes(2, "big") + query for query in queries))
            count = 0
            try:
                while data := sock.recv(1 << 16):
                    count += len(data)
            except ConnectionResetError:
                pass  # as the server ends an idle connection
            return count

    async def test_a_large_zone_is_read_again(self) -> None:
        """While a changed file of many records is read and served, every question is answered, old or new."""
        self.write(2, "192.0.2.2")
        self.server.reload()
        found = await self.ask_while(lambda: self.server.serial(ZONE) != 2)
        self.assertLess(self.longest, LONGEST_SECONDS)
        self.assertGreater(len(found), 20)
        self.assertEqual(set(found[:-1]), {"192.0.2.1"})  # the last answer may be a new one
        after = iter([True] * 5 + [False])
        self.assertEqual(set(await self.ask_while(lambda: next(after))), {"192.0.2.2"})

    async def test_thousands_of_live_names(self) -> None:
        """While thousands of applications come at once, change, and go, others are asked for and answered."""
        source = FixedSource()
        zone = ZoneSettings(name="live.example", nameservers={"ns1.live.example": ["127.0.0.1"]})
        server = DnsServer(reactor, [ServedZone(zone, source)])
        self.addCleanup(server.stop)
        server.start(["127.0.0.1:0"])
        names = [f"{label}n{number}.live.example" for number in range(4_000) for label in ("", "_http._tcp.")]
        for rdata in ("192.0.2.1", "192.0.2.2", ""):
            serial = server.serial("live.example")
            source.change({name: [Record(name, "A", 5, rdata)] if rdata else [] for name in names})
            found = await self.ask_while(lambda before=serial: server.serial("live.example") == before)  # type: ignore[misc]
            self.assertLess(self.longest, LONGEST_SECONDS)
            self.assertGreater(len(found), 10)

    async def test_queries_that_are_sent_ahead(self) -> None:
        """Eight clients send thousands of queries at once; each gets all its answers, and the honest one as well."""
        query = question(f"nothing.{ZONE}", "A")
        got = await self.flood(*[lambda: self.pipelined(*[query] * 2000)] * 8)
        self.assertEqual(len(set(got)), 1)
        self.assertGreater(got[0], 2000 * len(query))

    async def test_transfers(self) -> None:
        """Several transfers of the whole zone at a time."""
        got = await self.flood(*[lambda: self.pipelined(question(ZONE, "AXFR"))] * 4)
        self.assertEqual(len(set(got)), 1)
        self.assertGreater(got[0], RECORDS * 16)

    async def test_forged_signatures(self) -> None:
        """Signatures by keys that nobody has are refused one by one."""
        message = dns.message.make_query(f"host1.{ZONE}", "A")
        message.use_tsig(dns.tsig.Key("nobody.", bytes(32), "hmac-sha512."))
        query = message.to_wire()
        assert isinstance(query, bytes)
        [got] = await self.flood(lambda: self.pipelined(*[query] * 3000))
        self.assertGreater(got, 3000 * 12)
