"""Tests of serials that are given here within a range, or elsewhere: what is answered, and what is transferred."""

from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import static
from warp_dns.message import names
from warp_dns.zone.data import Change, Zone
from warp_dns.zone.journal import difference_of
from warp_dns.zone.live import LiveZone
from warp_dns.zone.numbering import UNKNOWN_SERIAL, ZoneNumbering
from warp_dns.zone.source import Record


class Server:
    """A zone that is served with the serials of a numbering."""

    def __init__(self) -> None:
        self.numbering = ZoneNumbering()
        self.numbering.renumber = self.settle
        self.live = LiveZone(static(""), self.numbering.serial)
        self.told: list[Change | None] = []
        self.numbering.subscribe(self.told.append)

    def settle(self) -> None:
        """Serve the serial that is to be told."""
        self.numbering.settle(self.live, None)

    def publish(self, name: str, *addresses: str) -> int:
        """Change a name's addresses; return the serial that is told then."""
        records = [Record(name, "A", 60, address) for address in addresses]
        self.numbering.settle(self.live, self.live.update({name: records}).change)
        return self.live.zone.serial

    def transferred(self, name: str) -> int | None:
        """Return how many addresses of a name are transferred; None while nothing is."""
        zone = self.numbering.zone
        node = zone.get(names.from_text(name)) if zone is not None else None
        return None if zone is None else len(node.rrsets[1].rdatas) if node is not None else 0


class NumberingTests(SynchronousTestCase):
    """One server, which numbers or does not."""

    def setUp(self) -> None:
        self.server = Server()

    def test_nothing_is_known(self) -> None:
        """Before anybody has numbered, answers tell a serial that nobody takes, and nothing is transferred."""
        self.assertEqual(self.server.publish("a.example.org", "192.0.2.1"), UNKNOWN_SERIAL)
        self.assertIn(names.from_text("a.example.org"), self.server.live.zone)
        self.assertIsNone(self.server.transferred("a.example.org"))

    def test_numbered_here(self) -> None:
        """Each change has the next serial, from the range's first on, and is transferred with what it differs in."""
        self.server.numbering.begin(100, 200)
        self.assertEqual(self.server.live.zone.serial, 100)
        self.assertEqual(self.server.publish("a.example.org", "192.0.2.1"), 101)
        self.assertEqual(self.server.publish("a.example.org", "192.0.2.1", "192.0.2.2"), 102)
        self.assertEqual(self.server.transferred("a.example.org"), 2)
        found = self.server.numbering.journal.since(100, 102)
        assert found is not None
        self.assertEqual([len(each.added) for each in found], [1, 1])
        self.assertEqual(
            [None if change is None else change.zone.serial for change in self.server.told], [None, 101, 102]
        )

    def test_the_range_ends(self) -> None:
        """Past the last serial answers go on; what is transferred stays, until there are more serials."""
        self.server.numbering.begin(100, 101)
        self.assertEqual(self.server.publish("a.example.org", "192.0.2.1"), 101)
        for number in (2, 3):
            self.assertEqual(self.server.publish(f"b{number}.example.org", f"192.0.2.{number}"), 101)
        self.assertTrue(self.server.numbering.is_stuck)
        self.assertIn(names.from_text("b3.example.org"), self.server.live.zone)
        self.assertEqual(self.server.transferred("b3.example.org"), 0)
        self.server.numbering.extend(300)
        self.assertFalse(self.server.numbering.is_stuck)
        self.assertEqual((self.server.live.zone.serial, self.server.transferred("b3.example.org")), (102, 1))
        self.assertEqual(self.server.publish("c.example.org", "192.0.2.4"), 103)

    def test_another_range(self) -> None:
        """Who numbers again begins at the new range, never within the old one."""
        self.server.numbering.begin(100, 200)
        self.server.publish("a.example.org", "192.0.2.1")
        self.server.numbering.end()
        self.assertEqual(self.server.publish("b.example.org", "192.0.2.2"), 101)
        self.assertEqual(self.server.transferred("b.example.org"), 0)
        self.server.numbering.begin(201, 300)
        self.assertEqual((self.server.live.zone.serial, self.server.transferred("b.example.org")), (201, 1))

    def test_made_anew(self) -> None:
        """A zone that is made anew, as by a reload, is another content, so it has the next serial."""
        self.server.numbering.begin(100, 200)
        self.server.live = LiveZone(static("www A 192.0.2.9"), self.server.numbering.serial)
        self.server.numbering.forget_own()
        self.server.settle()
        self.assertEqual((self.server.live.zone.serial, self.server.transferred("www.example.org")), (101, 1))

    def test_a_serial_of_the_file(self) -> None:
        """A serial that a master file offers is none of the range, so it is not told."""
        self.server.numbering.begin(100, 200)
        change = self.server.live.replace_static(static("", head="@ SOA ns h 9999 1 1 1 1\n@ NS ns\nns A 192.0.2.9\n"))
        self.server.numbering.settle(self.server.live, change.change)
        self.assertEqual(self.server.live.zone.serial, 101)


