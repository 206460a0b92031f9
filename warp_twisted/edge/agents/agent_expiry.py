"""
Forgetting agents that are gone: the record of an agent is kept while it can come back, and some time more.

An agent whose certificate has ended may return for as long as `ca.agent_absence` says; after that it enrolls again
under another id. Without this, machines that come and go would leave a record each for ever. Revocations are not
touched: they are few, made by hand, and must outlive every certificate. It decides only what is old; that is looked for
in small batches. What is old must have been so for some hours of the monotonic clock, for the wall clock may be wrong.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, SchedulerStopped
from twisted.logger import Logger

from warp_base.slices import Slices, in_steps
from warp_base.wall_clock import WallClock
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.registry.errors import RegistryError
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import NAMES, Agent, encode
from warp_twisted.registry.store import Delete, Put, Store
from warp_twisted.registry.unchanged import change_if_unchanged

KEPT_SECONDS = 30 * 86400.0  # after the end of an agent's last certificate at least, for who asks who it was
WAIT_SECONDS = 6 * 3600.0  # an edge's clock that is years ahead is noticed within that time
SWEEP_SECONDS = 600.0
LOOKED_AT_IN_A_STEP = 500
BATCH = 100  # records touched in one sweep; more wait for the next


class AgentExpiry:
    """
    Removes the records of agents that cannot come back.

    :param settings: returns the settings as they are now.
    :param slices: look through the registry, which may be large.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        mirror: Mirror,
        clock: IReactorTime,
        wall: WallClock,
        settings: Callable[[], EdgeSettings],
        slices: Slices,
    ) -> None:
        self._store = store
        self._mirror = mirror
        self._clock = clock
        self._wall = wall
        self._old_since: dict[str, float] = {}  # agent id → monotonic instant of the sweep that found it old first
        self._settings = settings
        self._slices = slices
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
        """Remove one batch of what is old; while the registry is away nothing is."""
        now = self._wall.now()
        old: dict[str, Agent] = {}
        names: dict[str, list[str]] = {}
        try:
            await self._slices.run(self._look(now, old, names))
        except SchedulerStopped:
            return
        removed = 0
        try:
            for agent in old.values():
                if agent.expires_at:
                    keys = [agent.key, *names.get(agent.id, ())]
                    removed += await change_if_unchanged(self._store, agent, [Delete(key) for key in keys])
                else:  # of an edge that did not write it down: any certificate that it issued ends by then
                    stamped = replace(agent, expires_at=now + self._settings().ca.agent_lifetime)
                    await change_if_unchanged(self._store, agent, [Put(agent.key, encode(stamped))])
        except RegistryError:
            pass  # logged by `registry.claims`
        if removed:
            self._log.info(
                "{count} agents were forgotten, {days:.0f} days after their certificates ended",
                count=removed, days=self._kept_seconds / 86400,
            )  # fmt: skip

    @property
    def _kept_seconds(self) -> float:
        return max(KEPT_SECONDS, self._settings().ca.agent_absence)

    def _look(self, now: float, old: dict[str, Agent], names: dict[str, list[str]]) -> Iterator[None]:
        """Find one batch of agents that are old, and the keys of the names that were made up for them."""
        here: set[str] = set()
        kept_seconds = self._kept_seconds
        instant = self._clock.seconds()
        old_since: dict[str, float] = {}
        for tunnels in in_steps(list(self._mirror.tunnels.values()), LOOKED_AT_IN_A_STEP):
            here.update(tunnel.agent for tunnel in tunnels)
            yield
        for agents in in_steps(list(self._mirror.agents.values()), LOOKED_AT_IN_A_STEP):
            for agent in agents:
                if agent.expires_at + kept_seconds <= now and agent.id not in here:
                    since = old_since[agent.id] = self._old_since.get(agent.id, instant)
                    if len(old) < BATCH and instant - since >= WAIT_SECONDS:
                        old[agent.id] = agent
            yield
        self._old_since = old_since
        for given_names in in_steps(list(self._mirror.given_names.values()), LOOKED_AT_IN_A_STEP):
            for given in given_names:
                if given.agent in old:
                    names.setdefault(given.agent, []).append(NAMES + given.hostname)
            yield
