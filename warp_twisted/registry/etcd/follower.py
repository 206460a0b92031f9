"""
Keeping a copy of etcd's keys current: read everything, watch what comes after, begin again when the watch is over.

States: `reading` (pages at one revision) -> `watching` -> `away` (a pause that grows to two seconds) -> `reading` or,
where etcd still has the changes since, `watching`. A watch that says nothing is not believed for long: now and then a
beat is written under a key of this follower, and has to be heard. So a connection that died silently, a member that
lost its peers and an etcd that takes no writes are all noticed within `BEAT_SECONDS` and an answer's time.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_twisted.registry.errors import RegistryError, StoreBroken
from warp_twisted.registry.etcd.interface import Etcd, RunningWatch
from warp_twisted.registry.etcd.messages import (
    RANGE_PATH,
    TRANSACTION_PATH,
    Change,
    Heard,
    range_request,
    read_outcome,
    read_page,
    transaction_request,
    watch_request,
)

BEATS = "beats/"  # never told: they are the follower's own
BEAT_SECONDS = 4.0  # without a message
HEARD_SECONDS = 2.0  # that a beat may take through the watch, after it was written
MAX_REASONS = 20
PAUSES = (0.1, 0.3, 1.0, 2.0)  # before each further attempt; the last again and again

Snapshot = Callable[[Sequence[Change], int], Awaitable[None]]
Changed = Callable[[Sequence[Change], int], object]


class Follower:
    """
    Follows all keys.

    :param name: of this follower, unlike that of any other; part of its beat's key.
    :param snapshot: told all keys and their revision, at first and whenever changes were missed; no change is told
        until it is done. It may refuse to follow this etcd with a `StoreBroken`.
    :param changed: told the changes of one revision, in order, and that revision.
    :param away: told why etcd cannot be followed now; each reason once until it can.
    :param back: told when it can be again, after what was missed was told.
    :ivar revision: up to which everything was told; 0 before the first snapshot.
    """

    _log = Logger()

    def __init__(
        self,
        client: Etcd,
        clock: IReactorTime,
        name: str,
        *,
        snapshot: Snapshot,
        changed: Changed,
        away: Callable[[str], object],
        back: Callable[[], object],
    ) -> None:
        self._client = client
        self._clock = clock
        self._beat_key = BEATS + name
        self._snapshot = snapshot
        self._changed = changed
        self._away = away
        self._back = back
        self.revision = 0
        self._attempts = 0  # that failed since it was current last
        self._is_current = False
        self._reasons: set[str] = set()  # that were told since it was current last
        self._is_compacted = True  # nothing was read yet
        self._running: Deferred[None] | None = None
        self._watch: RunningWatch | None = None
        self._timer: IDelayedCall | None = None
        self._awaited = 0  # the revision of a beat that was not heard yet
        self._is_stopped = False

    def start(self) -> None:
        """Begin."""
        self._run(self._follow)

    def stop(self) -> None:
        """Tell nothing more."""
        self._is_stopped = True
        self._leave()

    def distrust(self, why: str) -> None:
        """Begin again elsewhere: what was written was not heard."""
        if not self._is_stopped:
            self._client.leave(self._client.endpoint)
            self._lost(why)

    def refuse(self, why: str) -> None:
        """Believe nothing of what was told, and begin again with everything."""
        if not self._is_stopped:
            self._is_compacted = True
            self._lost(why)

    def _leave(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    def _run(self, step: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> None:
        """Do one of the steps below; what goes wrong in it is a reason to begin again."""
        running = Deferred.fromCoroutine(step())
        self._running = running

        def failed(failure: Failure) -> None:
            if self._running is not running:
                return  # given up meanwhile
            self._running = None
            if not failure.check(RegistryError):
                self._log.failure("a bug while following etcd", failure)
            self._lost(failure.getErrorMessage())

        def done(_: None) -> None:
            if self._running is running:
                self._running = None

        running.addCallbacks(done, failed)

    async def _follow(self) -> None:
        if self._is_compacted:
            await self._read()
        self._watch = await self._client.watch(watch_request(self.revision), self._heard)
        await self._beat()  # proves that the watch begins where it should: it must be heard

    async def _read(self) -> None:
        """Read everything at one revision."""
        found: list[Change] = []
        page = read_page(await self._client.call(RANGE_PATH, range_request()))
        revision = page.revision
        found += page.changes
        while page.more:
            after = page.changes[-1].key
            page = read_page(await self._client.call(RANGE_PATH, range_request(after, revision)))
            found += page.changes
        await self._snapshot([each for each in found if not each.key.startswith(BEATS)], revision)
        self._is_compacted = False
        self.revision = revision

    async def _beat(self) -> None:
        """Write what has to be heard, and wait for it."""
        wish = transaction_request({}, {self._beat_key: b""})
        before = self.revision
        outcome = read_outcome(await self._client.call(TRANSACTION_PATH, wish))
        if outcome.revision <= before:
            self._is_compacted = True
            raise StoreBroken("etcd is at an older revision than before, as after a restore; it is read again")
        self._awaited = outcome.revision
        self._time(HEARD_SECONDS, self._unheard)
        self._proved()

    def _unheard(self) -> None:
        self.distrust(f"etcd at {self._client.endpoint} does not tell what was written")

    def _heard(self, heard: Heard) -> None:
        if self._is_stopped:
            return
        if heard.ended:
            self._watch = None
            self._is_compacted = self._is_compacted or heard.is_compacted
            self._lost(f"etcd ended the watch: {heard.ended}")
            return
        begin, watch = 0, self._watch
        changes = heard.changes
        for index, change in enumerate(changes):
            if index + 1 == len(changes) or changes[index + 1].modified != change.modified:
                self._tell(changes[begin : index + 1], change.modified)
                begin = index + 1
                if self._watch is not watch:
                    return  # it was refused
        self.revision = max(self.revision, heard.revision)
        self._proved()

    def _tell(self, changes: Sequence[Change], revision: int) -> None:
        if revision > self.revision:
            self.revision = revision
            told = [each for each in changes if not each.key.startswith(BEATS)]
            self._changed(told, revision)

    def _proved(self) -> None:
        """Find out whether the last beat was heard."""
        if self._awaited and self.revision >= self._awaited:
            self._awaited = 0
            self._attempts = 0
            if not self._is_current:
                self._is_current = True
                self._reasons.clear()
                self._back()
        if not self._awaited and self._is_current:
            self._time(BEAT_SECONDS, lambda: self._run(self._beat))

    def _lost(self, why: str) -> None:
        self._leave()
        self._awaited = 0
        pause = PAUSES[min(self._attempts, len(PAUSES) - 1)]
        self._attempts += 1
        self._is_current = False
        if why not in self._reasons and len(self._reasons) < MAX_REASONS:
            self._reasons.add(why)
            self._away(why)
        self._time(pause, lambda: self._run(self._follow))

    def _time(self, seconds: float, step: Callable[[], object]) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._clock.callLater(seconds, step)