class ElsewhereTests(SynchronousTestCase):
    """Two servers, of which one numbers."""

    def setUp(self) -> None:
        self.first, self.second = Server(), Server()
        self.first.numbering.begin(100, 200)

    def pass_on(self) -> bool:
        """Give the second server what the first has; return whether it was taken."""
        zone = self.first.numbering.zone
        assert zone is not None
        return self.second.numbering.take(zone)

    def pass_on_change(self, before: Zone) -> bool:
        """Give the second server the last change."""
        change = self.first.told[-1]
        assert change is not None
        return self.second.numbering.take_change(change, difference_of(before, change))

    def test_same_serial_same_content(self) -> None:
        """The other server tells the serial and transfers the content, whatever it answers from itself."""
        self.second.publish("own.example.org", "192.0.2.7")
        self.first.publish("a.example.org", "192.0.2.1")
        self.assertTrue(self.pass_on())
        self.assertEqual(self.second.live.zone.serial, 101)
        self.assertEqual(self.second.publish("own.example.org", "192.0.2.8"), 101)
        self.assertEqual((self.second.transferred("a.example.org"), self.second.transferred("own.example.org")), (1, 0))
        self.assertIn(names.from_text("own.example.org"), self.second.live.zone)
        before = self.first.numbering.zone
        assert before is not None
        self.first.publish("a.example.org", "192.0.2.1", "192.0.2.2")
        self.assertTrue(self.pass_on_change(before))
        self.assertEqual((self.second.live.zone.serial, self.second.transferred("a.example.org")), (102, 2))
        self.assertTrue(self.second.numbering.journal.since(101, 102))
        self.assertFalse(self.pass_on_change(before), "it was taken already")

    def test_never_back(self) -> None:
        """What is older than what a server has is not taken, nor anything while it numbers itself."""
        self.first.publish("a.example.org", "192.0.2.1")
        self.pass_on()
        old = LiveZone(static(""), 50).zone
        self.assertFalse(self.second.numbering.take(old))
        self.second.numbering.begin(201, 300)
        self.first.publish("a.example.org", "192.0.2.2")
        self.assertFalse(self.pass_on())
        self.assertEqual(self.second.live.zone.serial, 201)

    def test_the_same_again(self) -> None:
        """A snapshot of the serial that a server has changes nothing, and keeps what secondaries may ask from."""
        self.pass_on()
        journal = self.second.numbering.journal
        self.assertTrue(self.pass_on())
        self.assertIs(self.second.numbering.journal, journal)

    def test_unsubscribed(self) -> None:
        """Who has unsubscribed hears nothing."""
        told: list[object] = []
        self.first.numbering.subscribe(told.append)()
        self.first.publish("a.example.org", "192.0.2.1")
        self.assertEqual(told, [])
