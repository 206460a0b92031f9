"""Tests for `warp_twisted.edge.firewall_bans`; the helper's own are `tests.roles.test_firewall_bans`."""

from time import process_time

from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Connection
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure

from tests.case import AsyncTestCase, reactor, until
from tests.roles.tree import ROOT, load
from warp_twisted.edge import firewall_bans as module
from warp_twisted.edge.firewall_bans import FirewallBans
from warp_twisted.edge.policy.banning import Banning
from warp_twisted.policy.bans import MAX_BANS, Ban
from warp_twisted.policy.sources.prefixes import PrefixSet

helper = load(ROOT / "roles/warp_firewall/files/warp_firewall_bans.py")


class Listening(Protocol):
    """A helper that remembers what it was told, and reads only if it is to."""

    transport: Connection

    def __init__(self, reads: bool) -> None:
        self._reads = reads
        self._waiting = b""
        self.begun = 0
        self.banned: dict[str, int] = {}
        self.is_lost = False

    def connectionMade(self) -> None:
        if not self._reads:
            self.transport.pauseProducing()

    def connectionLost(self, reason: Failure = Failure(ConnectionError())) -> None:  # noqa: B008 -- as of Protocol
        self.is_lost = True

    def dataReceived(self, data: bytes) -> None:
        self._waiting += data
        size = helper.RECORD.size
        while len(self._waiting) >= size:
            operation, network, seconds = helper.read_record(self._waiting[:size])
            self._waiting = self._waiting[size:]
            if operation == helper.BEGIN:
                self.begun += 1
                self.banned = {}
            elif operation == helper.BAN:
                self.banned[network] = seconds
            else:
                self.banned.pop(network, None)


class FirewallBansTests(AsyncTestCase):
    """`FirewallBans`, before a helper on a real socket."""

    timeout = 30

    async def prepare(self) -> None:
        self.path = self.mktemp()
        self.helpers: list[Listening] = []
        self.banning = Banning(reactor.seconds)
        self.edges = ["192.0.2.1", "2001:db8:e::1"]
        self.bans = FirewallBans(self.banning, lambda: self.edges, reactor)
        self.addCleanup(self.bans.stop)
        self.patch(module, "LOOK_SECONDS", 0.02)
        self.bans._retry_seconds = 0.02
        self.logged = self.enterContext(capturedLogs())

    def warnings(self) -> int:
        """Return how many warnings were logged."""
        return sum(event.get("log_level") is LogLevel.warn for event in self.logged)

    def listen(self, reads: bool = True) -> IListeningPort:
        """Begin to listen at the path."""

        def make() -> Listening:
            self.helpers.append(Listening(reads))
            return self.helpers[-1]

        port = reactor.listenUNIX(self.path, Factory.forProtocol(make))
        self.addCleanup(port.stopListening)
        return port

    def ban(self, *networks: str) -> None:
        """Ban networks for 100 s."""
        for network in networks:
            self.banning.add(network, 100.0, "test")

    async def told(self, *networks: str) -> None:
        """Wait until the newest helper has been told of exactly these."""
        await until(lambda: bool(self.helpers) and set(self.helpers[-1].banned) == set(networks))

    async def test_told(self) -> None:
        """Who is banned already is told at the beginning, then who is banned and let in."""
        self.listen()
        self.ban("203.0.113.9")
        self.bans.follow(self.path)
        await self.told("203.0.113.9")
        self.ban("203.0.113.10", "2001:db8::7")
        await self.told("203.0.113.9", "203.0.113.10", "2001:db8::")
        self.assertTrue(98 < self.helpers[-1].banned["2001:db8::"] <= 100)
        self.banning.remove("203.0.113.9")
        await self.told("203.0.113.10", "2001:db8::")
        self.assertEqual((len(self.helpers), self.helpers[0].begun), (1, 1))

    async def test_who_is_spared(self) -> None:
        """A network in which somebody is never banned is not told, and is taken out once that is so."""
        self.listen()
        self.ban("203.0.113.9", "203.0.113.10", "2001:db8:1::7", "2001:db8:2::7", "2001:db8:3::7")
        self.banning.proxies = PrefixSet.of(["2001:db8:1::1"])
        self.bans.follow(self.path)
        await self.told("203.0.113.9", "203.0.113.10", "2001:db8:2::", "2001:db8:3::")
        self.banning.use(None, PrefixSet.of(["2001:db8:2:0:1::/80", "203.0.113.10"]))
        await self.told("203.0.113.9", "2001:db8:3::")
        self.edges.append("2001:db8:3::99")
        await self.told("203.0.113.9")
        self.edges.append("203.0.113.9")
        await self.told()
        self.assertEqual(len(self.helpers), 1)

    async def test_away(self) -> None:
        """A helper that is not there is said once and tried again; one that went is told all again."""
        self.ban("203.0.113.9")
        self.bans.follow(self.path)
        await until(lambda: self.warnings() > 0)
        self.listen()
        await self.told("203.0.113.9")
        self.bans._retry_seconds = 0.02
        self.helpers[0].transport.abortConnection()
        await until(lambda: len(self.helpers) == 2)
        await self.told("203.0.113.9")
        self.assertEqual(self.warnings(), 2)

    async def test_another_path(self) -> None:
        """With another path the first helper is left, with none nobody is told, and nothing is counted."""
        self.listen()
        self.bans.follow(self.path)
        await until(lambda: bool(self.helpers))
        self.assertEqual([family.samples[0].value for family in self.bans.collect()], [1.0])
        self.bans.follow(None)
        await until(lambda: self.helpers[0].is_lost)
        self.ban("203.0.113.9")
        self.assertEqual(list(self.bans.collect()), [])
        self.assertEqual(self.warnings(), 0)

    async def test_a_helper_that_does_not_read(self) -> None:
        """
        A helper that takes nothing costs memory for names of networks only, a bounded number, and no turn.

        When it reads again, it is told what is so then.
        """
        self.listen(reads=False)
        self.bans.follow(self.path)
        await until(lambda: bool(self.helpers) and self.bans._connection is not None)
        now = reactor.seconds()
        for number in range(MAX_BANS):
            network = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
            self.banning.bans.add(network, Ban(until=now + 100.0, reason="test"), now)
            self.bans._note(network)
        for number in range(1_000):
            self.bans._note(f"11.0.{number >> 8}.{number & 255}")
            self.assertLessEqual(len(self.bans._changed), MAX_BANS)
        began = process_time()
        self.bans.next_records()
        self.assertLess(process_time() - began, 0.02)
        self.helpers[0].transport.resumeProducing()
        await until(lambda: len(self.helpers[0].banned) == MAX_BANS)
