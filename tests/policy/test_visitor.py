"""Tests of `policy.visitor`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.visitor import MAX_REMEMBERED, Visitor


class Asked:
    """A set of addresses that counts how often it is asked."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.count = 0

    def __contains__(self, address: str, /) -> bool:
        self.count += 1
        return address in self.addresses


class VisitorTests(SynchronousTestCase):
    """Which lists hold an address."""

    def test_a_list_is_asked_once(self) -> None:
        """What a set said is remembered for the connection, under the set's number."""
        visitor = Visitor("192.0.2.1", "192.0.2.1")
        holds, other = Asked("192.0.2.1"), Asked("192.0.2.2")
        self.assertEqual([visitor.is_in(1, holds) for _ in range(3)], [True] * 3)
        self.assertEqual([visitor.is_in(2, other) for _ in range(3)], [False] * 3)
        self.assertEqual((holds.count, other.count), (1, 1))

    def test_bound(self) -> None:
        """A connection that sees ever new policies forgets what old ones said."""
        visitor = Visitor("192.0.2.1", "192.0.2.1")
        addresses = Asked()
        for number in range(MAX_REMEMBERED + 1):
            visitor.is_in(number, addresses)
        visitor.is_in(0, addresses)
        self.assertEqual(addresses.count, MAX_REMEMBERED + 2)
