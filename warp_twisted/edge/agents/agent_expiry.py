"""
Forgetting agents that are gone: the record of an agent is kept while it can come back, and some time more.

An agent whose certificate has ended cannot have a tunnel, nor be renewed; it enrolls anew under another id. Without
this, machines that come and go would leave a record each for ever. Revocations are not touched: they are few, made by
hand, and must outlive every certificate. It decides only what is old; that is looked for in small batches.
"""

from collections.abc import Callable
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from warp_twisted.registry.errors import RegistryError
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import NAMES, Agent, decode, encode
from warp_twisted.registry.store import Delete, Expect, Operation, Put, Store

KEPT_SECONDS = 30 * 86400.0  # after the end of an agent's last certificate, so that somebody may still ask who it was
SWEEP_SECONDS = 600.0
BATCH = 100  # records touched in one sweep; more wait for the next


class AgentExpiry:
    """
    Removes the records of agents that cannot come back.

    :param agent_lifetime: returns how long agents' certificates are valid, in seconds.
    """

    _log = Logger()

    def __init__(self, store: Store, mirror: Mirror, clock: IReactorTime, agent_lifetime: Callable[[], float]) -> None:
        self._store = store
        self._mirror = mirror
        self._clock = clock
        self._agent_lifetime = agent_lifetime
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
        now = self._clock.seconds()
        here = {tunnel.agent for tunnel in self._mirror.tunnels.values()}
        old = [
            agent
            for agent in self._mirror.agents.values()
            if agent.expires_at + KEPT_SECONDS <= now and agent.id not in here
        ]
        removed = 0
        try:
            for agent in old[:BATCH]:
                if agent.expires_at:
                    removed += await self._change(agent, *self._removal(agent))
                else:  # of an edge that did not write it down: any certificate that it issued ends by then
                    stamped = replace(agent, expires_at=now + self._agent_lifetime())
                    await self._change(agent, Put(agent.key, encode(stamped)))
        except RegistryError:
            pass  # whoever holds leases in it says so
        if removed:
            self._log.info("{count} agents were forgotten, 30 days after their certificates ended", count=removed)

    def _removal(self, agent: Agent) -> list[Operation]:
        names = [NAMES + given.hostname for given in self._mirror.given_names.values() if given.agent == agent.id]
        return [Delete(agent.key), *map(Delete, names)]

    async def _change(self, agent: Agent, *operations: Operation) -> bool:
        """Do something if the record is still the one that was judged; say whether it was done."""
        item = await self._store.get(agent.key)
        if item is None or decode(item.key, item.value) != agent:
            return False
        return await self._store.transact([Expect(agent.key, item.modified)], operations)
