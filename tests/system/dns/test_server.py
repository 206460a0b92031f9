"""The in-process server on loopback sockets."""

from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from dns import flags, message, query, rcode, rdatatype
from tests.case import AsyncTestCase, reactor
from tests.dns.helpers import Events
from warp_dns import DnsServer, FixedSource, ListenFailed, NotifySettings, Record, ServedZone, ZoneSettings
from warp_dns.serve.followed import FollowedZone

ZONE = ZoneSettings(name="warp.example", nameservers={"ns1.warp.example": ["192.0.2.53"]})
NOBODY = NotifySettings(address="192.0.2.7")


def address(name: str, rdata: str) -> Record:
    """Return an address record."""
    return Record(name=name, type="A", ttl=30, rdata=rdata)


class DnsServerTests(AsyncTestCase):
    """`DnsServer` bound to free ports."""

    async def prepare(self) -> None:
        """Serve one zone with one live name."""
        self.source = FixedSource({"app.warp.example": [address("app.warp.example", "192.0.2.1")]})
        self.server = DnsServer(reactor, [ServedZone(ZONE, self.source)])
        self.addCleanup(self.server.stop)
        [(self.host, self.port)] = self.server.start(["127.0.0.1:0"])

    async def ask(self, name: str, rdtype: str, *, tcp: bool = False) -> message.Message:
        """Ask the server from a thread."""
        question = message.make_query(name, rdtype)
        transport = query.tcp if tcp else query.udp
        return await deferToThread(transport, question, self.host, timeout=5, port=self.port)

    async def test_answers_on_both_transports(self) -> None:
        """A live name is answered with authority over UDP and over TCP of the same port."""
        for tcp in (False, True):
            reply = await self.ask("app.warp.example", "A", tcp=tcp)
            self.assertTrue(reply.flags & flags.AA)
            self.assertEqual([str(rdata) for rdata in reply.answer[0]], ["192.0.2.1"])

    async def test_a_change_is_answered_at_the_next_serial(self) -> None:
        """A name that was denied is answered as soon as its source publishes it, and the serial grew by one."""
        self.assertEqual((await self.ask("new.warp.example", "A")).rcode(), rcode.NXDOMAIN)
        serial = self.server.serial("warp.example")
        self.source.change({"new.warp.example": [address("new.warp.example", "192.0.2.2")]})
        self.source.change({"app.warp.example": []})
        self.assertEqual((await self.ask("new.warp.example", "A")).rcode(), rcode.NOERROR)
        self.assertEqual((await self.ask("app.warp.example", "A")).rcode(), rcode.NXDOMAIN)
        self.assertEqual(self.server.serial("warp.example"), serial + 1)

    async def test_one_after_the_other(self) -> None:
        """Two servers share their addresses; whichever pauses leaves them to the other, and may come back."""
        first, second = (DnsServer(reactor, [ServedZone(ZONE, self.source)], is_shared=True) for _ in range(2))
        for server in (first, second):
            self.addCleanup(server.stop)
        bound = first.start(["127.0.0.1:0"])
        [(_, self.port)] = bound
        self.assertEqual(second.start([f"127.0.0.1:{self.port}"]), bound)
        for paused, other in ((first, second), (second, first)):
            await paused.pause()
            self.assertEqual((paused.is_ready, other.is_ready), (False, True))
            for tcp in (False, True):
                self.assertEqual((await self.ask("app.warp.example", "A", tcp=tcp)).rcode(), rcode.NOERROR)
            paused.go_on(bound)
            self.assertTrue(paused.is_ready)

    async def test_negative_answers_hold_the_soa(self) -> None:
        """A name that exists without the type asked for gets the SOA with the negative TTL."""
        reply = await self.ask("app.warp.example", "AAAA")
        self.assertEqual(reply.rcode(), rcode.NOERROR)
        self.assertEqual(reply.authority[0].rdtype, rdatatype.SOA)
        self.assertEqual(reply.authority[0].ttl, ZONE.negative_ttl)

    async def test_a_secondary_that_cannot_be_told(self) -> None:
        """Without an address to send notices from it is named and left out; the zone is served."""
        events = Events()
        self.patch(FollowedZone, "_log", Logger(observer=events))
        servers = {"ns1.other.example": ["192.0.2.53"]}
        served = ServedZone(ZoneSettings(name="other.example", nameservers=servers, notify=[NOBODY]))
        zones = self.server._zones
        zones._hosts = ["192.0.2.77"]  # which this machine has not
        self.server.replace_zones([served])
        self.assertEqual([event["host"] for event in events], [NOBODY.address])
        self.assertEqual((await self.ask("other.example", "SOA")).rcode(), rcode.NOERROR)

    def test_an_address_in_use_is_named(self) -> None:
        """Starting on a port that another server holds is refused with the address, and binds nothing."""
        other = DnsServer(reactor, [ServedZone(ZONE)])
        with self.assertRaisesRegex(ListenFailed, f"127.0.0.1 port {self.port}"):
            other.start(["127.0.0.1:0", f"127.0.0.1:{self.port}"])
        self.assertFalse(other.is_ready)
