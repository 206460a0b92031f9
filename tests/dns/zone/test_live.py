"""Tests of `warp_dns.zone.live`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import APEX, static, wire
from warp_dns.errors import InvalidZone
from warp_dns.message import records
from warp_dns.zone import live as live_module
from warp_dns.zone.data import Zone
from warp_dns.zone.journal import Row, rows_of
from warp_dns.zone.live import LiveZone, Update, is_newer, serial_after
from warp_dns.zone.source import Record
from warp_dns.zone.steps import Steps

HEAD = APEX.replace(" 7 ", " 9 ")


def address(name: str, rdata: str = "192.0.2.1") -> Record:
    """Return an address record."""
    return Record(name, "A", 5, rdata)


class SerialTests(SynchronousTestCase):
    """Serials (RFC 1982)."""

    def test_serials_go_round(self) -> None:
        """After the last comes 1, and it is newer."""
        self.assertEqual(serial_after(2**32 - 1), 1)
        self.assertTrue(is_newer(1, 2**32 - 1))
        self.assertFalse(is_newer(2**32 - 1, 1))

    @given(st.integers(0, 2**32 - 1), st.integers(1, 2**31 - 1))
    def test_up_to_half_way_round_is_newer(self, serial: int, distance: int) -> None:
        """A serial is newer than those of the half circle before it; at the far point neither is."""
        later = serial + distance & 0xFFFFFFFF
        self.assertTrue(is_newer(later, serial))
        self.assertFalse(is_newer(serial, later))
        self.assertFalse(is_newer(serial + 2**31 & 0xFFFFFFFF, serial) or is_newer(serial, serial))


class LiveZoneTests(SynchronousTestCase):
    """Static and live records together."""

    def setUp(self) -> None:
        """Make a zone with a few static names."""
        self.live = LiveZone(
            static("www 5 A 192.0.2.80\nalias 5 CNAME www\nsub 5 NS ns.example.com.\nold 5 DNAME new"), 100
        )

    def has(self, name: str, rtype: int = records.A) -> bool:
        """Whether the zone holds a type at a name."""
        node = self.live.zone.get(wire(f"{name}.example.org"))
        return node is not None and rtype in node.rrsets

    def test_live_records_come_and_go(self) -> None:
        """Each change is one serial; an empty sequence takes a name away; names are folded."""
        self.live.update({"App.example.org": [address("App.example.org")], "b.example.org": [address("b.example.org")]})
        self.assertTrue(self.has("app") and self.has("b"))
        self.live.update({"app.example.org": []})
        self.assertFalse(self.has("app"))
        self.assertEqual(self.live.zone.serial, 102)

    def test_nothing_new_is_no_serial(self) -> None:
        """The same records again, or the end of a name that was not there, change nothing."""
        self.live.update({"app.example.org": [address("app.example.org")]})
        unchanged: list[dict[str, list[Record]]] = [
            {"app.example.org": [address("app.example.org")]},
            {"nothing.example.org": []},
        ]
        for changes in unchanged:
            self.assertIsNone(self.live.update(changes).change)
        self.assertEqual(self.live.zone.serial, 101)

    def test_live_records_stand_beside_static_ones(self) -> None:
        """Another type at a static name is merged, and goes without taking the static ones along."""
        self.live.update({"www.example.org": [Record("www.example.org", "TXT", 5, "x")]})
        self.assertTrue(self.has("www") and self.has("www", records.TXT))
        self.live.update({"www.example.org": []})
        self.assertTrue(self.has("www"))

    def refused(self, *records_: Record) -> str:
        """Publish records of one owner beside a good one; return why they were refused."""
        name = records_[0].name
        update = self.live.update({name: list(records_), "good.example.org": [address("good.example.org")]})
        self.assertTrue(self.has("good"))
        [problem] = update.refused
        return problem

    def test_clashes_name_both_places(self) -> None:
        """A type that the file holds, or an address at its alias, is left out with file and line; others are served."""
        self.assertEqual(
            self.refused(address("www.example.org")), "www.example.org A is published, but test.zone:5 holds it too"
        )
        self.assertIn(
            "CNAME beside other data (A): published, and test.zone:6", self.refused(address("alias.example.org"))
        )
        self.assertTrue(self.has("alias", records.CNAME))

    def test_nothing_is_published_below_a_cut(self) -> None:
        """Names at and below a delegation or a DNAME belong to others."""
        self.assertIn("test.zone:7 delegates sub.example.org", self.refused(address("x.sub.example.org")))
        self.assertIn("test.zone:8 delegates old.example.org", self.refused(address("x.y.old.example.org")))

    def test_a_source_cannot_take_the_zone(self) -> None:
        """NS, SOA and DNAME are never taken from a source, nor is an owner outside, nor what is no record."""
        self.assertIn("never taken", self.refused(Record("x.example.org", "NS", 5, "ns.x.example.org")))
        self.assertIn("never taken", self.refused(Record("example.org", "SOA", 5, "a b 1 1 1 1 1")))
        self.assertIn("outside the zone", self.refused(address("x.example.com")))
        self.assertIn("not data for A", self.refused(address("x.example.org", "banana")))
        self.assertIn("not a domain name", self.refused(address("x..example.org")))

    def test_a_clash_that_ends_is_served(self) -> None:
        """When the file lets go of a name, the live records that waited are served."""
        self.refused(address("www.example.org", "192.0.2.99"))
        self.live.replace_static(static("other 5 A 192.0.2.1"))
        node = self.live.zone.get(wire("www.example.org"))
        assert node is not None
        self.assertEqual(node.rrsets[records.A].rdatas, (bytes([192, 0, 2, 99]),))

    def test_a_file_that_clashes_with_live_names_is_refused(self) -> None:
        """It is refused whole with both places, and the zone stays; a clash there was before is no reason."""
        self.live.update({"app.example.org": [address("app.example.org")]})
        before = self.live.zone
        with self.assertRaisesRegex(InvalidZone, r"app.example.org A is published, but test.zone:6 holds it too"):
            self.live.replace_static(static("new 5 A 192.0.2.1\napp 5 A 192.0.2.1"))
        self.assertIs(self.live.zone, before)
        self.assertTrue(self.has("www"))
        self.refused(address("www.example.org"))
        self.live.replace_static(static("www 5 A 192.0.2.81"))
        self.assertTrue(self.has("app") and self.has("www"))

    def test_a_new_file_is_one_change(self) -> None:
        """What went, came and changed is one serial, and the live names stay."""
        self.live.update({"app.example.org": [address("app.example.org")]})
        update = self.live.replace_static(static("www 5 A 192.0.2.81\nnew 5 A 192.0.2.1"))
        assert update.change is not None
        touched = {wire(f"{name}.example.org") for name in ("www", "new", "alias", "sub", "old")}
        self.assertEqual(update.change.touched, touched)
        self.assertEqual(self.live.zone.serial, 102)
        self.assertTrue(self.has("app"))

    def test_the_files_serial_counts_when_it_is_newer(self) -> None:
        """A zone without live records has the file's serials; content that changed without one gets the next."""
        live = LiveZone(static("www 5 A 192.0.2.80"))
        self.assertEqual(live.zone.serial, 7)
        live.replace_static(static("www 5 A 192.0.2.81", head=HEAD))
        self.assertEqual(live.zone.serial, 9)
        live.replace_static(static("www 5 A 192.0.2.82", head=HEAD))
        self.assertEqual(live.zone.serial, 10)
        self.assertIsNone(live.replace_static(static("www 5 A 192.0.2.82", head=HEAD)).change)

    def test_a_zone_goes_on_from_a_serial(self) -> None:
        """A zone made anew has a serial after the one that it had."""
        for had, serial in ((7, 8), (3, 7)):
            live = LiveZone(static(""))
            live.come_after(had)
            self.assertEqual(live.zone.serial, serial)

    def test_steps_are_short(self) -> None:
        """However many names come, change or go at once, a step works on a few of them."""
        count = 2000
        texts = [f"n{number}.example.org" for number in range(count)]
        for rdata in ("192.0.2.1", "192.0.2.2", ""):
            steps = self.live.updating({text: [address(text, rdata)] if rdata else [] for text in texts})
            taken = sum(1 for _ in steps)
            self.assertGreaterEqual(taken, 2 * count // 16 - 2)  # merging, and comparing for the journal
        self.assertEqual(self.live.zone.serial, 103)

    def test_steps_are_short_where_nothing_differs(self) -> None:
        """Records in another order are no difference for the journal, and are compared in steps all the same."""
        count = 2000
        for rdatas in (("192.0.2.1", "192.0.2.2"), ("192.0.2.2", "192.0.2.1")):
            names = [f"n{number}.example.org" for number in range(count)]
            steps = self.live.updating({name: [address(name, rdata) for rdata in rdatas] for name in names})
            self.assertGreaterEqual(sum(1 for _ in steps), 2 * count // 16 - 2)

    def test_all_live_records_can_be_replaced(self) -> None:
        """A snapshot of the source takes away what is not in it, in one change."""
        self.live.update({"a.example.org": [address("a.example.org")], "b.example.org": [address("b.example.org")]})
        update = self.live.replace_live({"b.example.org": [address("b.example.org")]})
        assert update.change is not None
        self.assertEqual(update.change.touched, {wire("a.example.org")})
        self.assertTrue(self.has("b") and not self.has("a"))

    def test_the_journal_follows(self) -> None:
        """Every change is in the journal."""
        self.live.update({"a.example.org": [address("a.example.org")]})
        self.live.update({"a.example.org": []})
        differences = self.live.journal.since(100, 102)
        assert differences is not None
        self.assertEqual([(len(d.removed), len(d.added)) for d in differences], [(0, 1), (1, 0)])


def all_rows(zone: Zone) -> set[Row]:
    """Return every record of a zone but the SOA."""
    return {row for rrset in zone if rrset.type != records.SOA for row in rows_of(rrset)}


FILES = st.dictionaries(st.sampled_from(["a", "b", "c.b", "d"]), st.integers(1, 3), max_size=4)
LIVE = st.dictionaries(st.sampled_from(["a", "b", "c.b", "e.d", "f"]), st.integers(0, 3), max_size=2)


class StepsTests(SynchronousTestCase):
    """Long changes, done in steps."""

    @settings(max_examples=200, deadline=None)
    @given(FILES, FILES, LIVE, st.lists(LIVE, max_size=4))
    def test_live_records_change_meanwhile(
        self, old: dict[str, int], new: dict[str, int], before: dict[str, int], meanwhile: list[dict[str, int]]
    ) -> None:
        """
        Whatever changes while a new file is merged, the outcome is that of merging it afterwards.

        What it says it touched is what differs, and the journal's difference, when there is one, leads there.
        """

        def text(addresses: dict[str, int], rtype: str) -> str:
            return "".join(f"{name} 5 {rtype} 192.0.2.{number}\n" for name, number in addresses.items())

        def published(addresses: dict[str, int]) -> dict[str, list[Record]]:
            return {
                f"{name}.example.org": [Record(f"{name}.example.org", "TXT", 5, f"v{number}")] if number else []
                for name, number in addresses.items()
            }

        live = LiveZone(static(text(old, "A")), 100)
        live.update(published(before))
        steps = live.replacing_static(static(text(new, "A")))
        for change in meanwhile:
            next(steps, None)
            live.update(published(change))
        served = live.zone
        try:
            while True:
                next(steps)
        except StopIteration as done:
            update: Update = done.value
        expected = LiveZone(static(text(new, "A")))
        for change in (before, *meanwhile):
            expected.update(published(change))
        self.assertEqual(all_rows(live.zone), all_rows(expected.zone))
        self.assertEqual(len(live.zone), len(expected.zone))
        names_of = [{name for shard in zone.shards for name in shard} for zone in (served, live.zone)]
        differing = {row[0] for row in all_rows(served) ^ all_rows(live.zone)} | names_of[0] ^ names_of[1]
        self.assertEqual(differing, set(update.change.touched) if update.change else set())
        found = live.journal.since(served.serial, live.zone.serial) if update.change else None
        if found is not None:
            rows = all_rows(served)
            for difference in found:
                self.assertTrue(rows.issuperset(difference.removed))
                rows = (rows - set(difference.removed)) | set(difference.added)
            self.assertEqual(rows, all_rows(live.zone))

    def test_the_same_file_is_held_once(self) -> None:
        """A file that says the same leaves the snapshot alone, and hands back what was made in vain."""
        live = LiveZone(static("www 5 A 192.0.2.80"), 100)
        before = live.zone
        update = live.replace_static(static("; moved down a line\nwww 5 A 192.0.2.80"))
        self.assertIsNone(update.change)
        self.assertIs(live.zone, before)
        self.assertEqual(sum(map(len, update.unused[0])), 3)
        problem = live.update({"www.example.org": [address("www.example.org")]}).refused
        self.assertIn("test.zone:6 holds it too", problem[0])

    def test_a_file_of_many_differences_is_not_told_record_by_record(self) -> None:
        """Beyond the limit the journal has nothing that leads to the new serial, so secondaries take the whole zone."""
        self.patch(live_module, "MAX_FILE_ROWS", 10)
        live = LiveZone(static("".join(f"n{number} 5 A 192.0.2.1\n" for number in range(20))), 100)
        live.replace_static(static("".join(f"n{number} 5 A 192.0.2.2\n" for number in range(20))))
        self.assertIsNone(live.journal.since(100, 101))
        live.update({"app.example.org": [address("app.example.org")]})
        self.assertIsNotNone(live.journal.since(101, 102))

    def test_many_live_names_are_taken_in_steps(self) -> None:
        """A snapshot of many names is one change at the end of its steps, and nothing before."""
        live = LiveZone(static(""), 100)
        names = [f"n{number}.example.org" for number in range(500)]
        steps: Steps[Update] = live.updating({name: [address(name)] for name in names})
        count = 0
        try:
            while True:
                next(steps)
                self.assertEqual(live.zone.serial, 100)
                count += 1
        except StopIteration as done:
            update: Update = done.value
        self.assertGreater(count, 4)
        assert update.change is not None
        self.assertEqual((live.zone.serial, len(update.change.touched), len(live.zone)), (101, 500, 502))
