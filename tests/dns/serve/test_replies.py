"""Tests of `warp_dns.serve.replies`."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import edns_option, question
from warp_dns.message.answer import Order
from warp_dns.message.query import read_query
from warp_dns.message.wire import Compiled, Validity
from warp_dns.serve.metrics import Cell
from warp_dns.serve.replies import KeptReplies, may_come_again

COUNT: Cell = [0]


def compiled(validity: Validity | None = None) -> Compiled:
    """Return an answer without records."""
    return Compiled((0, 0), bytes(6), b"", 0, 0, counted_as=b"k", validity=validity or Validity())


class KeptRepliesTests(SynchronousTestCase):
    """The table."""

    def setUp(self) -> None:
        self.discarded: list[dict[Any, Any]] = []
        self.replies = KeptReplies(self.discarded.append, most=3)

    def test_a_reply_for_everybody(self) -> None:
        """A reply is found by the query's bytes, with what it is counted by and whether it still holds."""
        answer = compiled()
        self.replies.keep(b"q", answer, COUNT, None, b"reply")
        kept = self.replies.by_query[b"q"]
        self.assertEqual((kept.whole, kept.placed, kept.counted_as), (b"reply", None, b"k"))
        self.assertIs(kept.validity, answer.validity)
        self.assertIs(kept.count, COUNT)

    def test_replies_by_place(self) -> None:
        """Replies that name edges are kept for each order of them, as long as the answer is the same."""
        near, far, answer = Order(("a", "b")), Order(("b", "a")), compiled()
        self.replies.keep(b"q", answer, COUNT, near, b"1")
        self.replies.keep(b"q", answer, COUNT, far, b"2")
        self.assertEqual(self.replies.by_query[b"q"].placed, {near: b"1", far: b"2"})
        self.replies.keep(b"q", compiled(), COUNT, near, b"3")
        self.assertEqual(self.replies.by_query[b"q"].placed, {near: b"3"})

    def test_the_table_is_bounded(self) -> None:
        """A full table is handed over to be let go of, and a new one begun; what is in it may still be replaced."""
        for key in (b"1", b"2", b"3", b"3"):
            self.replies.keep(key, compiled(), COUNT, None, b"x")
        self.assertEqual((len(self.replies.by_query), self.discarded), (3, []))
        self.replies.keep(b"4", compiled(), COUNT, None, b"x")
        self.assertEqual(list(self.replies.by_query), [b"4"])
        self.assertEqual([sorted(each) for each in self.discarded], [[b"1", b"2", b"3"]])


class MayComeAgainTests(SynchronousTestCase):
    """Which replies are worth keeping."""

    def test_what_comes_again(self) -> None:
        """Plain queries do, with EDNS or without; 0x20, cookies, subnets and NSID make queries that come once."""
        nsid, cookie = edns_option(3, b""), edns_option(10, bytes(8))
        subnet = edns_option(8, b"\0\1\x18\0\xc6\x33\x64")
        for data, again in (
            (question("app.example.org", "A"), True),
            (question("app.example.org", "A", use_edns=0), True),
            (question("aPp.Example.org", "A"), False),
            (question("app.example.org", "A", use_edns=0, options=[nsid]), False),
            (question("app.example.org", "A", use_edns=0, options=[cookie]), False),
            (question("app.example.org", "A", use_edns=0, options=[subnet]), False),
        ):
            self.assertEqual(may_come_again(read_query(data)), again, data)
