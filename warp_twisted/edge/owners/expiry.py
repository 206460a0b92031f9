"""
Giving up hostnames that their group has not served for long enough, and what is left to write of those who took them.

Since when nobody serves a hostname is noted in the registry when two looks in a row find it so; an edge that was down
notes it when it is back, so that nobody loses a hostname by an outage of the edge. As a wall clock may be wrong for
some hours, a hostname must also have been due for that long by the monotonic clock. Decides only what is due.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, SchedulerStopped
from twisted.logger import Logger

from warp_base.slices import Slices, in_steps
from warp_base.wall_clock import WallClock
from warp_twisted.edge.owners.holdings import Holdings, Served
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.registry.errors import RegistryError
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Owner, decode, encode
from warp_twisted.registry.store import Delete, Expect, Put, Store

SWEEP_SECONDS = 60.0
WAIT_SECONDS = 6 * 3600.0  # for which a hostname must have been due, unless it is held for less
LOOKED_AT_IN_A_STEP = 200
BATCH = 100  # owners written in one sweep; more wait for the next


@dataclass(slots=True)
class _Due:
    """What a look found: owners as they are, and as they should be; None: they are to go."""

    changes: dict[Owner, Owner | None] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    over_since: dict[str, float] = field(default_factory=dict)


class NameExpiry:
    """
    Looks after the owners of hostnames, now and then.

    :param served: what is served now.
    :param settings: returns the settings as they are now.
    :param slices: look through the registry, which may be large.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        mirror: Mirror,
        holdings: Holdings,
        served: Served,
        clock: IReactorTime,
        wall: WallClock,
        settings: Callable[[], EdgeSettings],
        slices: Slices,
    ) -> None:
        self._store = store
        self._mirror = mirror
        self._holdings = holdings
        self._served = served
        self._clock = clock
        self._wall = wall
        self._settings = settings
        self._slices = slices
        self._absent: set[str] = set()  # hostnames that the last look found without a tunnel
        self._over_since: dict[str, float] = {}  # hostname → monotonic instant of the look that found it due first
        self._sweeping = LoopingCall(lambda: Deferred.fromCoroutine(self.sweep()))
        self._sweeping.clock = clock

    def start(self) -> None:
        """Begin to look, now and then."""
        self._sweeping.start(SWEEP_SECONDS, now=False)

    def stop(self) -> None:
        """Look no more."""
        if self._sweeping.running:
            self._sweeping.stop()

    async def sweep(self) -> None:
        """Write down one batch of what has changed; while the registry is away nothing is."""
        due = _Due()
        try:
            await self._slices.run(self._look(due))
        except SchedulerStopped:
            return
        self._absent, self._over_since = due.absent, due.over_since
        gone = 0
        try:
            for owner in list(self._holdings.unwritten.values())[:BATCH]:
                await self._store.transact([Expect(owner.key)], [Put(owner.key, encode(owner))])
            for before, after in due.changes.items():
                gone += await self._change(before, after) and after is None
        except RegistryError:
            pass  # logged by `registry.claims`
        if gone:
            self._log.info("{count} hostnames belong to nobody any more: their groups served them no more", count=gone)

    def _look(self, due: _Due) -> Iterator[None]:
        now, instant, hold = self._wall.now(), self._clock.seconds(), self._settings().names.hold
        for owners in in_steps(list(self._mirror.owners.values()), LOOKED_AT_IN_A_STEP):
            for owner in owners:
                after = self._after(owner, now, instant, hold, due)
                if after != owner and len(due.changes) < BATCH:
                    due.changes[owner] = after
            yield

    def _after(self, owner: Owner, now: float, instant: float, hold: float, due: _Due) -> Owner | None:
        """Return an owner as it should be now; None if it should go."""
        if self._served.agents_serving(owner.hostname):
            return replace(owner, away_since=0.0) if owner.away_since else owner
        due.absent.add(owner.hostname)
        if owner.hostname not in self._absent:
            return owner
        if not self._holdings.members_of(owner.group):  # its last agent was revoked
            return None
        if not owner.away_since or owner.away_since > now:  # by a clock that was ahead
            return replace(owner, away_since=now)
        if owner.away_since + hold > now:
            return owner
        since = due.over_since[owner.hostname] = self._over_since.get(owner.hostname, instant)
        return None if instant - since >= min(hold, WAIT_SECONDS) else owner

    async def _change(self, before: Owner, after: Owner | None) -> bool:
        """Change an owner if it is still the one that was judged, and nobody has come to serve it; say whether."""
        item = await self._store.get(before.key)
        if item is None or decode(item.key, item.value) != before:
            return False
        if after is None and self._served.agents_serving(before.hostname):
            return False
        operation = Delete(before.key) if after is None else Put(after.key, encode(after))
        is_changed = await self._store.transact([Expect(before.key, item.modified)], [operation])
        if is_changed and after is None and self._served.agents_serving(before.hostname):
            # An agent has begun meanwhile, as the owner was still there when it asked.
            served = replace(before, away_since=0.0)
            await self._store.transact([Expect(before.key)], [Put(before.key, encode(served))])
            return False
        return is_changed
