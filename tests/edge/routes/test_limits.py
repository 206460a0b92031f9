"""Tests of the connection counts and of what counts as one visitor."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.refusals import TOO_MANY_CONNECTIONS, TOO_MANY_FROM_ADDRESS
from warp_twisted.edge.routes.limits import ConnectionCounts, VisitorLimits, network_of, plain_address


class CountTests(SynchronousTestCase):
    """How many connections there may be."""

    def test_per_address(self) -> None:
        """An address has its own limit; others are not touched by it."""
        counts = ConnectionCounts(VisitorLimits(connections=10, connections_per_address=2))
        self.assertIsNone(counts.admit("192.0.2.1"))
        self.assertIsNone(counts.admit("192.0.2.1"))
        self.assertIs(counts.admit("192.0.2.1"), TOO_MANY_FROM_ADDRESS)
        self.assertIsNone(counts.admit("192.0.2.2"))
        counts.release("192.0.2.1")
        self.assertIsNone(counts.admit("192.0.2.1"))
        self.assertEqual(counts.total, 3)

    def test_ipv6_network(self) -> None:
        """A visitor owns a whole /64, so its addresses count as one."""
        counts = ConnectionCounts(VisitorLimits(connections_per_address=1))
        self.assertIsNone(counts.admit("2001:db8:0:1::1"))
        self.assertIs(counts.admit("2001:db8:0:1:ffff::2"), TOO_MANY_FROM_ADDRESS)
        self.assertIsNone(counts.admit("2001:db8:0:2::1"))

    def test_in_all(self) -> None:
        """The limit of all connections changes with the limits; one that takes another's place is let in above it."""
        counts = ConnectionCounts(VisitorLimits(connections=1, connections_per_address=1))
        self.assertIsNone(counts.admit("192.0.2.1"))
        self.assertIs(counts.admit("192.0.2.2"), TOO_MANY_CONNECTIONS)
        self.assertIs(counts.admit("192.0.2.1", is_exchanged=True), TOO_MANY_FROM_ADDRESS)
        self.assertIsNone(counts.admit("192.0.2.2", is_exchanged=True))
        self.assertEqual(counts.total, 2)
        counts.release("192.0.2.2")
        counts.limits = VisitorLimits(connections=2)
        self.assertIsNone(counts.admit("192.0.2.2"))

    def test_who_is_not_limited(self) -> None:
        """An address that stands for many may have more connections than one, but not more than there may be in all."""
        counts = ConnectionCounts(VisitorLimits(connections=3, connections_per_address=1))
        for _ in range(3):
            self.assertIsNone(counts.admit("192.0.2.1", is_limited=False))
        self.assertIs(counts.admit("192.0.2.1", is_limited=False), TOO_MANY_CONNECTIONS)
        for _ in range(3):
            counts.release("192.0.2.1")
        self.assertEqual((counts.total, counts._by_network), (0, {}))

    def test_nothing_is_left(self) -> None:
        """An address whose connections are gone is not remembered."""
        counts = ConnectionCounts(VisitorLimits())
        counts.admit("192.0.2.1")
        counts.release("192.0.2.1")
        self.assertEqual((counts.total, counts._by_network), (0, {}))


class AddressTests(SynchronousTestCase):
    """Forms of addresses."""

    def test_plain(self) -> None:
        """Zones are cut off, and IPv4 in IPv6 is IPv4."""
        for address, plain in (
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("fe80::1%eth0", "fe80::1"),
            ("2001:DB8::1", "2001:db8::1"),
            ("", ""),
        ):
            self.assertEqual(plain_address(address), plain)

    def test_network(self) -> None:
        """IPv4 addresses stand for themselves, IPv6 addresses for their /64."""
        self.assertEqual(network_of("192.0.2.1"), "192.0.2.1")
        self.assertEqual(network_of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::")
