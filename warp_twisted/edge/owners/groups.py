"""
To which group an agent belongs, also where its record does not say, and how two groups become one.

A record without a group was written before there were groups, or by such a release after the edge was rolled back. An
agent that is named as one who served what it offers has that owner's group. One that enrolled before there were groups
joins, when it first comes back, whoever of its kind serves a hostname that it offers, so that nobody who shared one
loses it by an upgrade; for as long as a hostname is held. Without either, its join token is its group.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from twisted.logger import Logger

from warp_twisted.edge.owners.holdings import Holdings
from warp_twisted.registry.model import AGENTS, OWNERS, Agent, Owner, decode, encode
from warp_twisted.registry.store import Expect, Put, Store

BATCH = 32  # values written in one transaction, in 2 to 3 ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """
    An agent's group.

    :ivar record: of the agent; None if it is not enrolled.
    :ivar is_inherited: whether the record says nothing of a group.
    :ivar joined: other groups that become one with it, as the agent serves hostnames of theirs.
    """

    group: str
    record: Agent | None = None
    is_inherited: bool = False
    joined: Sequence[str] = ()


class Groups:
    """Which agents share hostnames."""

    _log = Logger()

    def __init__(self, store: Store, holdings: Holdings) -> None:
        self._store = store
        self._holdings = holdings

    def membership(self, agent: str, hostnames: Sequence[str], now: float, hold_seconds: float) -> Membership:
        """
        Say to which group an agent belongs that wants to serve some hostnames.

        :param now: the time of day.
        :param hold_seconds: how long after the upgrade agents are joined by what they serve.
        """
        record = self._holdings.agent(agent)
        if record is not None and record.group:
            return Membership(group=record.group, record=record)
        owners = [owner for owner in map(self._holdings.owner_of, hostnames) if owner is not None]
        found = [owner.group for owner in owners if agent in owner.agents]
        if record is None:
            return Membership(group=found[0] if found else agent)
        found += [owner.group for owner in owners if owner.is_inherited and now - owner.since < hold_seconds]
        own, *others = dict.fromkeys(found or [record.token or agent])
        return Membership(group=own, record=record, is_inherited=True, joined=others)

    async def join(self, groups: Sequence[str], into: str) -> None:
        """
        Make several groups one: their hostnames first, then their agents, a batch at a time.

        :raises RegistryError: if the registry is away; what is left is done when the agent asks again.
        """
        for group in groups:
            hostnames, members = self._holdings.hostnames_of(group), self._holdings.members_of(group)
            self._log.info(
                "the groups {group} and {into} serve a hostname together, and are one from now on: {into}",
                group=group, into=into,
            )  # fmt: skip
            for keys in _batches([*(OWNERS + name for name in hostnames), *(AGENTS + name for name in members)]):
                await self._move(keys, group, into)

    async def _move(self, keys: Sequence[str], group: str, into: str) -> None:
        expectations: list[Expect] = []
        operations: list[Put] = []
        for key in keys:
            item = await self._store.get(key)
            value = None if item is None else decode(item.key, item.value)
            if item is not None and isinstance(value, Owner | Agent) and value.group == group:
                expectations.append(Expect(key, item.modified))
                operations.append(Put(key, encode(replace(value, group=into))))
        await self._store.transact(expectations, operations)


def _batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(keys), BATCH):
        yield keys[at : at + BATCH]
