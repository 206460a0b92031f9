"""Tests of putting together what several contribute to one name."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.registry.published.contributions import Contributions
from warp_twisted.registry.published.records import Record

FIRST, SECOND = Record("a.example", "A", 5, "192.0.2.1"), Record("a.example", "A", 5, "192.0.2.2")


class ContributionsTests(SynchronousTestCase):
    """Two contributors to one owner."""

    def setUp(self) -> None:
        """Begin with what the first contributes."""
        self.records = Contributions()
        self.records.put("a.example", "one", (FIRST,))
        self.first = self.records.take_changed()

    def test_joined(self) -> None:
        """An owner has what each contributes, what both do once."""
        self.records.put("a.example", "two", (SECOND, FIRST))
        self.assertEqual(self.records.records_of("a.example"), (FIRST, SECOND))
        self.assertEqual(self.records.take_changed(), {"a.example": (FIRST, SECOND)})

    def test_changes_are_told_once(self) -> None:
        """What changed is told once; what stays as it is, is no change."""
        self.assertEqual(self.first, {"a.example": (FIRST,)})
        self.records.put("a.example", "one", (FIRST,))
        self.records.put("a.example", "two", (FIRST,))
        self.assertEqual(self.records.take_changed(), {})

    def test_gone(self) -> None:
        """An owner is gone when nobody contributes any more."""
        self.records.put("a.example", "one", ())
        self.assertEqual(self.records.take_changed(), {"a.example": ()})
        self.assertEqual((self.records.owners(), dict(self.records.snapshot())), ([], {}))
        self.records.put("a.example", "one", ())
        self.assertEqual(self.records.take_changed(), {})

    def test_too_long(self) -> None:
        """A name that is too long for DNS has nothing, and is in nobody's way."""
        self.records.put(".".join(["a" * 63] * 4), "one", (FIRST,))
        self.assertEqual(self.records.owners(), ["a.example"])
