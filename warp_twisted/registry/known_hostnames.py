"""
The hostnames that the registry knows as somebody's, whether or not a tunnel serves them now.

They are the names that agents were enrolled for, those that were given to them, and those that belong to a group. A
pattern is no name: that an agent may serve any name beneath it makes none of them known. A visitor of a known name is
told to try again rather than that there is no such application; what is told is `edge.visitors`' business.
"""

from collections.abc import Sequence

from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Agent, Change, GivenName, Owner, Value


class KnownHostnames:
    """
    Counts of who stands behind each name, kept up change by change.

    :param mirror: heard from now on; it should not have been started yet.
    """

    def __init__(self, mirror: Mirror) -> None:
        self._counts: dict[str, int] = {}
        mirror.subscribe(self._registry_changed)

    def knows(self, hostname: str) -> bool:
        """Whether a hostname, in normal form, is somebody's."""
        return hostname in self._counts

    def _registry_changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            for hostname in _names_of(change.before):
                self._counts[hostname] -= 1
                if not self._counts[hostname]:
                    del self._counts[hostname]
            for hostname in _names_of(change.after):
                self._counts[hostname] = self._counts.get(hostname, 0) + 1


def _names_of(value: Value | None) -> Sequence[str]:
    if isinstance(value, GivenName):
        return (value.hostname,)
    if isinstance(value, Owner):
        return () if value.hostname.startswith("*.") else (value.hostname,)
    if isinstance(value, Agent):
        return [pattern for pattern in value.hostnames if not pattern.startswith("*.")]
    return ()
