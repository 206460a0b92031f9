"""
What patterns stand for where a wildcard of DNS does not: at names that exist, and below them.

A pattern stands for names of any depth (`coverage`), but a wildcard of DNS ends where a name exists. So wherever one
exists below a pattern (`enclosers`), the pattern's addresses are repeated: at the name itself, unless it has a hostname
of its own or belongs to the zone, and at the `*.` below it. With `*.warp.example` and `api.blue.warp.example` that is
at `blue`, `*.blue` and `*.api.blue`. Any name server then answers what edges serve.

A hostname that comes or goes costs as much as it has labels; a pattern, as much as there are names below it.
"""

from collections.abc import Iterable, Iterator, Sequence

from warp_twisted.coverage import nearest_pattern
from warp_twisted.registry.published.contributions import Contributions
from warp_twisted.registry.published.edge_records import EdgeRecords
from warp_twisted.registry.published.enclosers import Enclosers
from warp_twisted.registry.published.records import LiveEdge, Record

COVERED_IN_A_STEP = 8  # names that exist below a pattern
COVERED_IN_A_ROW = 256

Edges = Sequence[LiveEdge]


class Covers:
    """
    The hostnames and patterns that are served in one zone, and what is repeated of them.

    :param own_names: of the zone itself, that no pattern stands for.
    :ivar hostnames: by which live edges each hostname is served.
    :ivar patterns: the same of each pattern, by its suffix.
    """

    def __init__(
        self, zone: str, own_names: Iterable[str], of_edges: EdgeRecords, contributions: Contributions
    ) -> None:
        self.hostnames: dict[str, Edges] = {}
        self.patterns: dict[str, Edges] = {}
        self._zone = zone
        self._of_edges = of_edges
        self._contributions = contributions
        self._own_names = set(own_names)
        self._enclosers = Enclosers(zone)
        self._stale: dict[str, None] = {}  # names below a pattern that changed
        for name in self._own_names:
            self._enclosers.add(name)

    @property
    def is_stale(self) -> bool:
        """Whether names are to be covered anew."""
        return bool(self._stale)

    def serve(self, hostname: str, edges: Edges) -> Iterator[None]:
        """Note that edges serve a hostname. What it holds itself must be published with the last step."""
        is_new = hostname not in self.hostnames
        self.hostnames[hostname] = edges
        if is_new:
            yield from self._appear(hostname)
            self._cover(hostname)  # it may have existed, because of others below it

    def drop(self, hostname: str) -> Iterator[None]:
        """Note that nobody serves a hostname; what it holds itself must be gone before the first step."""
        if self.hostnames.pop(hostname, None) is not None:
            yield from self._vanish(hostname)

    def own(self, name: str) -> Iterator[None]:
        """Note that a name belongs to the zone itself."""
        if name not in self._own_names:
            self._own_names.add(name)
            yield from self._appear(name)
            self._cover(name)

    def disown(self, name: str) -> Iterator[None]:
        """Note that a name does not belong to the zone itself any more."""
        if name in self._own_names:
            self._own_names.remove(name)
            yield from self._vanish(name)

    def enclose(self, name: str) -> Iterator[None]:
        """Note that a name exists because of what is published below it; each call wants one of `let_vanish`."""
        yield from self._appear(name)

    def let_vanish(self, name: str) -> Iterator[None]:
        """Note that what was published below a name is gone."""
        yield from self._vanish(name)

    def serve_pattern(self, pattern: str, edges: Edges) -> Iterator[None]:
        """Note which edges serve a pattern now, perhaps none; a wildcard of its own is the caller's to publish."""
        suffix = pattern[1:]
        is_inside = suffix.endswith(f".{self._zone}")
        base = pattern[2:] if is_inside else self._zone
        before = self.patterns.pop(suffix, ())
        if edges:
            self.patterns[suffix] = edges
        if edges == before:
            return
        if is_inside and edges and not before:
            yield from self._appear(pattern)
        if is_inside and before and not edges:
            yield from self._vanish(pattern)
        self._cover(base)
        self._stale.update(dict.fromkeys(self._enclosers.below(base)))

    def refresh(self) -> Iterator[None]:
        """Cover some of the stale names anew, and those below them, down to where another pattern stands for them."""
        for at in range(1, COVERED_IN_A_ROW + 1):
            if not self._stale:
                return
            name, _ = self._stale.popitem()
            self._cover(name)
            if f".{name}" not in self.patterns:
                self._stale.update(dict.fromkeys(self._enclosers.below(name)))
            if at % COVERED_IN_A_STEP == 0:
                yield

    def _appear(self, name: str) -> Iterator[None]:
        """Cover the names that exist from now on, those above first: each exists when the one below it does."""
        for at, each in enumerate(self._enclosers.add(name)):
            if at and at % COVERED_IN_A_STEP == 0:
                yield
            self._cover(each)

    def _vanish(self, name: str) -> Iterator[None]:
        """Uncover the names that do not exist any more, those below first."""
        vanished = self._enclosers.remove(name)
        self._cover(name)
        for at, each in enumerate(vanished):
            if at and at % COVERED_IN_A_STEP == 0:
                yield
            self._cover(each)

    def _cover(self, name: str) -> None:
        """Give a name that exists, and the `*.` below it, what the pattern above them has; what is gone, nothing."""
        if name.startswith("*."):
            return
        edges = (nearest_pattern(name, self.patterns) if name in self._enclosers else None) or ()
        has_own = name in self.hostnames or name in self._own_names
        self._contributions.put(name, "cover", () if has_own else self._repeated(name, edges))
        wildcard = f"*.{name}"
        is_served = f".{name}" in self.patterns
        self._contributions.put(wildcard, "cover", () if is_served else self._repeated(wildcard, edges))

    def _repeated(self, owner: str, edges: Edges) -> tuple[Record, ...]:
        if not edges:
            return ()
        return (*self._of_edges.addresses(owner, edges), *self._of_edges.bindings(owner, edges))
