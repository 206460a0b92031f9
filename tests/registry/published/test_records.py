"""Tests of records, and of how many one answer carries."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.registry.model import Edge
from warp_twisted.registry.published.records import (
    MAX_SET_BYTES,
    MAX_SET_RECORDS,
    LiveEdge,
    Record,
    fits,
    fitting,
    merged,
    size_of,
)


def pointer(number: int, length: int = 1000) -> Record:
    """Return a record of a list whose text is so long."""
    return Record("_http._tcp.warp.example", "PTR", 5, f"{number:04}".ljust(length, "x"))


class RecordsTests(SynchronousTestCase):
    """Values by themselves."""

    def test_live_edge(self) -> None:
        """Each address has the type of its family."""
        edge = LiveEdge.of(Edge(name="edge1", addresses=("192.0.2.1", "2001:db8::1")), "warp.example")
        self.assertEqual(edge.addresses, (("A", "192.0.2.1"), ("AAAA", "2001:db8::1")))
        self.assertEqual(edge.hostname, "edge1.warp.example")

    def test_merged(self) -> None:
        """The same data of two contributors appears once, where it was first."""
        first, second = Record("a", "A", 5, "192.0.2.1", "edge1"), Record("a", "A", 5, "192.0.2.1", "edge2")
        other = Record("a", "A", 5, "192.0.2.2")
        self.assertEqual(merged([[first], [other, second]]), (first, other))

    def test_fitting(self) -> None:
        """Each type is bounded by itself, and the last to come are left out."""
        text = Record("a", "TXT", 5, '"short"')
        records = tuple(pointer(number) for number in range(100))
        shown = fitting((*records, text))
        self.assertEqual(shown[-1], text)
        self.assertEqual(shown[:-1], records[: len(shown) - 1])
        self.assertLessEqual(sum(map(size_of, shown[:-1])), MAX_SET_BYTES)
        self.assertEqual(len(shown) - 1, MAX_SET_BYTES // size_of(records[0]))

    def test_as_many_as_secondaries_take(self) -> None:
        """Of each type the first hundred are left."""
        records = tuple(Record("a", "A", 5, f"192.0.2.{number}") for number in range(MAX_SET_RECORDS + 1))
        text = Record("a", "TXT", 5, '"short"')
        self.assertEqual(fitting((*records, text)), (*records[:MAX_SET_RECORDS], text))
        self.assertEqual(fitting(records[:MAX_SET_RECORDS]), records[:MAX_SET_RECORDS])

    def test_fits(self) -> None:
        """A name may have 253 characters; those that escape a dot do not count."""
        name = ".".join(["a" * 49] * 5)
        self.assertEqual(len(name), 249)
        self.assertTrue(fits(f"abc.{name}"))
        self.assertFalse(fits(f"abcd.{name}"))
        self.assertTrue(fits(rf"a\.c.{name}"))
