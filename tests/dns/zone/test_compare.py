"""Tests of `warp_dns.zone.compare`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import static, wire
from warp_dns.message import records
from warp_dns.message.records import RRset
from warp_dns.zone.compare import differing_names
from warp_dns.zone.data import Zone

LABELS = st.dictionaries(st.sampled_from(["a", "b", "c.b", "d.c.b"]), st.integers(1, 3), max_size=4)


def zone(addresses: dict[str, int]) -> Zone:
    """Return a zone with an address at each of these names."""
    return static("".join(f"{name} 5 A 192.0.2.{number}\n" for name, number in addresses.items())).zone


def contents(snapshot: Zone) -> dict[bytes, object]:
    """Return each name that exists, and its records."""
    found: dict[bytes, object] = {}
    for shard in snapshot.shards:
        for name in shard:
            node = snapshot.get(name)
            assert node is not None
            found[name] = dict(node.rrsets)
    return found


class DifferingNamesTests(SynchronousTestCase):
    """What differs between two snapshots."""

    @settings(max_examples=200, deadline=None)
    @given(LABELS, LABELS)
    def test_exactly_those_that_differ(self, one: dict[str, int], other: dict[str, int]) -> None:
        """Names that came, went or changed, empty non-terminals included, and no others."""
        before, after = zone(one), zone(other)
        names = {name for name in differing_names(before, after) if name is not None}
        old, new = contents(before), contents(after)
        self.assertEqual(names, {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)})

    def test_of_different_sizes(self) -> None:
        """Snapshots that are laid out in another number of shards are compared name by name."""
        small = zone({"a": 1, "b": 2})
        large = zone({"a": 1, "b": 3, **{f"n{number}": 1 for number in range(20_000)}})
        self.assertNotEqual(len(small.shards), len(large.shards))
        forward = {name for name in differing_names(small, large) if name is not None}
        backward = {name for name in differing_names(large, small) if name is not None}
        self.assertEqual(forward, backward)
        self.assertEqual(len(forward), 20_001)

    def test_records_count_and_not_how_they_are_held(self) -> None:
        """A name whose records were published is the same as one whose records were read, if they are the same."""
        read = zone({"a": 1})
        owner = wire("a.example.org")
        published = read.changed({owner: {records.A: RRset(owner, records.A, 5, (bytes([192, 0, 2, 1]),))}}, 8).zone
        names = {name for name in differing_names(read, published) if name is not None}
        self.assertEqual(names, {wire("example.org")})  # its SOA has another serial
