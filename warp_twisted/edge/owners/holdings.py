"""
Who holds which hostnames now: the registry's owners by group and agent, and what could not be written there yet.

It follows the mirror, so a look never waits. It decides nothing.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from warp_twisted.coverage import nearest_pattern
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Agent, Change, Owner


class Served(Protocol):
    """What is served now; `edge.agents.registrations` answers."""

    def agents_serving(self, hostname: str) -> Collection[str]:
        """Return the agents with a tunnel that takes streams for a hostname, or for a pattern as such."""


class Holdings:
    """
    Owners by hostname, group and agent; agents by group.

    :param mirror: heard from now on; it should not have been started yet.
    :ivar unwritten: hostname → the owner that the registry did not take when it was asked; `expiry` asks again. Add to
        it with `hold`.
    """

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._of_group: dict[str, set[str]] = {}
        self._taken_by: dict[str, set[str]] = {}
        self._members: dict[str, set[str]] = {}
        self._patterns: dict[str, Owner] = {}  # of `*.a.example` under `.a.example`
        self.unwritten: dict[str, Owner] = {}
        mirror.subscribe(self._registry_changed)

    def owner_of(self, hostname: str) -> Owner | None:
        """Return the owner of a hostname, or of a pattern as such; not that of a pattern which covers it."""
        return self._mirror.owners.get(hostname) or self.unwritten.get(hostname)

    def owner_above(self, hostname: str) -> Owner | None:
        """Return the owner of the most specific pattern that covers a hostname, or another pattern."""
        return nearest_pattern(hostname.removeprefix("*."), self._patterns)

    def is_of_others(self, hostname: str, pattern: str) -> bool:
        """Whether a hostname belongs to another group than a pattern that covers it, itself or by a nearer pattern."""
        owner = self.owner_of(hostname) or self.owner_above(hostname)
        if owner is None or owner.hostname == pattern:
            return False
        of_pattern = self.owner_of(pattern)
        return of_pattern is None or of_pattern.group != owner.group

    def hold(self, owner: Owner) -> None:
        """Note an owner that the registry does not take now."""
        self.unwritten[owner.hostname] = owner
        if owner.hostname.startswith("*."):
            self._patterns[owner.hostname[1:]] = owner

    def drop(self, hostname: str) -> None:
        """Forget what was held of a hostname because the registry did not take it."""
        if self.unwritten.pop(hostname, None) is not None:
            self._patterns.pop(hostname[1:], None)

    def has_given(self, hostname: str) -> bool:
        """Whether a hostname was made up for one agent, so that no pattern stands for it."""
        return hostname in self._mirror.given_names

    def agent(self, agent: str) -> Agent | None:
        """Return an enrolled agent."""
        return self._mirror.agents.get(agent)

    def group_of(self, agent: str) -> str:
        """Return an agent's group; its own id while it has none."""
        record = self._mirror.agents.get(agent)
        return record.group if record is not None and record.group else agent

    def hostnames_of(self, group: str) -> Sequence[str]:
        """Return what a group owns, in order."""
        return sorted(self._of_group.get(group, ()))

    def members_of(self, group: str) -> Sequence[str]:
        """Return the enrolled agents of a group, in order."""
        return sorted(self._members.get(group, ()))

    def count_taken_by(self, agent: str) -> int:
        """Return how many hostnames an agent took first."""
        return len(self._taken_by.get(agent, ())) + sum(
            owner.agents[:1] == (agent,) for owner in self.unwritten.values()
        )

    def _registry_changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            for value, add in ((change.before, False), (change.after, True)):
                if isinstance(value, Owner):
                    self.drop(value.hostname)
                    if value.hostname.startswith("*."):
                        _set(self._patterns, value.hostname[1:], value, add)
                    _put(self._of_group, value.group, value.hostname, add)
                    if value.agents:
                        _put(self._taken_by, value.agents[0], value.hostname, add)
                elif isinstance(value, Agent) and value.group:
                    _put(self._members, value.group, value.id, add)


def _set(table: dict[str, Owner], key: str, value: Owner, add: bool) -> None:
    if add:
        table[key] = value
    else:
        table.pop(key, None)


def _put(table: dict[str, set[str]], key: str, value: str, add: bool) -> None:
    if add:
        table.setdefault(key, set()).add(value)
        return
    values = table.get(key)
    if values is not None:
        values.discard(value)
        if not values:
            del table[key]
