"""DNS over UDP on loopback: batches, floods, addresses."""

import contextlib
import socket
from pathlib import Path

import dns.message
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from tests.case import reactor, until
from tests.dns.helpers import question
from tests.system.dns.asking import UdpClient
from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_dns import DnsServer, FixedSource, RateLimitSettings, Record, ServedZone, ServerSettings, ZoneSettings

ZONE = "warp.example"
NETWORKS = 1000
RATE = 2
TURNS = 20  # questions of each network


class UdpTests(TestCase):
    """A server of ours on UDP."""

    timeout = 30

    def serve(self, *addresses: str, **options: object) -> None:
        """Serve a name at addresses."""
        source = self.source = FixedSource({f"app.{ZONE}": [Record(f"app.{ZONE}", "A", 5, "192.0.2.1", "edge1")]})
        zone = ZoneSettings(name=ZONE, nameservers={f"ns1.{ZONE}": ["127.0.0.1"]})
        settings = ServerSettings(**options)  # type: ignore[arg-type]
        self.server = DnsServer(reactor, [ServedZone(zone, source)], settings)
        self.addCleanup(self.server.stop)
        self.bound = self.server.start(addresses or ["127.0.0.1:0"])

    def client(self, host: str = "127.0.0.1") -> UdpClient:
        """Return a client at an address."""
        client = UdpClient()
        port = reactor.listenUDP(0, client, host, 8192)
        self.addCleanup(port.stopListening)
        return client

    async def test_a_burst_is_answered(self) -> None:
        """More datagrams at once than one turn takes are all answered; what is kept whole is sent without a look-up."""
        self.serve()
        client = self.client()
        queries = [
            number.to_bytes(2, "big") + question(f"{name}.{ZONE}", "A")[2:]
            for number, name in enumerate(["app", "nothing", "ns1"] * 200)
        ]
        replies = [client.ask(query, self.bound[0]) for query in queries]
        codes = [(await reply)[3] & 15 for reply in replies]
        self.assertEqual(codes, [0, 3, 0] * 200)
        counters = self.server.counters
        self.assertEqual(counters.totals(), {("udp", "A", "NOERROR"): 400, ("udp", "A", "NXDOMAIN"): 200})
        # A miss each for the first question about a name that exists, and for every one about the name that does not.
        self.assertEqual(counters.hits[0], 400 - 2)

    async def test_a_change_is_a_miss(self) -> None:
        """A reply that is kept is sent until its name changes; then it is made anew, and kept again."""
        self.serve()
        client, name = self.client(), f"app.{ZONE}"
        hits = []
        for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2"):
            self.source.change({name: [Record(name, "A", 5, address, "edge1")]})
            await deferLater(reactor, 0)
            reply = dns.message.from_wire(await client.ask(question(name, "A"), self.bound[0]))
            self.assertEqual(str(reply.answer[0][0]), address)
            hits.append(self.server.counters.hits[0])
        self.assertEqual(hits, [0, 1, 1, 2])

    async def test_both_families_are_served(self) -> None:
        """IPv4 and IPv6 beside each other."""
        if not Path("/proc/net/if_inet6").exists():
            raise SkipTest("no IPv6 here")
        self.serve("127.0.0.1:0", "[::1]:0")
        for host, address in (("127.0.0.1", self.bound[0]), ("::1", self.bound[1])):
            reply = dns.message.from_wire(await self.client(host).ask(question(f"app.{ZONE}", "A"), address))
            self.assertEqual(len(reply.answer), 1)

    async def test_a_wildcard_answers_from_the_address_that_was_asked(self) -> None:
        """Bound to every address, replies come from the one that the query went to, or the client drops them."""
        self.serve("0.0.0.0:0", "[::]:0")
        for family, asked, port in (
            (socket.AF_INET, "127.0.0.53", self.bound[0][1]),
            (socket.AF_INET6, "::1", self.bound[1][1]),
        ):
            for name in ("app", "nothing", "app"):
                with socket.socket(family, socket.SOCK_DGRAM) as sock:
                    sock.setblocking(False)
                    sock.connect((asked, port))
                    sock.send(question(f"{name}.{ZONE}", "A"))
                    replies: list[bytes] = []

                    def has_come(sock: socket.socket = sock, replies: list[bytes] = replies) -> bool:
                        with contextlib.suppress(BlockingIOError):
                            replies.append(sock.recv(4096))
                        return bool(replies)

                    await until(has_come)
                    self.assertEqual(replies[0][:2], b"\0\1")

    async def test_a_flood_is_held_while_others_are_answered(self) -> None:
        """A thousand networks asking for more than their rate get their rate; one that asks little gets everything."""
        self.serve(rate_limit=RateLimitSettings(responses_per_second=RATE, slip=0, exempt=[]))
        sockets = []
        for number in range(NETWORKS):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.bind((f"127.{1 + number // 250}.{number % 250}.1", 0))
            self.addCleanup(sock.close)
            sockets.append(sock)
        honest = self.client("127.200.0.1")
        asked = answered = good = 0
        begun = int(MACHINE_WALL_CLOCK.now())
        for turn in range(TURNS):
            for number, sock in enumerate(sockets):
                sock.sendto(question(f"{'app' if number % 2 else f'r{turn}x{number}'}.{ZONE}", "A"), self.bound[0])
                asked += 1
                if number % 100 == 0:
                    await deferLater(reactor, 0)
            if turn % (TURNS // RATE) == 0:
                reply = await honest.ask(turn.to_bytes(2, "big") + question(f"app.{ZONE}", "A")[2:], self.bound[0])
                good += reply[3] & 15 == 0
        windows = int(MACHINE_WALL_CLOCK.now()) - begun + 1
        await self.client("127.201.0.1").ask(question(f"app.{ZONE}", "A"), self.bound[0])  # behind all of the others
        for sock in sockets:
            while True:
                try:
                    sock.recv(4096)
                except BlockingIOError:
                    break
                answered += 1
        self.assertEqual(good, RATE)
        dropped = self.server.counters.dropped[0]
        self.assertEqual(answered + dropped, asked)
        self.assertLessEqual(answered, windows * NETWORKS * RATE)  # each window adds a rate at most
        self.assertLess(answered, asked, "the machine is too slow for a flood")
        self.assertGreaterEqual(answered, NETWORKS * RATE)

    async def test_loopback_is_not_limited_by_default(self) -> None:
        """A client on the machine itself is answered at any rate."""
        self.serve()
        client = self.client()
        for number in range(1200):
            await client.ask(number.to_bytes(2, "big") + question(f"app.{ZONE}", "A")[2:], self.bound[0])
        self.assertEqual(self.server.counters.dropped[0], 0)

    async def test_a_fault_outside_of_answering_keeps_the_socket(self) -> None:
        """If counting or logging ever fails, the socket stays open and the next query is answered."""
        self.serve()
        client = self.client()

        def fail(queries: int) -> bool:
            raise RuntimeError("a fault")

        log = self.server._query_log
        is_due = log.is_due
        log.is_due = fail  # type: ignore[method-assign]
        await client.ask(question(f"app.{ZONE}", "A"), self.bound[0])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        log.is_due = is_due  # type: ignore[method-assign]
        await client.ask(question(f"app.{ZONE}", "A"), self.bound[0])

    async def test_a_fault_of_ours_is_logged_and_passed_over(self) -> None:
        """If answering ever fails, the query goes unanswered, the log says so, and the next one is answered."""
        self.serve()
        client = self.client()

        asked: Deferred[None] = Deferred()

        def fail(data: bytes, host: str) -> bytes:
            asked.callback(None)
            raise RuntimeError("a fault")

        respond = self.server._responder.respond
        self.server._responder.respond = fail  # type: ignore[method-assign]
        client.ask(question(f"nothing.{ZONE}", "A"), self.bound[0]).addErrback(lambda _: None)
        await asked
        await deferLater(reactor, 0)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.server._responder.respond = respond  # type: ignore[method-assign]
        await client.ask(question(f"nothing.{ZONE}", "A"), self.bound[0])
