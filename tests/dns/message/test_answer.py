"""Tests of `warp_dns.message.answer`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_dns.message.answer import Answer, Order
from warp_dns.message.codes import NOERROR


def order(*edges: str, last_resort: tuple[str, ...] = ()) -> Order:
    """Return an order of edges."""
    made = Order(edges)
    made.last_resort = frozenset(last_resort)
    return made


class OrderTests(SynchronousTestCase):
    """Which edges are named, and in which order."""

    def test_best_first(self) -> None:
        """The edges of an RRset are arranged as the order has them."""
        self.assertEqual(order("b", "a", "c").arrange(["a", "b", "c"]), [1, 0, 2])

    def test_unknown_edges_come_last(self) -> None:
        """Edges that the order does not have, and records of no edge, keep their own order behind the others."""
        self.assertEqual(order("b").arrange(["x", "", "b", "y"]), [2, 0, 1, 3])

    def test_draining_edges_are_a_last_resort(self) -> None:
        """An edge that drains is named only when no other is left, so that there is never no answer."""
        self.assertEqual(order("a", "b", last_resort=("a",)).arrange(["a", "b"]), [1])
        self.assertEqual(order("a", "b", last_resort=("a", "b")).arrange(["b", "a"]), [1, 0])
        self.assertEqual(order(last_resort=("a",)).arrange(["a"]), [0])


class AnswerTests(SynchronousTestCase):
    """The sections."""

    def test_answers_share_nothing(self) -> None:
        """A new answer says NOERROR with authority, and its sections are its own."""
        one, other = Answer(), Answer()
        one.looked_at.add(b"x")
        self.assertEqual((one.rcode, one.is_authoritative, other.looked_at, other.answer), (NOERROR, True, set(), []))
