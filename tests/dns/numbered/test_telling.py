"""Tests of what an edge is told of the numbered zone: a snapshot, then what changed, however slowly it reads."""

from twisted.trial.unittest import SynchronousTestCase

from tests.dns.numbered.pair import Pair
from tests.dns.zone.test_numbering import Server
from warp_dns.numbered import telling as module
from warp_dns.numbered.telling import ZoneTeller


class TellerTests(SynchronousTestCase):
    """One edge that is told."""

    def setUp(self) -> None:
        self.pair = Pair()

    def test_nothing_to_tell(self) -> None:
        """Nothing is told before something was numbered."""
        self.assertIsNone(ZoneTeller(Server().numbering).next_piece())

    def test_snapshot_and_changes(self) -> None:
        """All that there is, then each change at its serial; nothing twice."""
        self.pair.teller.publish("a.example.org", "192.0.2.1")
        self.pair.pass_all()
        self.assertEqual(self.pair.serials(), (101, 101))
        self.pair.teller.publish("b.example.org", "192.0.2.2")
        self.pair.pass_all()
        self.pair.teller.publish("a.example.org")
        self.assertGreater(self.pair.pass_all(), 0)
        self.assertEqual(self.pair.pass_all(), 0)
        self.assertEqual(self.pair.serials(), (103, 103))
        self.pair.check(self)
        self.assertEqual(len(self.pair.hearer.numbering.journal.since(101, 103) or ()), 2)

    def test_slow_edge(self) -> None:
        """For an edge that does not read, changes are noted by name and told once, at the serial of that moment."""
        self.pair.pass_all()
        for number in range(500):
            self.pair.teller.publish(f"a{number % 5}.example.org", f"192.0.2.{number % 250 + 1}")
        self.assertLess(self.pair.pass_all(), 2000)
        self.assertEqual(self.pair.serials(), (600, 600))
        self.pair.check(self)

    def test_snapshot_that_changes_meanwhile(self) -> None:
        """What changes while a snapshot is told follows it."""
        for number in range(300):
            self.pair.teller.publish(f"a{number}.example.org", "192.0.2.1")
        self.pair.pass_some(2)
        self.pair.teller.publish("a1.example.org", "192.0.2.2")
        self.pair.teller.publish("new.example.org", "192.0.2.3")
        self.pair.pass_all()
        self.assertEqual(self.pair.serials(), (402, 402))
        self.pair.check(self)

    def test_too_many_changes(self) -> None:
        """Beyond a bound of names a new snapshot is told."""
        self.patch(module, "MAX_NAMES", 10)
        self.pair.pass_all()
        for number in range(30):
            self.pair.teller.publish(f"a{number}.example.org", "192.0.2.1")
        self.pair.pass_all()
        self.assertEqual(self.pair.serials(), (130, 130))
        self.pair.check(self)

    def test_another_content(self) -> None:
        """When what is numbered has nothing in common with before, all is told again."""
        self.pair.pass_all()
        self.pair.teller.numbering.begin(500, 600)
        self.pair.pass_all()
        self.assertEqual(self.pair.serials(), (500, 500))
        self.pair.check(self)

    def test_pieces(self) -> None:
        """A large message is cut into pieces."""
        self.patch(module, "PIECE_BYTES", 100)
        for number in range(100):
            self.pair.teller.publish(f"a{number}.example.org", "192.0.2.1")
        self.assertGreater(self.pair.pass_all(), 2000)
        self.pair.check(self)
