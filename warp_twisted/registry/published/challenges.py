"""
TXT records of ACME's challenges (RFC 8555 §8.4): what each edge was asked to publish, put together by name.

A name with an underscore is no hostname, but it makes the names between it and the zone exist, where a wildcard of DNS
answers no more. So these are covered as those above a hostname are (`covers`).
"""

from collections.abc import Iterator

from warp_twisted.registry.acme.challenges import PREFIX, EdgeChallenges
from warp_twisted.registry.model import Value
from warp_twisted.registry.published.contributions import Contributions
from warp_twisted.registry.published.covers import Covers
from warp_twisted.registry.published.labels import quoted
from warp_twisted.registry.published.records import Record


class PublishedChallenges:
    """
    The challenges of one zone.

    :param ttl: of the records, in seconds.
    """

    def __init__(self, zone: str, ttl: int, covers: Covers, contributions: Contributions) -> None:
        self._zone = zone
        self._ttl = ttl
        self._covers = covers
        self._contributions = contributions

    def changed(self, before: Value | None, after: Value | None) -> Iterator[None]:
        """Publish what an edge tells now in the place of what it told before, a name in a step."""
        old, new = self._values(before), self._values(after)
        edge = getattr(after or before, "edge", "")
        for name in {**old, **new}:
            values = new.get(name, ())
            if values == old.get(name, ()):
                continue
            enclosing = name.removeprefix(PREFIX)
            if name not in old:
                yield from self._covers.enclose(enclosing)
            self._contributions.put(
                name, f"challenges {edge}", tuple(Record(name, "TXT", self._ttl, quoted(value)) for value in values)
            )
            if name not in new:
                yield from self._covers.let_vanish(enclosing)
            yield

    def _values(self, told: Value | None) -> dict[str, tuple[str, ...]]:
        """Return the values by name, as far as they are of the zone."""
        values: dict[str, tuple[str, ...]] = {}
        if isinstance(told, EdgeChallenges):
            for each in told.challenges:
                if each.kind == "dns-01" and f".{each.name}".endswith(f".{self._zone}"):
                    values[each.name] = (*values.get(each.name, ()), each.value)
        return values
