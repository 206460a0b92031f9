"""Tests of records, and of how many one answer carries."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.registry.model import Edge
from warp_twisted.registry.published.records import (
    MAX_SET_BYTES,
    BrowseList,
    LiveEdge,
    Record,
    fitting,
    label_names,
    merged,
    quoted,
    size_of,
)


def pointer(number: int, length: int = 1000) -> Record:
    """Return a record of the list of all applications whose text is so long."""
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

    def test_quoted(self) -> None:
        """A text longer than one character-string is several."""
        self.assertEqual(quoted("a=b"), '"a=b"')
        self.assertEqual(quoted("x" * 256), f'"{"x" * 255}" "x"')

    def test_label_names(self) -> None:
        """Labels are written as DNS labels; those that become one are there once, and what cannot be is left out."""
        labels = {"Release": "v1.2", "release": "v1-2", "empty": "", "k" * 64: "x"}
        self.assertEqual(label_names(labels), ["v1-2.release"])


class BrowseListTests(SynchronousTestCase):
    """The list of all applications."""

    def setUp(self) -> None:
        """Begin with more applications than fit."""
        self.browse = BrowseList()
        self.room = MAX_SET_BYTES // size_of(pointer(0))
        self.changes = [self.browse.add(str(number), pointer(number)) for number in range(self.room + 2)]

    def test_bound(self) -> None:
        """The first that fit are shown; one more changes nothing."""
        self.assertEqual(self.changes, [True] * self.room + [False] * 2)
        self.assertEqual(self.browse.records, tuple(pointer(number) for number in range(self.room)))

    def test_again(self) -> None:
        """An application that is there already changes nothing, shown or not."""
        self.assertFalse(self.browse.add("0", pointer(0)))
        self.assertFalse(self.browse.add(str(self.room), pointer(self.room)))

    def test_next_in_line(self) -> None:
        """When one that is shown goes, the first of those that wait is shown at the end."""
        self.assertTrue(self.browse.remove("0"))
        self.assertEqual((self.browse.records[0], self.browse.records[-1]), (pointer(1), pointer(self.room)))

    def test_one_that_waits_goes(self) -> None:
        """One that is not shown goes without a change, and is not shown later."""
        self.assertFalse(self.browse.remove(str(self.room)))
        self.assertFalse(self.browse.remove("unknown"))
        self.browse.remove("0")
        self.assertEqual(self.browse.records[-1], pointer(self.room + 1))

    def test_large_one_in_line(self) -> None:
        """One that does not fit into the place of a smaller one waits on."""
        browse = BrowseList()
        browse.add("small", pointer(0, 10))
        for number in range(1, self.room + 1):
            browse.add(str(number), pointer(number))
        before = len(browse.records)
        self.assertTrue(browse.remove("small"))
        self.assertEqual(len(browse.records), before - 1)
