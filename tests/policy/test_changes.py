"""Tests of `policy.changes`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.changes import changed, compile_changes, withheld
from warp_twisted.policy.document.fields import FieldChanges


class ChangesTests(SynchronousTestCase):
    """Fields that a rule changes."""

    def changed(self, lines: bytes, *documents: FieldChanges) -> bytes:
        """Return lines with changes made."""
        return changed(lines, [compile_changes(document) for document in documents])

    def test_changes(self) -> None:
        """What is removed and set goes, under any spelling; what is set and added comes."""
        made = self.changed(
            b"A: 1\r\nx_b: 2\r\nC: 3\r\nc: 4\r\n", FieldChanges(set_={"X-B": "5"}, add={"C": "6"}, remove=["a"])
        )
        self.assertEqual(made, b"C: 3\r\nc: 4\r\nX-B: 5\r\nC: 6\r\n")

    def test_twins(self) -> None:
        """All spellings go that some server folds to the name, as those of the edge's own fields do."""
        for twin in (b"X_Team", b"x.team", b"X~TEAM", b"x!team"):
            self.assertEqual(
                self.changed(twin + b": red\r\n", FieldChanges(set_={"X-Team": "blue"})), b"X-Team: blue\r\n"
            )

    def test_in_order(self) -> None:
        """A later rule sees what an earlier one set."""
        made = self.changed(b"", FieldChanges(set_={"A": "1", "B": "1"}), FieldChanges(set_={"A": "2"}, remove=["B"]))
        self.assertEqual(made, b"A: 2\r\n")

    def test_nothing(self) -> None:
        """Without changes the lines stay as they are."""
        self.assertEqual(self.changed(b"A: 1\r\n", FieldChanges()), b"A: 1\r\n")
        self.assertEqual(self.changed(b"A: 1\r\n", FieldChanges(remove=["A"])), b"")


class WithheldTests(SynchronousTestCase):
    """What carried credentials and is not passed on."""

    def test_fields(self) -> None:
        """A field goes, under any spelling; others stay."""
        lines = b"Authorization: x\r\nX-Token: y\r\nX_Token: z\r\nA: 1\r\n"
        self.assertEqual(withheld(lines, (b"x-token",)), b"Authorization: x\r\nA: 1\r\n")
        self.assertEqual(withheld(lines, (b"x-token", b"authorization")), b"A: 1\r\n")

    def test_one_cookie(self) -> None:
        """One cookie goes, from every line and however it is spaced; the others stay, and empty lines go."""
        lines = b"A: session=1\r\ncookie: a=b;  session =x; c=d; session=y;sessions=z\r\nCookie: session=q\r\n"
        self.assertEqual(withheld(lines, (b"cookie=session",)), b"A: session=1\r\ncookie: a=b; c=d; sessions=z\r\n")
        self.assertEqual(withheld(lines, (b"cookie=session", b"cookie")), b"A: session=1\r\n")
