"""Tests for constraints.refresh: what it says of a change."""

from twisted.trial.unittest import SynchronousTestCase

from constraints.pins import Pin
from constraints.refresh import moves


class MovesTests(SynchronousTestCase):
    """The lines of a report."""

    def test_each_kind_of_change_is_said(self) -> None:
        """A new version, a new package, one that is gone, other archives, another set; what stayed is not said."""
        old = [
            Pin("attrs", "26.1.0", ("a",), ("run",)),
            Pin("click", "8.2.0", ("a",), ("run",)),
            Pin("idna", "3.20", ("a",), ("run",)),
            Pin("six", "1.17.0", ("a",), ("run",)),
            Pin("zipp", "3.0", ("a",), ("check",)),
        ]
        new = [
            Pin("attrs", "26.1.0", ("a",), ("run",)),
            Pin("click", "8.5.1", ("b",), ("run",)),
            Pin("idna", "3.20", ("a", "b"), ("run",)),
            Pin("treq", "26.7.0", ("a",), ("run",)),
            Pin("zipp", "3.0", ("a",), ("run", "check")),
        ]
        self.assertEqual(
            moves(old, new),
            [
                "click: 8.2.0 → 8.5.1",
                "idna: 3.20, other archives",
                "six: gone, was 1.17.0",
                "treq: new, 26.7.0",
                "zipp: 3.0, for run check (was check)",
            ],
        )

    def test_nothing_moved(self) -> None:
        """The same pins make no line."""
        pins = [Pin("attrs", "26.1.0", ("a",), ("run",))]
        self.assertEqual(moves(pins, pins), [])
