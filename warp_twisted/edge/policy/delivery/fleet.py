"""
The fleet's policy, as the registry has it: which version is to be in force on every edge, and its text.

The mirror says which version that is; the text is read from the store when it is needed. Not known here: what a text
says, and whether this edge can use it (`edge.policy.delivery.following`).
"""

from collections.abc import Callable, Sequence

from warp_twisted.edge.policy.delivery.following import PolicyText
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change, CurrentPolicy
from warp_twisted.registry.policy_versions import PolicyVersions


class RegistryPolicy:
    """
    The policy in the registry.

    :param changed: called when another version is to be in force.
    """

    def __init__(self, mirror: Mirror, versions: PolicyVersions, changed: Callable[[], None]) -> None:
        self._mirror = mirror
        self._versions = versions
        self._changed = changed
        mirror.subscribe(self._heard)

    @property
    def number(self) -> int:
        """The version that is to be in force; 0: there was never one."""
        return self._mirror.policy_version

    async def text(self) -> PolicyText | None:
        """
        Read that version; None if there is none.

        :raises RegistryError: if it cannot be read.
        """
        found = await self._versions.in_force()
        return PolicyText(number=found[0].number, content=found[1]) if found is not None else None

    def _heard(self, changes: Sequence[Change]) -> None:
        if any(isinstance(change.before or change.after, CurrentPolicy) for change in changes):
            self._changed()
