"""
Shifts of splits: durable records beside the policy that every edge follows, made and taken back by operators.

A shift belongs to one split: it says nothing of another that the same hostname has in a later policy, and is cleared
when an edge sees the split change. A policy that is applied again, or changes elsewhere, leaves it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from warp_base.wall_clock import WallClock
from warp_twisted.edge.errors import CannotShift, NotShifted
from warp_twisted.edge.routes.split_hostnames import SplitHostnames
from warp_twisted.names import HostnamePattern, shown_selector
from warp_twisted.registry.errors import RegistryError
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change, encode
from warp_twisted.registry.route_records import GUARDED, Guarded, Shift
from warp_twisted.registry.store import Delete, Expect, Put, Store
from warp_twisted.routing.layout import WHOLE
from warp_twisted.routing.shifts import further, guarded_part, part_at
from warp_twisted.routing.split import Split

STEP_SECONDS = 1.0
MAX_OVER_SECONDS = 30 * 86_400.0


class Shifts:
    """
    The shifts of one fleet, as one edge follows them.

    :param splitting: is told what each split's share gets.
    :ivar progress_of: returns for how long a guard vouched for the share of a shift; None: the calendar says it.
    """

    _log = Logger()

    def __init__(
        self, store: Store, mirror: Mirror, clock: IReactorTime, wall: WallClock, splitting: SplitHostnames
    ) -> None:
        self._store = store
        self._mirror = mirror
        self._wall = wall
        self._splitting = splitting
        self._reached: dict[str, tuple[Shift, int]] = {}  # by hostname: how far a shift has come
        self._clearing: set[Deferred[None]] = set()
        self.progress_of: Callable[[Split, Shift], float | None] = lambda split, shift: None
        self._stepping = LoopingCall(self._step)
        self._stepping.clock = clock
        splitting.shifted_of = self._shifted_of
        splitting.replaced = self._replaced
        mirror.subscribe(self._changed)

    def start(self) -> None:
        """Begin to go on with shifts that take time."""
        self._stepping.start(STEP_SECONDS)

    def stop(self) -> None:
        """Go on no more; what is being cleared is left to whoever comes next."""
        if self._stepping.running:
            self._stepping.stop()
        for clearing in list(self._clearing):
            clearing.cancel()

    def of(self, split: Split) -> tuple[Shift, int] | None:
        """Return the shift of a split and what its share gets now; None if there is none."""
        shift = self._mirror.shifts.get(split.hostname)
        if shift is None or shift.split != split.digest or shift.selector not in split.names:
            return None
        return shift, self._part(split, shift)

    def _part(self, split: Split, shift: Shift) -> int:
        progress = self.progress_of(split, shift)
        if progress is not None:
            part = guarded_part(shift.start, shift.target, progress, shift.over_seconds)
        else:
            part = part_at(shift.start, shift.target, shift.began_at, shift.over_seconds, self._wall.now())
        known = self._reached.get(shift.hostname)
        if known is not None and known[0] == shift:
            part = further(shift.start, shift.target, part, known[1])
        self._reached[shift.hostname] = shift, part
        return part

    def _shifted_of(self, split: Split) -> tuple[int, int] | None:
        found = self.of(split)
        return (split.names.index(found[0].selector), found[1]) if found is not None else None

    def _changed(self, changes: Sequence[Change]) -> None:
        """Follow what the registry says."""
        for change in changes:
            value = change.after or change.before
            if isinstance(value, Shift):
                if change.after is None:
                    self._reached.pop(value.hostname, None)
                self._splitting.arrange(value.hostname)

    def _step(self) -> None:
        """Go on with what takes time."""
        for hostname, (shift, part) in list(self._reached.items()):
            if part != shift.target:
                self._splitting.arrange(hostname)

    def _replaced(self, before: Mapping[str, Split], after: Mapping[str, Split]) -> None:
        """Clear the shifts of splits that a policy has changed; those of hostnames that it leaves out stay."""
        for hostname in {**self._mirror.shifts, **self._mirror.guarded}:
            old, new = before.get(hostname), after.get(hostname)
            if old is None or new is None or old.digest == new.digest:
                continue
            shift, found = self._mirror.shifts.get(hostname), self._mirror.guarded.get(hostname)
            value = shift if shift is not None else found
            if value is not None and value.split != new.digest:
                cleared = Deferred.fromCoroutine(self._clear(value))
                self._clearing.add(cleared)
                cleared.addBoth(self._cleared, cleared)

    def _cleared(self, result: object, clearing: Deferred[None]) -> None:
        self._clearing.discard(clearing)

    async def _clear(self, value: Shift | Guarded) -> None:
        try:
            if await self._remove(value):
                self._log.info("the shift of {hostname} was cleared, as its split has changed", hostname=value.hostname)
        except RegistryError as error:
            self._log.warn(
                "the shift of {hostname}, whose split has changed, stays in the registry for now: {error}",
                hostname=value.hostname,
                error=error,
            )

    async def _remove(self, value: Shift | Guarded) -> bool:
        """Remove a record, and what a guard has found with it, unless it has changed meanwhile."""
        item = await self._store.get(value.key)
        if item is None or item.value != encode(value):
            return False
        operations = [Delete(key) for key in {item.key, GUARDED + value.hostname}]
        return await self._store.transact([Expect(item.key, item.modified)], operations)

    # For operators.

    async def shift(self, hostname: str, selector: str, percent: float, over_seconds: float, author: str = "") -> Shift:
        """
        Give a share another part than the policy does.

        :param percent: of the requests of its tier, 0 to 100.
        :param over_seconds: how long that takes.
        :raises CannotShift: naming what there is to shift.
        :raises RegistryError: if the registry cannot be written.
        """
        split = self._split(hostname)
        index = split.index(selector)
        if index is None:
            names = ", ".join(map(shown_selector, split.names))
            raise CannotShift(f"{split.hostname} has no share {selector!r}; its shares are {names}")
        if not 0 <= percent <= 100 or not 0 <= over_seconds <= MAX_OVER_SECONDS:
            raise ValueError("expected a part of 0 to 100 percent, over 30 days at most")
        known = self.of(split)
        if known is not None and known[0].selector != split.names[index]:
            raise CannotShift(
                f"{split.hostname} has a shift of {shown_selector(known[0].selector)}, and one share is shifted at a"
                " time; reset that first"
            )
        tier = next(at for at, members in enumerate(split.tiers) if index in members)
        parts = split.layout(tier).parts
        if sum(part for at, part in enumerate(parts) if at != index) == 0 and percent < 100:
            raise CannotShift(
                f"{shown_selector(split.names[index])} has all the weight of its tier, so nothing says who would get"
                " the rest; change the split in the policy"
            )
        start = known[1] if known is not None else round(parts[index] * WHOLE)
        shift = Shift(
            hostname=split.hostname,
            split=split.digest,
            selector=split.names[index],
            start=0 if split.taken is not None and split.taken[0] == index else start,
            target=round(percent * WHOLE / 100),
            began_at=self._wall.now(),
            over_seconds=over_seconds,
            author=author,
        )
        item = await self._store.get(shift.key)
        expected = Expect(shift.key, item.modified if item is not None else 0)
        if not await self._store.transact([expected], [Put(shift.key, encode(shift))]):
            raise CannotShift(f"{split.hostname} was shifted by somebody else meanwhile; look again and repeat it")
        self._log.info(
            "{hostname}: {selector} goes from {start:g} % to {target:g} % over {seconds:g} s, by {author}",
            hostname=shift.hostname, selector=shown_selector(shift.selector), start=shift.start / 100,
            target=shift.target / 100, seconds=over_seconds, author=author or "somebody",
        )  # fmt: skip
        return shift

    async def reset(self, hostname: str, author: str = "") -> Shift | Guarded:
        """
        Let the policy's weights hold again, at once, and forget what a guard has found.

        :returns: what held in their place.
        :raises NotShifted: if there was nothing.
        :raises RegistryError: if the registry cannot be written.
        """
        name = HostnamePattern.parse(hostname).text
        held: Shift | Guarded | None = self._mirror.shifts.get(name) or self._mirror.guarded.get(name)
        if held is None or not await self._remove(held):
            raise NotShifted(f"{name} is not shifted; warp route show shows what is")
        self._log.info("the shift of {hostname} was reset by {author}", hostname=name, author=author or "somebody")
        return held

    def _split(self, hostname: str) -> Split:
        name = HostnamePattern.parse(hostname).text
        splits = self._splitting.splits
        if name not in splits:
            known = ", ".join(list(splits)[:10]) or "none"
            raise CannotShift(f"no entry of the policy's routing is for {name}; hostnames with one: {known}")
        return splits[name]

    def listed(self) -> Iterator[tuple[Split, tuple[Shift, int] | None]]:
        """Return each split of the policy, with its shift."""
        for split in list(self._splitting.splits.values()):
            yield split, self.of(split)
