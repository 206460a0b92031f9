"""
What is counted of the tunnels behind one hostname: per edge, per label, per label set.

Only when a count leaves or reaches zero do records change, so an agent's second tunnel to the same edge costs nothing
in DNS. Pure; what the counts become is decided in `publish`.
"""

from warp_twisted.registry.published.labels import PublishedLabels
from warp_twisted.registry.published.pages import Pages


class Application:
    """
    The live tunnels behind one hostname or pattern.

    :ivar edges: tunnels by edge.
    :ivar well: of these, by edge, the ones whose origins are healthy as far as their agents say.
    :ivar labelled: label name → tunnels with that label by edge.
    :ivar labelled_well: of these the ones that `well` counts.
    :ivar values: label key → tunnels by value.
    :ivar texts: the label sets as texts, each once.
    :ivar is_shown: whether what is beneath the hostname is published; the publication's to set.
    """

    __slots__ = ("_sets", "edges", "is_shown", "labelled", "labelled_well", "texts", "values", "well")

    def __init__(self) -> None:
        self.edges: dict[str, int] = {}
        self.well: dict[str, int] = {}
        self.labelled: dict[str, dict[str, int]] = {}
        self.labelled_well: dict[str, dict[str, int]] = {}
        self.values: dict[str, dict[str, int]] = {}
        self.texts = Pages()
        self.is_shown = False
        self._sets: dict[str, int] = {}

    def count(self, edge: str, step: int, labels: PublishedLabels, *, is_well: bool = True) -> set[str]:
        """
        Count a tunnel on or off.

        :param step: 1 or -1.
        :param is_well: whether its origin is healthy.
        :returns: what may have changed: label names, and "" for the hostname itself.
        """
        touched = self.count_well(edge, step, labels) if is_well else set()
        if _add(self.edges, edge, step):
            touched.add("")
        if _add(self._sets, labels.text, step):
            touched.add("")
            if labels.text:
                (self.texts.add if step > 0 else self.texts.remove)(labels.text)
        for key, value in labels.pairs:
            _add_below(self.values, key, value, step)
        for label in labels.names:
            if _add_below(self.labelled, label, edge, step):
                touched.add(label)
        return touched

    def count_well(self, edge: str, step: int, labels: PublishedLabels) -> set[str]:
        """Count a tunnel that stays on or off those whose origins are healthy, as `count` does."""
        touched = set()
        if _add(self.well, edge, step):
            touched.add("")
        for label in labels.names:
            if _add_below(self.labelled_well, label, edge, step):
                touched.add(label)
        return touched


def _add_below(table: dict[str, dict[str, int]], key: str, member: str, step: int) -> bool:
    counts = table.setdefault(key, {})
    changed = _add(counts, member, step)
    if not counts:
        del table[key]
    return changed


def _add(counts: dict[str, int], key: str, step: int) -> bool:
    """Count up or down, and say whether the key appeared or vanished."""
    count = counts.get(key, 0) + step
    if count > 0:
        counts[key] = count
        return count == step
    counts.pop(key, None)
    return True
