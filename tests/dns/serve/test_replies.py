"""Tests of `warp_dns.serve.replies`."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import edns_option, question
from warp_dns.message.answer import Order
from warp_dns.message.query import read_query
from warp_dns.message.wire import Compiled
from warp_dns.serve.replies import KeptReplies, may_come_again


def answer() -> Compiled:
    """Return a compiled answer."""
    return Compiled((0x84, 0), bytes(6), b"", 0, 0, counted_as=b"ax")


class KeptRepliesTests(SynchronousTestCase):
    """The table of whole replies."""

    def setUp(self) -> None:
        """Make one for four replies, whose old tables are kept."""
        self.discarded: list[dict[Any, Any]] = []
        self.replies = KeptReplies(self.discarded.append, most=4)

    def test_a_reply_is_kept_with_what_it_depends_on(self) -> None:
        """Its bytes, its count, its kind, and whether it is still true."""
        made, count = answer(), [0]
        self.replies.keep(b"q", made, count, None, b"reply")
        kept = self.replies.by_query[b"q"]
        self.assertEqual((kept.whole, kept.counted_as, kept.placed), (b"reply", b"ax", None))
        self.assertIs(kept.count, count)
        made.validity.holds = False
        self.assertFalse(kept.validity.holds)

    def test_each_order_of_edges_has_its_reply(self) -> None:
        """A reply that depends on where the client is has one form for each order, until its answer is another."""
        near, far, made = Order(("e1",)), Order(("e2",)), answer()
        self.replies.keep(b"q", made, [0], near, b"near")
        self.replies.keep(b"q", made, [0], far, b"far")
        self.assertEqual(self.replies.by_query[b"q"].placed, {near: b"near", far: b"far"})
        self.replies.keep(b"q", answer(), [0], far, b"new")
        self.assertEqual(self.replies.by_query[b"q"].placed, {far: b"new"})

    def test_their_number_is_bounded(self) -> None:
        """A full table is begun anew, and the old one is handed on to be emptied."""
        for number in range(6):
            self.replies.keep(bytes([number]), answer(), [0], None, b"reply")
        self.assertEqual(sorted(self.replies.by_query), [b"\4", b"\5"])
        self.assertEqual([len(table) for table in self.discarded], [4])
        self.replies.keep(b"\4", answer(), [0], None, b"again")
        self.assertEqual(len(self.replies.by_query), 2)

    def test_what_comes_once_is_not_kept(self) -> None:
        """Mixed case, cookies, subnets and NSID make queries that hardly come again."""
        self.assertTrue(may_come_again(read_query(question("app.example.org", "A"))))
        self.assertTrue(may_come_again(read_query(question("app.example.org", "A", use_edns=0))))
        for data in (
            question("App.example.org", "A"),
            question("app.example.org", "A", use_edns=0, options=[edns_option(10, b"12345678")]),
            question("app.example.org", "A", use_edns=0, options=[edns_option(8, b"\0\1\x18\0\1\2\3")]),
            question("app.example.org", "A", use_edns=0, options=[edns_option(3, b"")]),
        ):
            self.assertFalse(may_come_again(read_query(data)))
