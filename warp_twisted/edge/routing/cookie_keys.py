"""
The keys that visitors' cookies are signed with: in the registry, for all edges, and replaced every 30 days.

A key is in the registry for an hour before it signs, so that an edge which hears of it late still reads every cookie;
and it is read for at least 30 days after, as long as any cookie lives: no visitor loses its share by a new key.
"""

import secrets
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from warp_base.wall_clock import WallClock
from warp_twisted.registry.errors import RegistryError
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change, encode
from warp_twisted.registry.route_records import RouteKey
from warp_twisted.registry.store import Delete, Expect, Operation, Put, Store
from warp_twisted.routing.cookies import CookieKeys

CHECK_SECONDS = 60.0
SIGNS_SECONDS = 30 * 86_400.0
KNOWN_SECONDS = 3_600.0  # before a key signs
KEPT = 3
NUMBERS = 256
SECRET_BYTES = 32


class FleetCookieKeys:
    """
    Keeps the keys.

    :param are_needed: says whether visitors of any hostname are kept by a cookie.
    :param use: called with the keys whenever they change; None: there are none.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        mirror: Mirror,
        clock: IReactorTime,
        wall: WallClock,
        *,
        are_needed: Callable[[], bool],
        use: Callable[[CookieKeys | None], object],
    ) -> None:
        self._store = store
        self._mirror = mirror
        self._wall = wall
        self._are_needed = are_needed
        self._use = use
        self._used: list[tuple[int, bytes]] = []
        self._is_failing = False
        self._is_renewing = False
        self._checking = LoopingCall(self.check)
        self._checking.clock = clock
        mirror.subscribe(self._changed)

    def start(self) -> None:
        """Use the keys that there are, and begin to look for what is due."""
        self._checking.start(CHECK_SECONDS)

    def stop(self) -> None:
        """Renew no more."""
        if self._checking.running:
            self._checking.stop()

    def _changed(self, changes: Sequence[Change]) -> None:
        if any(isinstance(change.before or change.after, RouteKey) for change in changes):
            self._follow()

    def _follow(self) -> None:
        """Use what the registry has: the newest key signs that every edge knows by now."""
        now = self._wall.now()
        keys = sorted(self._mirror.route_keys.values(), key=lambda key: key.created_at, reverse=True)
        signing = next((key for key in keys if key.created_at + KNOWN_SECONDS <= now), keys[-1] if keys else None)
        ordered = [(key.number, bytes.fromhex(key.secret)) for key in sorted(keys, key=lambda key: key is not signing)]
        if ordered != self._used:
            self._used = ordered
            self._use(CookieKeys(ordered) if ordered else None)

    def look(self) -> None:
        """Make the first key now, if a new policy needs one."""
        done = self.check()
        if done is not None:
            done.addErrback(lambda failure: self._log.failure("keys for visitors' cookies could not be kept", failure))

    def check(self) -> Deferred[None] | None:
        """Make the first key when one is needed, the next when it is due."""
        self._follow()
        if not self._mirror.is_current or self._is_renewing or not self._are_needed():
            return None
        newest = max((key.created_at for key in self._mirror.route_keys.values()), default=None)
        if newest is not None and self._wall.now() < newest + SIGNS_SECONDS:
            return None
        self._is_renewing = True
        return Deferred.fromCoroutine(self._renew())

    async def _renew(self) -> None:
        """Write a key, if no other edge does, and drop the oldest."""
        keys = sorted(self._mirror.route_keys.values(), key=lambda key: key.created_at)
        number = (keys[-1].number + 1) % NUMBERS if keys else 0
        key = RouteKey(number=number, secret=secrets.token_hex(SECRET_BYTES), created_at=self._wall.now())
        dropped: list[Operation] = [Delete(old.key) for old in keys[: -(KEPT - 1)]]
        try:
            await self._store.transact([Expect(key.key, 0)], [*dropped, Put(key.key, encode(key))])
            self._is_failing = False
        except RegistryError as error:
            if not self._is_failing:
                self._log.warn("a key for visitors' cookies cannot be written for now: {error}", error=error)
            self._is_failing = True
        finally:
            self._is_renewing = False
