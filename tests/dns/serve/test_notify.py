"""Tests of `warp_dns.serve.notify` with a clock and a network that the test plays."""

import dns.flags
import dns.message
import dns.opcode
import dns.tsig
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import Events, wire, zone_of
from warp_base.reactor import as_reactor
from warp_dns.message.records import RRset
from warp_dns.serve import notify
from warp_dns.serve.notify import ATTEMPTS, PAUSE_SECONDS, Notifier

ADDRESS = ("192.0.2.9", 53)
KEY = dns.tsig.Key("k.", bytes(range(32)), "hmac-sha256.")


class Port:
    """A UDP port that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.is_open = True

    def write(self, data: bytes, address: tuple[str, int]) -> None:
        """Keep a datagram."""
        assert address == ADDRESS
        self.sent.append(data)

    def stopListening(self) -> None:
        """Close."""
        self.is_open = False


class Network(Clock):
    """A clock that opens ports."""

    def __init__(self) -> None:
        super().__init__()
        self.port = Port()
        self.interface = ""

    def listenUDP(self, port: int, protocol: object, interface: str, maxPacketSize: int) -> Port:
        """Open the one port."""
        self.interface = interface
        return self.port


def soa(serial: int) -> RRset:
    """Return an SOA."""
    return zone_of("").changed({}, serial).zone.soa


class NotifierTests(SynchronousTestCase):
    """Telling one secondary."""

    def make(self, key: dns.tsig.Key | None = None) -> None:
        """Make a notifier on a network of ours."""
        self.network = Network()
        self.events = Events()
        self.patch(Notifier, "_log", Logger(observer=self.events))
        self.notifier = Notifier(as_reactor(self.network), wire("example.org"), *ADDRESS, key=key)
        self.notifier.start(["2001:db8::1", "192.0.2.1"])

    def setUp(self) -> None:
        """Make one without a key."""
        self.make()

    def serials(self) -> list[int]:
        """Return the serial of each notice that was sent."""
        return [dns.message.from_wire(data, keyring=False).answer[0][0].serial for data in self.network.port.sent]

    def acknowledge(self, *, rcode: int = 0, address: tuple[str, int] = ADDRESS) -> None:
        """Answer the last notice."""
        message = dns.message.from_wire(self.network.port.sent[-1])
        reply = dns.message.make_response(message)
        reply.set_rcode(dns.rcode.Rcode(rcode))
        data = reply.to_wire()
        assert isinstance(data, bytes)
        self.notifier.datagramReceived(data, address)

    def test_a_notice_is_what_the_rfc_says(self) -> None:
        """Opcode NOTIFY with AA, the question is the zone's SOA, the answer the new one (RFC 1996 §3.7)."""
        self.notifier.tell(soa(8))
        [data] = self.network.port.sent
        message = dns.message.from_wire(data)
        self.assertEqual((message.opcode(), message.flags & 0x7FF), (dns.opcode.NOTIFY, dns.flags.AA))
        self.assertEqual(str(message.question[0]), "example.org. IN SOA")
        self.assertEqual(self.serials(), [8])
        self.assertEqual(self.network.interface, "192.0.2.1")

    def test_it_is_sent_again_until_acknowledged(self) -> None:
        """Waits double, and end with an acknowledgement."""
        self.notifier.tell(soa(8))
        self.network.pump([1.0, 1.0, 1.0])
        self.assertEqual(len(self.network.port.sent), 3)
        self.assertEqual(len(set(self.network.port.sent)), 1)
        self.acknowledge()
        self.network.advance(1000)
        self.assertEqual(len(self.network.port.sent), 3)

    def test_it_gives_up_with_a_word(self) -> None:
        """After so many attempts there is a warning, and the next change begins anew."""
        self.notifier.tell(soa(8))
        self.network.pump([2.0**n for n in range(ATTEMPTS + 2)])
        self.assertEqual(len(self.network.port.sent), ATTEMPTS)
        [event] = self.events
        self.assertEqual((event["host"], event["zone"]), (ADDRESS[0], "example.org"))
        self.notifier.tell(soa(9))
        self.assertEqual(self.serials()[-1], 9)

    def test_changes_meanwhile_are_one_notice(self) -> None:
        """What changes while a notice is under way is told by one after it, the latest serial only."""
        for serial in range(8, 20):
            self.notifier.tell(soa(serial))
        self.assertEqual(self.serials(), [8])
        self.acknowledge()
        self.notifier.tell(soa(20))
        self.assertEqual(self.serials(), [8])
        self.network.advance(PAUSE_SECONDS)
        self.assertEqual(self.serials(), [8, 20])

    def test_a_later_serial_replaces_another_attempt(self) -> None:
        """When a notice is lost, the next attempt is already about what is new."""
        self.notifier.tell(soa(8))
        self.notifier.tell(soa(9))
        self.network.advance(1.0)
        self.assertEqual(self.serials(), [8, 9])

    def test_only_the_secondary_can_acknowledge(self) -> None:
        """Other addresses, other ids, queries, scraps, and what is too large to be one, count for nothing."""
        self.notifier.tell(soa(8))
        self.acknowledge(address=("192.0.2.66", 53))
        sent = self.network.port.sent[0]
        large = sent[:2] + b"\xa4" + sent[3:] + bytes(notify.MAX_ACKNOWLEDGEMENT_BYTES)
        for data in (b"", sent, large, bytes(2) + sent[2:], sent[:2] + b"\x80" + sent[3:], sent[:11]):
            self.notifier.datagramReceived(data, ADDRESS)
        self.network.advance(1.0)
        self.assertEqual(len(self.network.port.sent), 2)

    def test_a_refusal_is_told(self) -> None:
        """A secondary that will not have the zone is named in the log, and not asked again."""
        self.notifier.tell(soa(8))
        self.acknowledge(rcode=5)
        self.network.advance(1000)
        self.assertEqual([event["rcode"] for event in self.events], [5])
        self.assertEqual(len(self.network.port.sent), 1)

    def test_with_a_key_both_ways_are_signed(self) -> None:
        """A notice is signed, and only a signed acknowledgement of it counts."""
        self.make(KEY)
        self.notifier.tell(soa(8))
        message = dns.message.from_wire(self.network.port.sent[0], keyring={KEY.name: KEY})
        self.assertTrue(message.had_tsig)
        unsigned = dns.message.make_response(message, tsig_error=0)
        unsigned.tsig = None
        data = unsigned.to_wire()
        assert isinstance(data, bytes)
        self.notifier.datagramReceived(data[:11] + b"\0" if len(data) == 12 else data, ADDRESS)
        self.network.advance(1.0)
        self.assertEqual(len(self.network.port.sent), 2)
        reply = dns.message.make_response(message)
        signed = reply.to_wire()
        assert isinstance(signed, bytes)
        self.notifier.datagramReceived(signed, ADDRESS)
        self.network.advance(1000)
        self.assertEqual(len(self.network.port.sent), 2)

    def test_it_can_be_stopped(self) -> None:
        """Nothing is sent afterwards, and the port is closed."""
        self.notifier.tell(soa(8))
        self.notifier.stop()
        self.network.advance(1000)
        self.assertEqual(len(self.network.port.sent), 1)
        self.assertFalse(self.network.port.is_open)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_limits_have_precedents(self) -> None:
        """Attempts are those of RFC 1996 §3.6."""
        self.assertEqual(notify.ATTEMPTS, 5)
