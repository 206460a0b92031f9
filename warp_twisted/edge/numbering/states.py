"""
Whether this edge numbers the zone, takes that over, or leaves it: a table, and what is seen in the registry's record.

Pure; instants are of the monotonic clock. A holder is taken for gone when its record did not change for three seconds
in which the registry could be read and written. No lease of the registry is asked: those outlive a leader by far.

A holder that cannot write goes on within its range, as the others follow it by their links and no serial of the range
is anybody else's. It leaves when it reads that another edge has come after it. So a registry that is away for everybody
stops nothing until the range is used up; and while one edge alone is cut off from it, that one's secondaries see older
serials than those of the new holder, never another content.
"""

from dataclasses import dataclass
from enum import Enum

from warp_twisted.edge.numbering.records import NumberingRecord

BEAT_SECONDS = 1.0
GONE_SECONDS = 3.0


class Act(Enum):
    """What is to be done now."""

    WAIT = "nothing"
    TAKE = "write this edge's name into the record, if it is still what was seen"
    BEAT = "write the next beat"
    LEAVE = "number no more: another edge does"


class Seen(Enum):
    """What the registry's record says, compared with what this edge holds."""

    UNREADABLE = "the registry is away"
    FREE = "nobody's: there is none yet, or who held it has left"
    OTHER = "another's, which gives signs of life or was not watched long enough; so is this edge's own of before"
    GONE = "another's, unchanged for three seconds"
    OWN = "what this edge has written"
    NEWER = "another edge has come after this one"
    OLDER = "from before this edge held it, as of a backup"


HOLDING: dict[tuple[bool, Seen], Act] = {  # whether this edge holds the record, and what is seen
    (False, Seen.UNREADABLE): Act.WAIT,
    (False, Seen.FREE): Act.TAKE,
    (False, Seen.OTHER): Act.WAIT,
    (False, Seen.GONE): Act.TAKE,
    (True, Seen.UNREADABLE): Act.WAIT,
    (True, Seen.OWN): Act.BEAT,
    (True, Seen.NEWER): Act.LEAVE,
    (True, Seen.OLDER): Act.TAKE,
}


@dataclass(slots=True)
class Watching:
    """
    What one edge has seen of the record.

    :ivar own: this edge's name.
    :ivar held: what this edge has written last and holds; None: it holds nothing.
    """

    own: str
    held: NumberingRecord | None = None
    _version: int = -1
    _since: float = 0.0  # when it was seen to change, or the registry was away
    _changed_at: float = 0.0
    _beat_at: float = float("-inf")

    def see(self, now: float, record: NumberingRecord | None, version: int, *, is_away: bool) -> Seen:
        """
        Compare the record with what was seen before.

        :param version: changes with each change of the record.
        :param is_away: whether the registry can be neither read nor written now.
        """
        if is_away:
            self._since = now
            return Seen.UNREADABLE
        if version != self._version:
            self._version, self._since, self._changed_at = version, now, now
        if self.held is not None:
            if record is not None and record.fence == self.held.fence and record.holder == self.own:
                return Seen.OWN
            return Seen.NEWER if record is not None and record.fence >= self.held.fence else Seen.OLDER
        if record is None or not record.holder:
            return Seen.FREE
        return Seen.GONE if now - self._since >= GONE_SECONDS else Seen.OTHER

    def unchanged_seconds(self, now: float) -> float:
        """Return for how long the record was seen unchanged, or could not be seen."""
        return max(0.0, now - self._changed_at)

    def decide(self, now: float, seen: Seen) -> Act:
        """Return what is to be done."""
        act = HOLDING[self.held is not None, seen]
        return Act.WAIT if act is Act.BEAT and now - self._beat_at < BEAT_SECONDS else act

    def wrote(self, now: float, record: NumberingRecord | None) -> None:
        """Note what this edge has written; None: it holds nothing any more, or somebody else was first."""
        self.held = record
        self._since = self._beat_at = now
