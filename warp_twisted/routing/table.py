"""
All splits of a policy, and which of them stands for a hostname: the most specific entry, alone.

A pattern that is served as one route may have names below it with entries of their own; `Covering` holds those too.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from warp_twisted.coverage import nearest_pattern
from warp_twisted.policy.document.routing import Routing
from warp_twisted.routing.split import Split
from warp_twisted.routing.testers import SourceSet


class Covering(msgspec.Struct, frozen=True):
    """
    The splits of one route.

    :param own: of the route's hostname or pattern; None if it has none.
    :param exact: by hostname, of names below the route's pattern.
    :param patterns: by suffix (`*.a.example` under `.a.example`), of patterns below it.
    """

    own: Split | None
    exact: Mapping[str, Split] = {}
    patterns: Mapping[str, Split] = {}

    def splits(self) -> Sequence[Split]:
        """Return each of them."""
        own = [self.own] if self.own is not None else []
        return [*own, *self.exact.values(), *self.patterns.values()]

    def split_for(self, hostname: str) -> Split | None:
        """Return the split of a hostname that the route serves."""
        found = self.exact.get(hostname)
        if found is None and self.patterns:
            found = nearest_pattern(hostname, self.patterns)
        return found if found is not None else self.own


class RoutingTable:
    """
    The splits of one policy.

    :ivar splits: in the order of the document.
    :ivar by_hostname: the same by hostname or pattern.
    """

    def __init__(
        self, entries: Iterable[Routing] = (), sources_of_testers: Mapping[int, SourceSet] = MappingProxyType({})
    ) -> None:
        """
        Compile entries.

        :param sources_of_testers: by the number of the entry, counted from 0.
        """
        self.splits = tuple(Split(entry, sources_of_testers.get(at)) for at, entry in enumerate(entries))
        self.by_hostname: Mapping[str, Split] = {split.hostname: split for split in self.splits}
        self._exact = {split.hostname: split for split in self.splits if not split.hostname.startswith("*.")}
        self._patterns = {split.hostname[1:]: split for split in self.splits if split.hostname.startswith("*.")}

    def covering(self, hostname: str) -> Covering | None:
        """
        Return the splits of a route; None if it has none.

        :param hostname: in normal form, or a `*.` pattern that is served as one.
        """
        if not self.splits:
            return None
        if not hostname.startswith("*."):
            found = self._exact.get(hostname) or nearest_pattern(hostname, self._patterns)
            return Covering(found) if found is not None else None
        suffix = hostname[1:]
        own = nearest_pattern(hostname, self._patterns)
        exact = {name: split for name, split in self._exact.items() if name.endswith(suffix)}
        patterns = {each: split for each, split in self._patterns.items() if each.endswith(suffix) and each != suffix}
        return Covering(own, exact, patterns) if own is not None or exact or patterns else None
