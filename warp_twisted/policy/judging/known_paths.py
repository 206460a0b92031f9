"""
What programs of one policy have found out about plain paths, so that the next request for one costs a look-up.

Bounded for all programs of a policy together: whoever asks for many paths has them forgotten, and nothing else. What is
kept depends on nothing but the program and the path.
"""

from collections.abc import Sequence

from warp_twisted.policy.judging.path_facts import PathFacts
from warp_twisted.policy.judging.rules import CompiledRule

MAX_PATHS = 2_000  # 2 MB; to forget them all takes half a millisecond
MAX_BYTES = 256  # of a path that is kept
MAX_RULES = 8  # that a path leads to, for its routes to be kept as well

KnownPath = tuple[PathFacts, Sequence[CompiledRule]]  # and the rules that path and hostname lead to, in order


class KnownPaths:
    """The paths of one policy's programs."""

    def __init__(self) -> None:
        self._tables: list[dict[bytes, KnownPath]] = []
        self._left = MAX_PATHS

    def table(self) -> dict[bytes, KnownPath]:
        """Return where one more program looks for paths; what it finds out is handed to `keep`."""
        table: dict[bytes, KnownPath] = {}
        self._tables.append(table)
        return table

    def keep(self, table: dict[bytes, KnownPath], path: PathFacts, rules: Sequence[CompiledRule]) -> None:
        """Keep what was found out about a path, unless it is odd or long."""
        if not path.is_plain or len(path.path) > MAX_BYTES:
            return
        if not self._left:
            for each in self._tables:
                each.clear()
            self._left = MAX_PATHS
        if len(rules) <= MAX_RULES:
            path.methods = {}
        table[path.path] = path, rules
        self._left -= 1
