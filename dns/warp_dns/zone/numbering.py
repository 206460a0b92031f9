"""
Who numbers a zone that several servers serve: this server, within a range of serials, or another one.

Every server answers from its own records, so that none waits for another. What is transferred (AXFR, IXFR) is what one
of them has numbered, and every server tells the serial of that: so one serial means one content, whichever is asked.
While another server numbers, its snapshots and changes come in (`take`, `take_change`). While this one does, the zone's
own snapshots are what is transferred, up to the last serial of the range; beyond it what was numbered last stays until
there is another range. Who numbers, and in which range, is decided elsewhere.
"""

from collections.abc import Callable

from warp_dns.zone.data import Change, Zone
from warp_dns.zone.journal import Difference, Journal
from warp_dns.zone.live import LiveZone, is_newer, serial_after

UNKNOWN_SERIAL = 1  # told while nothing numbered is known: no secondary takes it for newer than what it has

Told = Callable[[Change | None], None]


class ZoneNumbering:
    """
    The numbered content of one zone.

    :ivar zone: what is transferred; None: nothing numbered is known yet.
    :ivar journal: the differences that led to it.
    :ivar renumber: called when the zone is to be served with another serial.
    """

    def __init__(self) -> None:
        self.zone: Zone | None = None
        self.journal = Journal()
        self.renumber: Callable[[], None] = lambda: None
        self._range: tuple[int, int] | None = None  # the first serial and the last one; None: another server numbers
        self._is_numbering = False  # whether the zone's own snapshots are what is transferred
        self._told: list[Told] = []

    @property
    def serial(self) -> int:
        """Return the serial that every answer tells."""
        return UNKNOWN_SERIAL if self.zone is None else self.zone.serial

    @property
    def is_own(self) -> bool:
        """Whether this server is to number the zone."""
        return self._range is not None

    @property
    def is_stuck(self) -> bool:
        """Whether this server is to number the zone and has no serial left."""
        return self._range is not None and self._next_serial(self._range) is None

    def subscribe(self, told: Told) -> Callable[[], None]:
        """
        Call a function with each change of what is numbered; None: the content has nothing in common with the last.

        :returns: call it to hear no more.
        """
        self._told.append(told)
        return lambda: self._told.remove(told)

    # Who numbers.

    def begin(self, first: int, last: int) -> None:
        """Number the zone here from now on, with these serials; each comes after all that another server has given."""
        self._range = first, last
        self._is_numbering = False
        self.renumber()

    def extend(self, last: int) -> None:
        """Go on up to another serial."""
        if self._range is not None:
            was_stuck = self.is_stuck
            self._range = self._range[0], last
            if was_stuck:
                self.renumber()

    def end(self) -> None:
        """Number the zone here no more; what was numbered stays until another server's content comes."""
        self._range = None
        self.renumber()

    # What another server has numbered.

    def take(self, zone: Zone) -> bool:
        """Take a whole snapshot; return whether it is newer than what is here, or the same."""
        if self.is_own or (self.zone is not None and is_newer(self.zone.serial, zone.serial)):
            return False
        if self.zone is None or zone.serial != self.zone.serial:
            self.zone, self.journal = zone, Journal()
            self._tell(None)
            self.renumber()
        return True

    def take_change(self, change: Change, difference: Difference) -> bool:
        """Take the snapshot that follows; return whether it follows from what is here."""
        if self.is_own or self.zone is None or self.zone.serial != difference.old_serial:
            return False
        self.zone = change.zone
        self.journal.note(difference)
        self._tell(change)
        self.renumber()
        return True

    # What this server serves.

    def forget_own(self) -> None:
        """Note that the zone's next snapshot does not follow from the last one."""
        self._is_numbering = False

    def settle(self, live: LiveZone, change: Change | None) -> Change | None:
        """
        Give the zone as it is served the serial that it is to tell.

        :param change: what has just changed in it; its serial may be replaced.
        :returns: what is to be served next; None: nothing differs.
        """
        if self._is_numbering and self._range is not None and (change is None or self._is_within(change.zone.serial)):
            if change is not None:
                self.zone = live.zone
                self._tell(change)
            return change
        serial = self._next_serial(self._range) if self._range is not None else None
        if serial is not None:
            self._is_numbering = True
            live.journal = self.journal = Journal()
            settled = _numbered(live, serial, change)
            self.zone = live.zone
            self._tell(None)
            return settled
        if self._is_numbering:
            self._is_numbering = False
        if live.journal is self.journal:
            live.journal = Journal(0, 0)
        return change if live.zone.serial == self.serial else _numbered(live, self.serial, change)

    def _is_within(self, serial: int) -> bool:
        return self._range is not None and not is_newer(serial, self._range[1])

    def _next_serial(self, bounds: tuple[int, int]) -> int | None:
        first, last = bounds
        following = serial_after(self.zone.serial) if self.zone is not None else first
        serial = first if is_newer(first, following) else following
        return None if is_newer(serial, last) else serial

    def _tell(self, change: Change | None) -> None:
        for told in tuple(self._told):
            told(change)


def _numbered(live: LiveZone, serial: int, change: Change | None) -> Change:
    live.zone = live.zone.changed({}, serial).zone
    return Change(live.zone, change.touched if change is not None else frozenset())
