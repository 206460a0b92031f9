"""
What programs of one policy have found out about plain paths, so that the next request for one costs a look-up.

Bounded for all programs of a policy together: whoever asks for many paths has them forgotten, and nothing else. What is
kept depends on nothing but the program and the path.
"""

from collections.abc import Sequence

from warp_twisted.policy.judging.path_facts import PathFacts
from warp_twisted.policy.judging.plans import Plan, plan_of
from warp_twisted.policy.judging.rules import CompiledRule

MAX_PATHS = 2_000  # 2 MB; to forget them all takes half a millisecond
MAX_BYTES = 256  # of a path that is kept
MAX_RULES = 8  # that a path leads to, for its routes to be kept as well


class KnownPath:
    """
    One path of one program.

    :ivar rules: those that path and hostname lead to, in order.
    :ivar is_planned: whether requests for it are judged by plans: it is kept, and leads to few rules.
    :ivar method: that it was asked for with last.
    :ivar plan: what judges such requests; None if they go the whole course.
    """

    __slots__ = ("is_planned", "method", "path", "plan", "rules")

    def __init__(self, path: PathFacts, rules: Sequence[CompiledRule], *, is_planned: bool = False) -> None:
        self.path = path
        self.rules = rules
        self.is_planned = is_planned
        self.method = b""
        self.plan: Plan | None = None


class KnownPaths:
    """The paths of one policy's programs."""

    def __init__(self) -> None:
        self._tables: list[dict[bytes, KnownPath]] = []
        self._left = MAX_PATHS
        self._plans: dict[tuple[CompiledRule, ...], Plan | None] = {}  # as many as paths, at most

    def table(self) -> dict[bytes, KnownPath]:
        """Return where one more program looks for paths; what it finds out is handed to `keep`."""
        table: dict[bytes, KnownPath] = {}
        self._tables.append(table)
        return table

    def plan(self, rules: Sequence[CompiledRule]) -> Plan | None:
        """Return the plan for some rules, which paths share; None if there can be none."""
        key = tuple(rules)
        try:
            return self._plans[key]
        except KeyError:
            plan = self._plans[key] = plan_of(key)
            return plan

    def keep(self, table: dict[bytes, KnownPath], known: KnownPath) -> None:
        """Keep what was found out about a path, unless it is odd or long."""
        path = known.path
        if not path.is_plain or len(path.path) > MAX_BYTES:
            return
        if not self._left:
            for each in self._tables:
                each.clear()
            self._plans.clear()
            self._left = MAX_PATHS
        if len(known.rules) <= MAX_RULES:
            path.methods = {}
            known.is_planned = True
        table[path.path] = known
        self._left -= 1
