"""Tests of `warp_dns.zone.journal`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import wire, zone_of
from warp_dns.message import records
from warp_dns.message.records import RRset
from warp_dns.zone.data import Zone
from warp_dns.zone.journal import Difference, Journal, Row, difference_of, rows_of

OWNERS = [wire(f"{name}.example.org") for name in ("a", "b", "c.b")]


def rrset(owner: bytes, octets: frozenset[int], ttl: int = 5) -> RRset:
    """Return addresses."""
    return RRset(owner, records.A, ttl, tuple(bytes([octet] * 4) for octet in sorted(octets)))


def all_rows(zone: Zone) -> set[Row]:
    """Return every record of a zone but the SOA."""
    return {row for rrset in zone if rrset.type != records.SOA for row in rows_of(rrset)}


def apply(rows: set[Row], differences: list[Difference]) -> set[Row]:
    """Follow differences as a secondary does, and complain as one would."""
    for difference in differences:
        if not rows.issuperset(difference.removed):
            raise AssertionError("removes what is not there")
        rows = rows - set(difference.removed)
        if not rows.isdisjoint(difference.added):
            raise AssertionError("adds what is there")
        rows |= set(difference.added)
    return rows


class JournalTests(SynchronousTestCase):
    """What changed since a serial."""

    def test_only_what_differs_is_told(self) -> None:
        """A record that stays is not told again; another TTL is another RRset; the SOA stands apart."""
        zone = zone_of("a 5 A 1.1.1.1\na 5 A 2.2.2.2\nb 5 A 1.1.1.1")
        change = zone.changed(
            {
                OWNERS[0]: {records.A: rrset(OWNERS[0], frozenset({2, 3}))},
                OWNERS[1]: {records.A: rrset(OWNERS[1], frozenset({1}), ttl=9)},
            },
            8,
        )
        difference = difference_of(zone, change)
        told = (difference.removed, difference.added)
        removed, added = ({(row[0], row[2], row[3][0]) for row in rows} for rows in told)
        self.assertEqual(removed, {(OWNERS[0], 5, 1), (OWNERS[1], 5, 1)})
        self.assertEqual(added, {(OWNERS[0], 5, 3), (OWNERS[1], 9, 1)})
        self.assertEqual((difference.old_serial, difference.new_serial), (7, 8))
        self.assertEqual(difference.size, 6)

    def test_a_serial_that_is_not_known_is_told(self) -> None:
        """Before the journal begins, and after it ends, there is no difference to give."""
        journal = Journal()
        zone = zone_of("")
        change = zone.changed({OWNERS[0]: {records.A: rrset(OWNERS[0], frozenset({1}))}}, 8)
        journal.note(difference_of(zone, change))
        self.assertIsNone(journal.since(6, 8))
        self.assertIsNone(journal.since(8, 8))
        self.assertEqual(len(journal.since(7, 8) or []), 1)

    def test_its_size_is_bounded(self) -> None:
        """The oldest differences make room, by records and by number."""
        for journal, kept in ((Journal(max_records=10), 2), (Journal(max_differences=4), 4)):
            zone, noted, unused = zone_of(""), 0, list[Row]()
            for serial in range(8, 20):
                change = zone.changed({OWNERS[0]: {records.A: rrset(OWNERS[0], frozenset({serial}))}}, serial)
                difference = difference_of(zone, change)
                noted += difference.size - 2
                unused += journal.note(difference)
                zone = change.zone
            self.assertEqual(len(journal.since(19 - kept, 19) or []), kept)
            self.assertIsNone(journal.since(18 - kept, 19))
            self.assertEqual(noted, len(unused) + len(journal) - 2 * kept)  # what made room is handed back
            self.assertEqual((len(journal.clear()), len(journal)), (noted - len(unused), 0))

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.dictionaries(st.sampled_from(OWNERS), st.frozensets(st.integers(1, 4), max_size=3), min_size=1),
            max_size=8,
        )
    )
    def test_any_differences_lead_to_the_zone(self, steps: list[dict[bytes, frozenset[int]]]) -> None:
        """From every serial to every later one, the differences make the zone that was then."""
        zone = zone_of("")
        journal = Journal()
        seen = {zone.serial: all_rows(zone)}
        for serial, step in enumerate(steps, 8):
            change = zone.changed(
                {owner: {records.A: rrset(owner, octets)} if octets else {} for owner, octets in step.items()}, serial
            )
            journal.note(difference_of(zone, change))
            zone = change.zone
            seen[serial] = all_rows(zone)
        for serial, rows in seen.items():
            for until, then in seen.items():
                if serial < until:
                    self.assertEqual(apply(rows, journal.since(serial, until) or []), then)
