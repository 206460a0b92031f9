"""Tests of `warp_dns.zone.cache`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import wire, zone_of
from warp_dns.message import records
from warp_dns.message.answer import Order
from warp_dns.message.records import RRset
from warp_dns.message.wire import Validity, compile_answer
from warp_dns.zone.cache import MANY_NAMES, AnswerCache
from warp_dns.zone.data import Zone
from warp_dns.zone.lookup import lookup

LABELS = ("a", "b", "*", "c.a", "d.b.a")
TYPES = (records.A, records.TXT, records.CNAME, records.NS, records.DNAME, records.ANY, records.DS)


def data(owner: bytes, rtype: int) -> RRset:
    """Return an RRset of a type with data that makes sense."""
    rdata = {
        records.A: b"\1\2\3\4",
        records.TXT: b"\1x",
        records.CNAME: wire("c.a.example.org"),
        records.NS: wire("a.example.org"),
        records.DNAME: wire("b.example.org"),
    }[rtype]
    return RRset(owner, rtype, 5, (rdata,))


class AnswerCacheTests(SynchronousTestCase):
    """Compiled answers from snapshot to snapshot."""

    def setUp(self) -> None:
        """Make a cache over a small zone, and count how often it is emptied."""
        self.emptied = 0
        self.zone = zone_of("a 5 A 192.0.2.1\nb 5 CNAME a\nm 5 MX 1 a\n*.w 5 A 192.0.2.2\nold 5 DNAME new")
        self.cache = self.make(self.zone)

    def make(self, zone: Zone, limit: int = 100) -> AnswerCache:
        """Return a cache with a limit."""

        def emptied() -> None:
            self.emptied += 1

        return AnswerCache(zone, emptied, dict.clear, limit)

    def change(self, owner: str, *rrsets: RRset) -> None:
        """Change one owner."""
        changes = {wire(owner): {rrset.type: rrset for rrset in rrsets}}
        change = self.cache.zone.changed(changes, self.cache.zone.serial + 1)
        self.cache.advance(change.zone, change.touched)

    def keep(self, name: str, rtype: int) -> Validity:
        """Ask, and return what tells whether a reply made of the answer is still true."""
        compiled = self.cache.find(wire(name), rtype)
        self.assertTrue(compiled.keeps_replies)
        return compiled.validity

    def test_an_answer_is_compiled_once(self) -> None:
        """The same question gets the same object."""
        first = self.cache.find(wire("a.example.org"), records.A)
        self.assertIs(self.cache.find(wire("a.example.org"), records.A), first)

    def test_types_that_are_not_there_share_an_answer(self) -> None:
        """NODATA is one answer for all types, so that types cannot fill the cache."""
        first = self.cache.find(wire("a.example.org"), 65280)
        self.assertIs(self.cache.find(wire("a.example.org"), 65281), first)

    def test_names_that_do_not_exist_share_an_answer(self) -> None:
        """NXDOMAIN is one answer per closest encloser and length, whatever the type; a wildcard's one per type."""
        first = self.cache.find(wire("x1.example.org"), records.A)
        self.assertIs(self.cache.find(wire("x2.example.org"), records.TXT), first)
        self.assertIsNot(self.cache.find(wire("x33.example.org"), records.A), first)
        wild = self.cache.find(wire("y1.w.example.org"), records.A)
        self.assertIs(self.cache.find(wire("y2.w.example.org"), records.A), wild)
        self.assertIsNot(self.cache.find(wire("y2.w.example.org"), records.TXT), wild)

    def test_a_change_makes_stale_what_looked_at_the_name(self) -> None:
        """Aliases of a changed name and those that add its addresses go; others stay."""
        stale = [self.keep(f"{name}.example.org", rtype) for name, rtype in (("a", 1), ("b", 1), ("m", records.MX))]
        true = self.keep("ns1.example.org", records.A)
        self.change("a.example.org", data(wire("a.example.org"), records.A))
        self.assertEqual([each.holds for each in (*stale, true)], [False, False, False, True])
        self.change("new.w.example.org", data(wire("new.w.example.org"), records.A))
        self.assertTrue(true.holds)

    def test_a_new_serial_makes_negative_answers_stale(self) -> None:
        """Whatever holds the SOA goes at each serial, and is made anew when it is asked for."""
        stale = [self.keep("a.example.org", records.TXT), self.keep("example.org", records.SOA)]
        true = self.keep("example.org", records.NS)
        self.change("new.example.org", data(wire("new.example.org"), records.A))
        self.assertEqual([each.holds for each in (*stale, true)], [False, False, True])
        self.assertTrue(self.keep("a.example.org", records.TXT).holds)
        self.assertEqual(len(self.cache), 3)

    def test_a_change_of_many_names_begins_anew(self) -> None:
        """When thousands of names change, all answers go at once, and whoever kept replies is told."""
        self.keep("a.example.org", records.A)
        owners = [wire(f"n{number}.example.org") for number in range(MANY_NAMES + 1)]
        change = self.zone.changed({owner: {records.A: data(owner, records.A)} for owner in owners}, 8)
        self.cache.advance(change.zone, change.touched)
        self.assertEqual((len(self.cache), self.emptied), (0, 1))
        self.assertEqual(self.cache.find(owners[0], records.A).flags[1], 0)

    def test_replies_of_shared_answers_are_not_kept(self) -> None:
        """A name that does not exist comes once; whole replies are for those that do."""
        self.assertFalse(self.cache.find(wire("nothing.example.org"), records.A).keeps_replies)
        self.assertFalse(self.cache.find(wire("x.w.example.org"), records.A).keeps_replies)

    def test_a_substitution_is_not_kept(self) -> None:
        """What a DNAME makes depends on the very name, and is made each time."""
        self.assertFalse(self.cache.find(wire("x.old.example.org"), records.A).keeps_replies)
        self.assertEqual(len(self.cache), 0)

    def test_answers_are_counted_by_what_brought_them_about(self) -> None:
        """Names that can be made up without end count as one, those that exist each for itself."""
        zone = zone_of("a 5 A 192.0.2.1\n*.w 5 A 192.0.2.2\nold 5 DNAME new\nsub 5 NS ns1\nw2 5 TXT x")
        cache = self.make(zone)

        def counted(name: str, rtype: int = records.A) -> bytes:
            return cache.find(wire(f"{name}.example.org"), rtype).counted_as

        for one, other in (("x", "y"), ("x.w", "y.w"), ("x.old", "y.old"), ("x.sub", "y.sub"), ("x", "z.a")):
            self.assertEqual(counted(one), counted(other))
        kinds = [
            counted("a"),
            counted("ns1"),
            counted("a", records.TXT),
            counted("x"),
            counted("x.w"),
            counted("x.sub"),
        ]
        self.assertEqual(len(set(kinds)), len(kinds))

    def test_a_full_cache_is_emptied(self) -> None:
        """At the limit everything goes, and whoever kept replies is told."""
        self.cache = self.make(self.zone, limit=3)
        for length in range(1, 5):
            self.cache.find(wire(f"{'x' * length}.example.org"), records.A)
        self.assertEqual((len(self.cache), self.emptied), (1, 1))

    def test_an_order_of_edges_is_compiled_once(self) -> None:
        """An answer that names several edges has one form for each order."""
        zone = self.zone.changed(
            {wire("e.example.org"): {1: RRset(wire("e.example.org"), 1, 5, (b"\1" * 4, b"\2" * 4), ("e1", "e2"))}}, 8
        ).zone
        cache = self.make(zone)
        compiled = cache.find(wire("e.example.org"), records.A)
        near = Order(("e2", "e1"))
        near.last_resort = frozenset()
        arranged = cache.arranged(compiled, near, 0)
        self.assertIsNot(arranged, compiled)
        self.assertIs(cache.arranged(compiled, near, 0), arranged)
        plain = cache.find(wire("example.org"), records.NS)
        self.assertIs(cache.arranged(plain, near, 0), plain)

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_the_cache_never_lies(self, draw: st.DataObject) -> None:
        """Through any changes, a cached answer is byte for byte what a fresh look-up says."""
        cache = self.make(zone_of(""), limit=10)
        owners = [wire(f"{label}.example.org") for label in LABELS]
        questions = st.tuples(st.sampled_from([*owners, *(b"\1x" + o for o in owners)]), st.sampled_from(TYPES))
        for _ in range(draw.draw(st.integers(1, 8))):
            for qname, qtype in draw.draw(st.lists(questions, max_size=6)):
                fresh = compile_answer(lookup(cache.zone, qname, qtype), qname)
                found = cache.find(qname, qtype)
                self.assertEqual((found.flags, found.counts, found.body), (fresh.flags, fresh.counts, fresh.body))
            owner = draw.draw(st.sampled_from(owners))
            rtype = draw.draw(st.sampled_from([0, records.A, records.TXT, records.CNAME, records.NS, records.DNAME]))
            changes = {owner: {rtype: data(owner, rtype)} if rtype else {}}
            change = cache.zone.changed(changes, cache.zone.serial + 1)
            cache.advance(change.zone, change.touched)
