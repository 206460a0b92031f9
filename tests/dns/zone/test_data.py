"""Tests of `warp_dns.zone.data`."""

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import wire, zone_of
from warp_dns.errors import InvalidZone
from warp_dns.message import names, records
from warp_dns.message.records import RRset
from warp_dns.zone import data
from warp_dns.zone.data import Zone

LABELS = st.sampled_from([b"\1a", b"\1b", b"\1c", b"\1*"])
NAMES = st.lists(LABELS, max_size=4).map(lambda labels: b"".join(labels) + wire("example.org"))


def address_at(owner: bytes, number: int = 1) -> Mapping[int, RRset]:
    """Return an owner's RRsets: one address."""
    return {records.A: RRset(owner, records.A, 5, (bytes([192, 0, 2, number]),))}


def expected_names(owners: set[bytes], apex: bytes) -> set[bytes]:
    """Return owners and everything between them and the apex."""
    return {suffix for owner in owners | {apex} for suffix in names.suffixes(owner) if len(suffix) >= len(apex)}


class ZoneTests(SynchronousTestCase):
    """Snapshots, and what a change makes of them."""

    def setUp(self) -> None:
        """Make a zone with one deep name."""
        self.zone = zone_of("a.b.c 5 A 192.0.2.1")

    def test_names_between_exist(self) -> None:
        """The names between an owner and the apex exist without records (RFC 4592 §2.2.2)."""
        node = self.zone.get(wire("b.c.example.org"))
        assert node is not None
        self.assertEqual((dict(node.rrsets), node.children), ({}, 1))
        self.assertIsNone(self.zone.get(wire("x.c.example.org")))

    def test_an_apex_without_soa_or_ns_makes_no_zone(self) -> None:
        """A zone needs both at its apex."""
        with self.assertRaisesRegex(InvalidZone, "SOA and an NS"):
            Zone.build(wire("example.org"), [self.zone.soa])

    def test_a_change_leaves_the_old_snapshot_alone(self) -> None:
        """The next snapshot has the change and its serial; the one before has neither."""
        owner = wire("new.example.org")
        change = self.zone.changed({owner: address_at(owner)}, 8)
        self.assertIsNone(self.zone.get(owner))
        self.assertIsNotNone(change.zone.get(owner))
        self.assertEqual((self.zone.serial, change.zone.serial), (7, 8))
        self.assertEqual(change.touched, {owner})

    def test_empty_names_go_with_the_last_below(self) -> None:
        """Removing a name removes the empty names above it, and says so."""
        change = self.zone.changed({wire("a.b.c.example.org"): {}}, 8)
        gone = {wire(f"{name}.example.org") for name in ("a.b.c", "b.c", "c")}
        self.assertEqual(change.touched, gone)
        self.assertEqual([change.zone.get(name) for name in gone], [None] * 3)

    def test_a_name_with_others_below_stays(self) -> None:
        """Removing the records of a name that others are below leaves an empty name."""
        owner = wire("c.example.org")
        with_data = self.zone.changed({owner: address_at(owner)}, 8).zone
        node = with_data.changed({owner: {}}, 9).zone.get(owner)
        assert node is not None
        self.assertEqual(dict(node.rrsets), {})

    def test_an_owner_outside_is_refused(self) -> None:
        """A change outside the zone is refused with both names."""
        with self.assertRaisesRegex(InvalidZone, "a.example.com is outside the zone example.org"):
            self.zone.changed({wire("a.example.com"): {}}, 8)

    def test_the_apex_keeps_its_soa(self) -> None:
        """A change of the apex may leave the SOA out; the snapshot numbers it."""
        apex = self.zone.apex
        rrsets = {records.NS: self.zone.at_apex.rrsets[records.NS], **address_at(apex)}
        change = self.zone.changed({apex: rrsets}, 8)
        self.assertEqual(change.touched, {apex})
        self.assertEqual(change.zone.serial, 8)
        self.assertIn(records.A, change.zone.at_apex.rrsets)

    def test_negative_ttl_is_the_lower_one(self) -> None:
        """A negative answer's SOA has the lower of the SOA's TTL and its minimum (RFC 2308 §5)."""
        self.assertEqual(self.zone.negative_soa.ttl, 60)

    def test_a_change_shares_what_it_does_not_touch(self) -> None:
        """In a large zone a change copies a shard or two, not the table."""
        lines = "\n".join(f"n{number} 5 A 192.0.2.1" for number in range(3000))
        zone = zone_of(lines)
        owner = wire("new.example.org")
        after = zone.changed({owner: address_at(owner)}, 8).zone
        shared = sum(a is b for a, b in zip(zone.shards, after.shards, strict=True))
        self.assertGreater(len(zone.shards), 30)
        self.assertGreaterEqual(shared, len(zone.shards) - 2)

    def test_a_growing_zone_gets_more_shards(self) -> None:
        """A zone that has outgrown its shards is laid out anew and holds the same names."""
        self.patch(data, "_GROWTH", 4)
        self.patch(data, "_MIN_SHARDS", 1)
        zone = Zone.build(self.zone.apex, self.zone)
        before = len(zone.shards)
        owners = {wire(f"n{number}.example.org") for number in range(2000)}
        zone = zone.changed({owner: address_at(owner) for owner in owners}, 8).zone
        self.assertGreater(len(zone.shards), before)
        self.assertEqual(len(zone), len(owners) + 5)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.dictionaries(NAMES, st.booleans(), max_size=5), max_size=8))
    def test_any_changes_keep_the_tree_whole(self, steps: list[dict[bytes, bool]]) -> None:
        """Whatever comes and goes, exactly the owners and the names above them exist, and children are counted."""
        apex = wire("example.org")
        zone = zone_of("", head="@ 5 SOA ns.x. h.x. 1 1 1 1 1\n@ 5 NS ns.x.\n")
        present: set[bytes] = set()
        for serial, step in enumerate(steps, 2):
            before = {name: zone.get(name) for name in expected_names(present, apex)}
            changes = {}
            for owner, is_there in step.items():
                if owner != apex:
                    changes[owner] = address_at(owner) if is_there else {}
                    (present.add if is_there else present.discard)(owner)
            change = zone.changed(changes, serial)
            zone = change.zone
            expected = expected_names(present, apex)
            self.assertEqual(len(zone), len(expected))
            for name in expected:
                node = zone.get(name)
                assert node is not None
                self.assertEqual(bool(node.rrsets), name in present or name == apex)
                self.assertEqual(node.children, sum(names.parent(other) == name for other in expected if other != apex))
            differs = {name for name in expected | before.keys() if (name in before) != (name in expected)}
            self.assertLessEqual(differs, change.touched)
