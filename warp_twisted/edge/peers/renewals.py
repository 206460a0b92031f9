"""
Certificates that edges have issued to agents again, and that the registry does not say yet.

An agent renews at one edge and has tunnels at several, which close them when the certificate that they know ends. The
registry says that it was renewed; while that is away only the links do. Each edge tells what its own intermediate has
issued, until the agent's record says it: at once, and in the snapshot to an edge whose link was cut. What another edge
tells counts if the record knows the agent by the same key, and never against a revocation; nothing of it is kept but
the ends of the tunnels that are here. So there are as many of them as agents that were renewed at this edge.

The record is written by compare-and-set, some agents at a time, and tried again while the registry is away.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from warp_base.wall_clock import WallClock
from warp_twisted.edge.peers.notices import RENEWALS, Renewal
from warp_twisted.registry.errors import BadValue, RegistryError
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Agent, Change, Revocation, decode, encode
from warp_twisted.registry.store import Expect, Item, Put, Store

RETRY_SECONDS = 1.0  # an attempt while etcd is away asks nobody
BATCH = 16  # records of one transaction, 0.3 ms each to read, judge and write on a busy machine
MOST_SECONDS = 32 * 86400.0  # an agent's certificate lasts 31 days at most; edges' clocks may differ by a day


@dataclass(frozen=True, slots=True)
class _Issued:
    """
    One that this edge has issued.

    :param record: by which it was judged.
    :param renewed: the record as it is to be.
    """

    record: Agent
    renewed: Agent


class Renewals:
    """
    Those of this edge, and the judgement over those of others.

    :param clock: for attempts to write.
    :param wall: says which certificates have ended.
    :ivar told: called with the key of what is to be told to other edges.
    :ivar heard: called with an agent and the end of its certificate, in seconds since the epoch, as another edge says.
    """

    _log = Logger()

    def __init__(self, store: Store, mirror: Mirror, clock: IReactorTime, wall: WallClock) -> None:
        self._store = store
        self._mirror = mirror
        self._clock = clock
        self._wall = wall
        self._own: dict[str, _Issued] = {}
        self._waiting: dict[str, None] = {}  # agents whose records are written next
        self._is_writing = False
        self._is_stopped = False
        self._retry: IDelayedCall | None = None
        self.told: Callable[[str], None] = lambda key: None
        self.heard: Callable[[str, float], None] = lambda agent, expires_at: None
        mirror.subscribe(self._registry_changed)

    def __len__(self) -> int:
        """Return how many the registry does not say yet."""
        return len(self._own)

    def __iter__(self) -> Iterator[str]:
        """Yield the keys under which they are told."""
        return (RENEWALS + agent for agent in self._own)

    def stop(self) -> None:
        """Write nothing more."""
        self._is_stopped = True
        retry, self._retry = self._retry, None
        if retry is not None:
            retry.cancel()

    def get(self, key: str) -> Renewal | None:
        """Return what is told under a key; None: nothing any more."""
        issued = self._own.get(key.removeprefix(RENEWALS))
        if issued is None or issued.renewed.expires_at <= self._wall.now():
            return None
        renewed = issued.renewed
        return Renewal(agent=renewed.id, expires_at=renewed.expires_at, key_sha256=renewed.key_sha256)

    # What this edge issues.

    def issued(self, record: Agent, renewed: Agent) -> None:
        """
        Tell other edges of a certificate that this one has issued, and write it down as soon as that is possible.

        :param record: by which it was judged.
        :param renewed: the same with the end and the key of the certificate.
        """
        self._own[renewed.id] = _Issued(record, renewed)
        self._waiting[renewed.id] = None
        self.told(RENEWALS + renewed.id)
        self._write_soon()

    def _write_soon(self) -> None:
        if not self._is_writing and self._retry is None and not self._is_stopped:
            self._is_writing = True
            writing = Deferred.fromCoroutine(self._write())
            writing.addErrback(lambda failure: self._log.failure("renewals are not written down", failure))

    async def _write(self) -> None:
        try:
            while self._waiting:
                agents = list(islice(self._waiting, BATCH))
                for agent in agents:
                    del self._waiting[agent]
                if not await self._write_batch(agents):
                    for agent in agents:  # one of them changed in the same moment
                        await self._write_batch([agent])
        except RegistryError:
            pass  # said by `Readiness`; tried again below
        finally:
            self._is_writing = False
            if self._own and self._retry is None and not self._is_stopped:
                self._retry = self._clock.callLater(RETRY_SECONDS, self._write_all)

    def _write_all(self) -> None:
        self._retry = None
        self._waiting.update(dict.fromkeys(self._own))
        self._write_soon()

    async def _write_batch(self, agents: Sequence[str]) -> bool:
        """
        Write down what was issued to some agents, unless their records say something newer.

        :returns: whether their records were as they were read; else nothing was written.
        :raises RegistryError: if the registry is away.
        """
        written: list[_Issued] = []
        expectations: list[Expect] = []
        operations: list[Put] = []
        for agent in agents:
            issued = self._own.get(agent)
            if issued is None:
                continue
            item = await self._store.get(issued.record.key)
            found = _agent(item)
            if item is None or found is None or not _is_due(found, issued):
                self._forget(issued)
                continue
            renewed = replace(found, expires_at=issued.renewed.expires_at, key_sha256=issued.renewed.key_sha256)
            written.append(issued)
            expectations.append(Expect(found.key, item.modified))
            operations.append(Put(found.key, encode(renewed)))
        if operations and not await self._store.transact(expectations, operations):
            return False
        for issued in written:
            self._forget(issued)
        return True

    def _forget(self, issued: _Issued) -> None:
        if self._own.get(issued.renewed.id) is issued:
            del self._own[issued.renewed.id]

    def _registry_changed(self, changes: Sequence[Change]) -> None:
        for change in changes if self._own else ():
            if isinstance(change.after, Revocation):
                self._own.pop(change.after.agent, None)
            elif isinstance(change.before, Agent) and change.after is None:
                self._own.pop(change.before.id, None)

    # What others have issued.

    def hear(self, renewal: Renewal) -> None:
        """Let an agent's tunnels last as long as the certificate that another edge has issued to it, if that counts."""
        record = self._mirror.agents.get(renewal.agent)
        if record is None or renewal.agent in self._mirror.revocations or record.key_sha256 != renewal.key_sha256:
            return
        now = self._wall.now()
        if now < renewal.expires_at <= now + MOST_SECONDS:
            self.heard(renewal.agent, renewal.expires_at)


def _agent(item: Item | None) -> Agent | None:
    try:
        found = decode(item.key, item.value) if item is not None else None
    except BadValue:
        return None
    return found if isinstance(found, Agent) else None


def _is_due(found: Agent, issued: _Issued) -> bool:
    """Whether a record, as it is, should say what was issued: the agent is the same, and it says nothing newer."""
    renewed = issued.renewed
    if found.key_sha256 not in (issued.record.key_sha256, renewed.key_sha256):
        return False
    return (found.expires_at, found.key_sha256) != (renewed.expires_at, renewed.key_sha256) and (
        found.expires_at <= renewed.expires_at
    )
