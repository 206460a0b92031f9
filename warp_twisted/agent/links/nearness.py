"""
How far edges are, as round trips that were measured, and which of them are equally near.

Each measurement moves an edge's smoothed round trip by a quarter (the first one is taken as it is). Edges whose round
trips differ by less than a quarter and 5 ms are equally near: what decides among those is the caller's order. An edge
that is in use counts a fifth nearer than it is, so that a round trip which varies moves no tunnel to and fro. An edge
that was never measured comes last. Pure: instants and round trips are handed in.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from warp_twisted.agent.edge_address import EdgeAddress

SMOOTHING = 0.25  # of a new measurement
SAME_FACTOR, SAME_SECONDS = 1.25, 0.005  # round trips up to so much longer than the shortest are the same
IN_USE_FACTOR = 1 / SAME_FACTOR  # not less: an edge would be nearer than its equals just by being in use
MAX_EDGES = 256


@dataclass(slots=True)
class _Measured:
    """A smoothed round trip, and when it was measured last."""

    seconds: float
    at: float


class Nearness:
    """The round trips to the edges of one agent."""

    def __init__(self) -> None:
        self._measured: dict[EdgeAddress, _Measured] = {}

    def measured(self, edge: EdgeAddress, seconds: float, now: float) -> None:
        """Take a measurement; of more than `MAX_EDGES` edges the one that was measured longest ago is forgotten."""
        known = self._measured.pop(edge, None)
        smoothed = seconds if known is None else known.seconds + SMOOTHING * (seconds - known.seconds)
        self._measured[edge] = _Measured(smoothed, now)
        if len(self._measured) > MAX_EDGES:
            del self._measured[next(iter(self._measured))]

    def round_trip(self, edge: EdgeAddress) -> float | None:
        """Return the smoothed round trip to an edge, None if it was never measured."""
        known = self._measured.get(edge)
        return None if known is None else known.seconds

    def oldest(self, edges: Iterable[EdgeAddress], before: float) -> list[EdgeAddress]:
        """Return the edges that were not measured since an instant: first those that never were, then the oldest."""
        ages = [(float("-inf") if edge not in self._measured else self._measured[edge].at, edge) for edge in edges]
        return [edge for at, edge in sorted(ages, key=lambda item: item[0]) if at < before]

    def ordered(self, edges: Sequence[EdgeAddress], in_use: Collection[EdgeAddress]) -> list[EdgeAddress]:
        """
        Return the edges, nearest first; those that are equally near stay in the order given.

        :param in_use: those that have a tunnel of ours.
        """
        counted = {
            edge: known.seconds * (IN_USE_FACTOR if edge in in_use else 1.0)
            for edge in edges
            if (known := self._measured.get(edge)) is not None
        }
        distance = _classes(counted)
        return sorted(edges, key=lambda edge: distance.get(edge, len(distance)))


def _classes(counted: Mapping[EdgeAddress, float]) -> Mapping[EdgeAddress, int]:
    """Number the edges by classes of equally near ones, the nearest first."""
    numbers: dict[EdgeAddress, int] = {}
    number, limit = -1, float("-inf")
    for edge, seconds in sorted(counted.items(), key=lambda item: item[1]):
        if seconds > limit:
            number += 1
            limit = seconds * SAME_FACTOR + SAME_SECONDS
        numbers[edge] = number
    return numbers
