"""
The guards of this edge's splits: each is looked at every second, and what it finds becomes a record of the fleet.

A guard vouches for the share of a shift: while the share is as good as the others the shift goes on, in the registry
and so on every edge, and stands still while nothing is known, or nobody can write. What is worse acts on this edge at
once, and on the others when the registry has it. Then nobody judges until an operator shifts the share or resets it.

Each edge judges by what it sees itself; one that sees too few requests holds nobody up who sees enough.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, SchedulerStopped
from twisted.logger import Logger

from warp_base.slices import Slices
from warp_base.wall_clock import WallClock
from warp_twisted.edge.routes.members import Members
from warp_twisted.edge.routes.share_counters import counts_of
from warp_twisted.edge.routes.split_hostnames import SplitHostnames
from warp_twisted.edge.routing.elsewhere import Elsewhere
from warp_twisted.edge.routing.notices import Notices
from warp_twisted.edge.routing.shifts import Shifts
from warp_twisted.names import shown_selector
from warp_twisted.registry.errors import RegistryError
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change, decode, encode
from warp_twisted.registry.route_records import Guarded, Shift
from warp_twisted.registry.store import Expect, Put, Store
from warp_twisted.routing.guard import Finding, Guard, Limits, Verdict
from warp_twisted.routing.split import Split
from warp_twisted.routing.window import SLOTS, Moment

LOOK_SECONDS = 1.0
STEPS = 200  # of a shift at most: so often it is written
_FIGURES = {Verdict.BETTER: 1, Verdict.UNDECIDED: 0, Verdict.WORSE: -1}
_DONE = {"back": "it gets nothing any more", "freeze": "its shift stays where it is"}  # by action
_NOT_YET = Finding(Verdict.UNDECIDED, "it has not been looked at yet")
_BROKEN = Finding(Verdict.UNDECIDED, "judging it failed; the edge's log says how")


@dataclass
class Watched:
    """
    A split that is looked at.

    :ivar key: tells the split, its limits and its shift; with another one everything begins anew, but for what is known
        of the others where only the shift is another.
    :ivar selector: of the guarded share.
    :ivar vouched_seconds: for how long the share was as good as the others, and the registry does not know it yet.
    :ivar unwritten: that the share is worse, as long as the registry does not know it.
    """

    key: tuple[str, Limits, float]
    selector: str
    guard: Guard
    looked_at: float
    finding: Finding = _NOT_YET
    vouched_seconds: float = 0.0
    unwritten: Guarded | None = None
    writing: Deferred[None] | None = None
    is_failing: bool = False


class Guards(Collector):
    """
    Looks at all guarded splits of one edge.

    :param slices: share the time among them.
    :param edge: this one's name.
    :param notices: tell a guard's `notify` of what is worse.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        mirror: Mirror,
        clock: IReactorTime,
        wall: WallClock,
        splitting: SplitHostnames,
        shifts: Shifts,
        slices: Slices,
        edge: str,
        notices: Notices,
    ) -> None:
        self._store = store
        self._mirror = mirror
        self._clock = clock
        self._wall = wall
        self._splitting = splitting
        self._shifts = shifts
        self._slices = slices
        self._edge = edge
        self._notices = notices
        self._elsewhere = Elsewhere(mirror, edge)
        self._watched: dict[str, Watched] = {}
        self._broken = set[str]()  # hostnames whose last look ended in an error
        self._worse: dict[tuple[str, str, str], int] = {}  # by hostname, share and what came of it
        self._looking = LoopingCall(lambda: Deferred.fromCoroutine(self._look_at_all()))
        self._looking.clock = clock
        splitting.taken_of = self._taken_of
        shifts.progress_of = self._progress_of
        mirror.subscribe(self._changed)

    def start(self) -> None:
        """Begin to look."""
        self._looking.start(LOOK_SECONDS, now=False)

    def stop(self) -> None:
        """Look no more; what could not be written is lost, and found anew by whoever looks next."""
        if self._looking.running:
            self._looking.stop()
        self._notices.stop()
        for watched in self._watched.values():
            if watched.writing is not None:
                watched.writing.cancel()

    # What holds.

    def found(self, split: Split) -> tuple[Guarded | None, Finding]:
        """Return what is on record of a split and its shift, and what this edge finds now."""
        watched = self._watched.get(split.hostname)
        return self._record(split, self._mirror.shifts.get(split.hostname)), watched.finding if watched else _NOT_YET

    def _record(self, split: Split, shift: Shift | None) -> Guarded | None:
        """Return what was found of a split as it is, with its shift."""
        began_at = shift.began_at if shift is not None and shift.split == split.digest else 0.0
        watched = self._watched.get(split.hostname)
        unwritten = watched.unwritten if watched is not None else None
        for record in (unwritten, self._mirror.guarded.get(split.hostname)):
            if record is not None and (record.split, record.shift_began_at) == (split.digest, began_at):
                return record
        return None

    def _taken_of(self, split: Split) -> tuple[int, int] | None:
        """See `SplitHostnames.taken_of`; it holds as well when a policy has no guard any more."""
        record = self._record(split, self._mirror.shifts.get(split.hostname))
        if record is None or record.action != "back" or record.selector not in split.names:
            return None
        share = split.names.index(record.selector)
        heir = split.heir(share)
        return (share, heir) if heir is not None else None

    def _progress_of(self, split: Split, shift: Shift) -> float | None:
        """See `Shifts.progress_of`: what gives the guarded share less needs nobody to vouch for it."""
        record = self._record(split, shift)
        guarded = split.names[split.guarded] if split.guarded is not None else None
        if record is not None and record.action:
            guarded = record.selector
        if guarded is None or not shift.over_seconds:
            return None
        if (shift.target > shift.start) != (shift.selector == guarded):
            return None
        return record.progress_seconds if record is not None else 0.0

    def _changed(self, changes: Sequence[Change]) -> None:
        """Follow what the registry says."""
        for change in changes:
            value = change.after or change.before
            if isinstance(value, Guarded):
                if change.after is None:
                    self._watched.pop(value.hostname, None)  # it was reset, so it is judged anew
                self._splitting.arrange(value.hostname)

    # Looking.

    async def _look_at_all(self) -> None:
        try:
            await self._slices.run(self._steps())
        except SchedulerStopped:
            return

    def _steps(self) -> Iterator[None]:
        splits = {name: split for name, split in self._splitting.splits.items() if split.guarded is not None}
        for gone in self._watched.keys() - splits.keys():
            del self._watched[gone]
        self._broken &= splits.keys()
        for split in splits.values():
            if self._splitting.splits.get(split.hostname) is split:
                if split.guarded is not None and split.shifted is not None and not self._is_here(split, split.guarded):
                    yield from self._elsewhere.look(split, split.guarded, self._clock.seconds())
                self._try_to_look_at(split)
            yield

    def _is_here(self, split: Split, share: int) -> bool:
        """Return whether this edge has a tunnel of a share."""
        return any(user.shares[share].count for user in self._splitting.some_users_of(split))

    def _try_to_look_at(self, split: Split) -> None:
        """Look; what goes wrong with one split holds its shift, and stops no other's guard."""
        try:
            self._look_at(split)
        except Exception:
            if split.hostname not in self._broken:
                self._log.failure(
                    "Cannot judge the guarded share of {hostname}; its shift is held", hostname=split.hostname
                )
            self._broken.add(split.hostname)
            watched = self._watched.get(split.hostname)
            if watched is not None:
                watched.finding = _BROKEN
        else:
            self._broken.discard(split.hostname)

    def _look_at(self, split: Split) -> None:
        limits, guarded, now = split.limits, split.guarded, self._clock.seconds()
        if limits is None or guarded is None:
            return
        shift = self._shifts.of(split)
        key = split.digest, limits, shift[0].began_at if shift is not None else 0.0
        watched = self._watched.get(split.hostname)
        if watched is None or watched.key != key:
            guard = Guard(limits)
            if watched is not None and watched.key[:2] == key[:2]:
                guard.remember_others_of(watched.guard)
            watched = self._watched[split.hostname] = Watched(key, split.names[guarded], guard, now)
        record = self._record(split, shift[0] if shift is not None else None)
        if record is not None and record.action:
            known = self._mirror.guarded.get(split.hostname)
            if known is not None and known.action and _is_of_same(known, record):
                watched.unwritten = None  # the registry has it, or another edge was first
            watched.finding = Finding(Verdict.WORSE, record.reason)
        elif not self._splitting.is_judged(split):
            watched.finding = Finding(Verdict.UNDECIDED, "the policy has more shares than are counted apart")
        else:
            before, watched.finding = watched.finding, self._judged(split, guarded, watched, shift)
            if watched.finding.verdict is Verdict.WORSE:
                self._found_worse(split, guarded, watched, record, key[2])
            elif watched.finding.verdict is Verdict.BETTER and before.verdict is Verdict.BETTER:
                watched.vouched_seconds += now - watched.looked_at
        watched.looked_at = now
        self._write_what_is_due(split, watched, shift, record)

    def _judged(self, split: Split, guarded: int, watched: Watched, shift: tuple[Shift, int] | None) -> Finding:
        users = self._splitting.some_users_of(split)
        counted = list(self._splitting.counted(split))
        own = [counted.pop(guarded)]
        is_wished = shift is not None and shift[1] > 0 and shift[0].selector == split.names[guarded]
        is_here = self._is_here(split, guarded)
        return watched.guard.look(
            Moment(self._clock.seconds(), counts_of(own), counts_of(counted)),
            is_healthy=any(user.shares[guarded].healthy for user in users),
            is_awaited=is_here or (is_wished and not self._elsewhere.is_healthy(split, guarded)),
            is_ejected=_is_ejected([user.shares[guarded] for user in users]),
        )

    def _found_worse(
        self, split: Split, guarded: int, watched: Watched, record: Guarded | None, began_at: float
    ) -> None:
        action: Literal["back", "freeze"] = "back" if split.takes_back else "freeze"
        found = record or Guarded(hostname=split.hostname, split=split.digest, selector="", shift_began_at=began_at)
        watched.unwritten = replace(
            found,
            selector=split.names[guarded],
            action=action,
            reason=watched.finding.reason,
            edge=self._edge,
            at=self._wall.now(),
        )
        place = split.hostname, split.names[guarded], action
        self._worse[place] = self._worse.get(place, 0) + 1
        self._splitting.arrange(split.hostname)
        guard = split.document.guard
        if guard is not None and guard.notify is not None:
            self._notices.tell(guard.notify, notice(watched.unwritten))
        self._log.warn(
            "{hostname}: {share} does worse than the others, so {action}: {reason}",
            hostname=split.hostname,
            share=shown_selector(split.names[guarded]),
            action=_DONE[action],
            reason=watched.finding.reason,
        )

    # Writing.

    def _write_what_is_due(
        self, split: Split, watched: Watched, shift: tuple[Shift, int] | None, record: Guarded | None
    ) -> None:
        if watched.writing is not None:
            return
        wanted = watched.unwritten
        if wanted is None and shift is not None and not (record is not None and record.action):
            wanted = self._progress(split, watched, shift[0], record)
        if wanted is not None:
            watched.writing = Deferred.fromCoroutine(self._write(watched, wanted))
            if watched.writing.called:
                watched.writing = None

    def _progress(self, split: Split, watched: Watched, shift: Shift, record: Guarded | None) -> Guarded | None:
        """Return how far a shift may go by now; None if that is not due."""
        progress = self._progress_of(split, shift)
        if progress is None or progress >= shift.over_seconds:
            return None
        if watched.vouched_seconds < max(watched.guard.limits.seconds / SLOTS, shift.over_seconds / STEPS):
            return None
        now = self._wall.now()
        vouched = watched.vouched_seconds
        if record is not None and record.at <= now:  # another edge may have vouched for the same time
            vouched = min(vouched, now - record.at)
        return Guarded(
            hostname=split.hostname,
            split=split.digest,
            selector=record.selector if record is not None else watched.selector,
            shift_began_at=shift.began_at,
            progress_seconds=progress + vouched,
            edge=self._edge,
            at=now,
        )

    async def _write(self, watched: Watched, record: Guarded) -> None:
        """Write a record, unless somebody found the share worse before."""
        try:
            item = await self._store.get(record.key)
            before = decode(item.key, item.value) if item is not None else None
            if not (isinstance(before, Guarded) and before.action and _is_of_same(before, record)):
                expected = Expect(record.key, item.modified if item is not None else 0)
                if not await self._store.transact([expected], [Put(record.key, encode(record))]):
                    return  # another edge was first; what is due is looked at again
            watched.vouched_seconds = 0.0
            watched.is_failing = False
        except RegistryError as error:
            if not watched.is_failing:
                self._log.warn(
                    "what the guard of {hostname} found cannot be written for now: {error}",
                    hostname=record.hostname,
                    error=error,
                )
            watched.is_failing = True
        finally:
            watched.writing = None

    def collect(self) -> Iterable[Metric]:
        """Build the families of one scrape."""
        verdicts = GaugeMetricFamily(
            "warp_edge_guard_verdict",
            "What this edge's guard finds of a share: 1 as good as the others, 0 undecided, -1 worse.",
            labels=("hostname", "share"),
        )
        for hostname, watched in self._watched.items():
            split = self._splitting.splits.get(hostname)
            if split is not None and split.guarded is not None:
                verdicts.add_metric((hostname, split.names[split.guarded]), _FIGURES[watched.finding.verdict])
        worse = CounterMetricFamily(
            "warp_edge_guard_worse",
            "How often this edge found a guarded share worse than the others, by what came of it.",
            labels=("hostname", "share", "action"),
        )
        for place, count in self._worse.items():
            worse.add_metric(place, count)
        yield verdicts
        yield worse


def notice(found: Guarded) -> dict[str, object]:
    """Return what a guard's `notify` is told; `text` is what chats show."""
    share, did = shown_selector(found.selector), _DONE[found.action]
    return {
        "text": f"{found.hostname}: {share} does worse than the others, so {did}: {found.reason}",
        "hostname": found.hostname,
        "selector": found.selector,
        "action": found.action,
        "reason": found.reason,
        "edge": found.edge,
        "at": found.at,
    }


def _is_ejected(shares: Sequence[Members]) -> bool:
    """Whether there are origins, and none of them is used as any other, on any route."""
    with_tunnels = [share for share in shares if share.count]
    return bool(with_tunnels) and all(share.is_ejected for share in with_tunnels)


def _is_of_same(one: Guarded, other: Guarded) -> bool:
    return (one.split, one.shift_began_at) == (other.split, other.shift_began_at)
