"""Tests of whether an edge numbers the zone, by what it sees and by the clock."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.numbering.records import NumberingRecord
from warp_twisted.edge.numbering.states import BEAT_SECONDS, GONE_SECONDS, HOLDING, Act, Seen, Watching

OTHER = NumberingRecord(holder="edge2", fence=3, first=100, last=200)


class WatchingTests(SynchronousTestCase):
    """One edge that looks at the record."""

    def setUp(self) -> None:
        self.watching = Watching("edge1")

    def act(self, now: float, record: NumberingRecord | None, version: int, *, is_away: bool = False) -> Act:
        """Look, and return what is to be done."""
        return self.watching.decide(now, self.watching.see(now, record, version, is_away=is_away))

    def test_every_state(self) -> None:
        """The table says of each state what is done, but for those that there are not."""
        missing = {(held, seen) for held in (False, True) for seen in Seen} - HOLDING.keys()
        own = {Seen.OWN, Seen.NEWER, Seen.OLDER}
        self.assertEqual(
            missing, {(False, seen) for seen in own} | {(True, seen) for seen in (Seen.FREE, Seen.OTHER, Seen.GONE)}
        )

    def test_free(self) -> None:
        """A record that is nobody's is taken at once."""
        for record in (None, replace(OTHER, holder="")):
            self.assertIs(self.act(0.0, record, 1), Act.TAKE)

    def test_own_of_before(self) -> None:
        """What this edge held before a restart is watched as another's: who runs already knows more of the zone."""
        self.assertIs(self.act(0.0, replace(OTHER, holder="edge1"), 1), Act.WAIT)
        self.assertIs(self.act(GONE_SECONDS, replace(OTHER, holder="edge1"), 1), Act.TAKE)

    def test_another_is_gone(self) -> None:
        """Another's record is taken when it did not change for three seconds; each change counts anew."""
        self.assertIs(self.act(0.0, OTHER, 1), Act.WAIT)
        self.assertIs(self.act(GONE_SECONDS - 0.1, OTHER, 1), Act.WAIT)
        self.assertIs(self.act(GONE_SECONDS, OTHER, 2), Act.WAIT)
        self.assertIs(self.act(2 * GONE_SECONDS - 0.1, OTHER, 2), Act.WAIT)
        self.assertIs(self.act(2 * GONE_SECONDS, OTHER, 2), Act.TAKE)

    def test_registry_away(self) -> None:
        """The time in which the registry is away says nothing of the other edge."""
        self.act(0.0, OTHER, 1)
        self.assertIs(self.act(60.0, OTHER, 1, is_away=True), Act.WAIT)
        self.assertIs(self.act(61.0, OTHER, 1), Act.WAIT)
        self.assertIs(self.act(60.0 + GONE_SECONDS, OTHER, 1), Act.TAKE)

    def test_unchanged(self) -> None:
        """For how long the record did not change is known, also while the registry is away."""
        self.act(10.0, OTHER, 1)
        self.act(12.0, OTHER, 2)
        self.act(20.0, OTHER, 2, is_away=True)
        self.assertEqual(self.watching.unchanged_seconds(21.0), 9.0)

    def test_beats(self) -> None:
        """A holder writes a beat every second; it holds on while the registry is away."""
        own = replace(OTHER, holder="edge1")
        self.watching.wrote(10.0, own)
        self.assertIs(self.act(10.5, own, 5), Act.WAIT)
        self.assertIs(self.act(10.0 + BEAT_SECONDS, own, 5), Act.BEAT)
        self.assertIs(self.act(100.0, own, 5, is_away=True), Act.WAIT)
        self.assertIs(self.act(101.0, own, 5), Act.BEAT)

    def test_another_came_after(self) -> None:
        """A holder that reads of another one leaves."""
        self.watching.wrote(10.0, replace(OTHER, holder="edge1"))
        self.assertIs(self.act(11.0, replace(OTHER, fence=4), 9), Act.LEAVE)

    def test_backup(self) -> None:
        """A holder that reads an older record, as of a backup of the registry, takes it anew, with another range."""
        self.watching.wrote(10.0, replace(OTHER, holder="edge1"))
        self.assertIs(self.act(11.0, replace(OTHER, fence=2), 9), Act.TAKE)
        self.assertIs(self.act(11.0, None, 0), Act.TAKE)
