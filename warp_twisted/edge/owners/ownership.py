"""
Taking hostnames for an agent's group, and giving them up: what `judgement` allows, written by compare-and-set.

Two groups that want one hostname in the same moment both expect that it has no owner; the registry takes one of them,
and the other is judged again, by what is there now. While the registry takes no changes, what nobody owns is held in
this process (`Holdings.hold`), as tunnels serve then too; `expiry` writes it down later.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from twisted.logger import Logger

from warp_base.wall_clock import WallClock
from warp_twisted.ca.issue import AgentIdentity
from warp_twisted.edge.errors import AgentUnknown, EdgeError, NameNotHeld, OfferRefused
from warp_twisted.edge.owners.groups import BATCH, Groups, Membership
from warp_twisted.edge.owners.holdings import Holdings, Served
from warp_twisted.edge.owners.judgement import Applicant, judge
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.names import HostnamePattern, one_line, parse_share
from warp_twisted.registry.errors import RegistryError
from warp_twisted.registry.model import OWNERS, Agent, Owner, decode, encode
from warp_twisted.registry.store import Delete, Expect, Operation, Put, Store
from warp_twisted.registry.unchanged import change_if_unchanged

ATTEMPTS = 5  # at hostnames that others take in the same moment
SHOWN = 5  # agents that a sentence names
TOKEN_ID = re.compile(r"[0-9a-f]{16}")  # as `ca.tokens` makes them


class Ownership:
    """
    Who owns hostnames, for those that serve them and for operators.

    :param served: what is served now.
    :param wall: says since when a hostname has its owner.
    :param settings: returns the settings as they are now.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        holdings: Holdings,
        served: Served,
        wall: WallClock,
        settings: Callable[[], EdgeSettings],
    ) -> None:
        self._store = store
        self._served = served
        self._wall = wall
        self._settings = settings
        self._groups = Groups(store, holdings)
        self.holdings = holdings

    def check(self, group: str, patterns: Sequence[HostnamePattern], hostnames: Sequence[str]) -> None:
        """
        Refuse hostnames that an agent of a group could not have now.

        :raises OfferRefused: naming the first.
        """
        applicant = Applicant(agent="", group=group, patterns=patterns)
        for hostname in hostnames:
            self._judge(applicant, hostname)

    async def take(self, identity: AgentIdentity, hostnames: Sequence[str]) -> None:
        """
        Make sure that hostnames belong to an agent's group: at the moment when this returns they do.

        :raises OfferRefused: naming the first that does not; what was taken for the others is given up again.
        """
        taken: dict[str, Owner] = {}
        try:
            for _ in range(ATTEMPTS + len(hostnames) // BATCH):  # a batch in each
                if await self._is_taken(identity, hostnames, taken):
                    return
        except OfferRefused:
            await self._give_up(taken)
            raise
        raise OfferRefused("overloaded", "others take these hostnames in the same moment; try again", retry=True)

    async def release(self, hostname: str) -> Owner:
        """
        Let a hostname, or a pattern that was served as such, belong to nobody.

        :returns: who had it.
        :raises NameNotHeld: if nobody has.
        :raises EdgeError: if it is served, as its agents would have it again at once.
        """
        owner = self.holdings.owner_of(hostname)
        if owner is None:
            raise NameNotHeld(f"{one_line(hostname, 260)} belongs to nobody; warp hostname list shows what does")
        self._check_unserved(owner)
        self.holdings.drop(hostname)
        await self._store.delete(owner.key)
        try:
            self._check_unserved(owner)
        except EdgeError:  # an agent has begun meanwhile, as the owner was still there when it asked
            await self._store.transact([Expect(owner.key)], [Put(owner.key, encode(owner))])
            raise
        self._log.info("{hostname} belongs to {group} no longer: released", hostname=hostname, group=owner.group)
        return owner

    def _check_unserved(self, owner: Owner) -> None:
        agents = sorted(self._served.agents_serving(owner.hostname))
        if agents:
            some = ", ".join(agents[:SHOWN]) + (" and others" if len(agents) > SHOWN else "")
            raise EdgeError(
                f"{owner.hostname} is served by {some} of the group {owner.group}, which would have it again at once;"
                " stop or revoke these agents first"
            )

    async def share(self, agent: str, word: str) -> bool:
        """
        Give the group of an agent, which a join token names until now, a share word.

        All of its agents and hostnames come along, to those that the word names already.

        :returns: whether anything has changed.
        :raises InvalidName: if it is no share word.
        :raises AgentUnknown: if no such agent is enrolled.
        :raises EdgeError: if the group has a word already.
        """
        word = parse_share(word)
        for _ in range(ATTEMPTS):
            record = self.holdings.agent(agent)
            if record is None:
                raise AgentUnknown(f"no agent {one_line(agent, 64)} is enrolled")
            if record.group == word:
                return False
            if record.group and record.group != record.token and not TOKEN_ID.fullmatch(record.group):
                raise EdgeError(
                    f"agent {agent} is of the group {record.group}, which has a share word already; to be of another"
                    " group it has to enroll anew, with a token of that"
                )
            if record.group:
                await self._groups.join([record.group], word)
            elif not await self._set_group(record, word):
                continue
            if self.holdings.group_of(agent) == word:
                return True
        raise RegistryError("the records of these agents change too often; try again")

    async def _set_group(self, record: Agent, word: str) -> bool:
        changed = Put(record.key, encode(replace(record, group=word)))
        return await change_if_unchanged(self._store, record, [changed])

    async def agent_revoked(self, group: str) -> None:
        """Give up everything of a group that has no agent left; `expiry` does so if this does not get through."""
        if self.holdings.members_of(group):
            return
        hostnames = self.holdings.hostnames_of(group)
        try:
            for at in range(0, len(hostnames), BATCH):
                await self._delete(hostnames[at : at + BATCH], group)
        except RegistryError:
            return  # logged by `registry.claims`
        if hostnames:
            self._log.info(
                "{count} hostnames belong to {group} no longer: its last agent was revoked",
                count=len(hostnames), group=group,
            )  # fmt: skip

    async def _delete(self, hostnames: Sequence[str], group: str) -> None:
        """Give up hostnames, but those that another group has taken meanwhile."""
        expectations: list[Expect] = []
        for name in hostnames:
            item = await self._store.get(OWNERS + name)
            value = None if item is None else decode(item.key, item.value)
            if item is not None and isinstance(value, Owner) and value.group == group:
                expectations.append(Expect(item.key, item.modified))
        await self._store.transact(expectations, [Delete(each.key) for each in expectations])

    async def _is_taken(self, identity: AgentIdentity, hostnames: Sequence[str], taken: dict[str, Owner]) -> bool:
        """Say whether nothing is left to be done for some hostnames; else do a batch of it, 2 ms at most in a turn."""
        now, hold_seconds = self._wall.now(), self._settings().names.hold
        member = self._groups.membership(identity.id, hostnames, now, hold_seconds)
        applicant = Applicant(
            agent=identity.id, group=member.group, patterns=identity.patterns, is_inherited=member.is_inherited
        )
        wanted: list[Owner] = []
        try:
            if member.joined:
                await self._groups.join(member.joined, member.group)
                return False
            for at in range(0, max(1, len(hostnames)), BATCH):
                judged = (self._judge(applicant, name) for name in hostnames[at : at + BATCH])
                wanted = [owner for owner in judged if owner is not None]
                self._check_room(identity.id, wanted)
                is_last = at + BATCH >= len(hostnames)
                if wanted or (is_last and member.is_inherited):
                    await self._write(wanted, member, taken, is_last)
                    return False
            return True
        except RegistryError:  # logged by `registry.claims`
            for owner in wanted:
                self.holdings.hold(owner)
            return not wanted

    def _judge(self, applicant: Applicant, hostname: str) -> Owner | None:
        held = self.holdings.owner_of(hostname)
        above = None
        if held is None and not self.holdings.has_given(hostname):
            above = self.holdings.owner_above(hostname)
        return judge(applicant, hostname, held, above, self._is_served, self._wall.now())

    def _is_served(self, hostname: str) -> bool:
        return bool(self._served.agents_serving(hostname))

    def _check_room(self, agent: str, wanted: Sequence[Owner]) -> None:
        """
        Refuse more hostnames than one agent may take.

        :raises OfferRefused: saying so.
        """
        new = sum(owner.agents == (agent,) and self.holdings.owner_of(owner.hostname) is None for owner in wanted)
        most = self._settings().limits.names_per_agent
        if new and self.holdings.count_taken_by(agent) + new > most:
            raise OfferRefused(
                "overloaded",
                f"agent {agent} has taken {most} hostnames, which is most for one agent (limits.names_per_agent); those"
                " that it serves no more are free after names.hold, or by warp hostname release",
            )

    async def _write(self, wanted: Sequence[Owner], member: Membership, taken: dict[str, Owner], is_last: bool) -> None:
        """Write owners, with the last the group that the agent's record lacks; nothing if anything has changed."""
        expectations: list[Expect] = []
        operations: list[Operation] = []
        values: list[Owner | Agent] = list(wanted)
        if member.record is not None and member.is_inherited and is_last:
            values.append(replace(member.record, group=member.group))
        for value in values:
            item = await self._store.get(value.key)
            stored = None if item is None else decode(item.key, item.value)
            known = member.record if isinstance(value, Agent) else self.holdings.owner_of(value.hostname)
            if stored != known and not (stored is None and isinstance(value, Owner)):
                return
            expectations.append(Expect(value.key, item.modified if item else 0))
            operations.append(Put(value.key, encode(value)))
        before = {owner.hostname: self.holdings.owner_of(owner.hostname) for owner in wanted}
        if not await self._store.transact(expectations, operations):
            return
        if member.record is not None and member.is_inherited and is_last:
            self._log.info(
                "agent {agent} enrolled before hostnames had owners, and is of the group {group} now, with {members}",
                agent=member.record.id, group=member.group,
                members=", ".join(self.holdings.members_of(member.group)[:SHOWN]),
            )  # fmt: skip
        for owner in wanted:
            previous = before[owner.hostname]
            if previous is None:
                taken[owner.hostname] = owner
            elif previous.group != owner.group:
                self._log.warn(
                    "{hostname} belonged to {before}, which did not serve it, and belongs to {group} now, whose"
                    " certificate names it",
                    hostname=owner.hostname, before=previous.group, group=owner.group,
                )  # fmt: skip

    async def _give_up(self, taken: dict[str, Owner]) -> None:
        """Undo what a refused offer has taken."""
        try:
            for owner in taken.values():
                item = await self._store.get(owner.key)
                if item is not None and decode(item.key, item.value) == owner:
                    await self._store.transact([Expect(owner.key, item.modified)], [Delete(owner.key)])
        except RegistryError:
            pass  # logged by `registry.claims`; nobody serves them, so they are free in time
