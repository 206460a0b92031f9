"""
Which agent a visitor's address belongs to: rendezvous hashing (highest random weight, Thaler and Ravishankar 1998).

Every agent has a score for a point, and the highest wins. So an agent that leaves moves only its own visitors, one that
joins takes its part from all others, and every edge that knows the same agents agrees.

Points are taken in `SLOTS` slots, whose winners are remembered: a choice costs one look-up whatever the number of
agents, and a change of agents the slots that are in use.
"""

from collections.abc import Callable
from hashlib import blake2b

SLOTS = 1 << 11
_MASK = (1 << 64) - 1


class Rendezvous:
    """Agents, by name."""

    def __init__(self) -> None:
        self._seeds: dict[str, int] = {}
        self._winners: dict[int, tuple[int, str]] = {}  # by slot: the score, and whose it is

    def __len__(self) -> int:
        return len(self._seeds)

    def add(self, agent: str) -> None:
        """Let an agent take its part."""
        seed = self._seeds[agent] = int.from_bytes(blake2b(agent.encode(), digest_size=8).digest())
        winners = self._winners
        for slot, best in winners.items():
            mine = _score(seed, slot), agent
            if mine > best:
                winners[slot] = mine

    def remove(self, agent: str) -> None:
        """Let the agent's points go to the others."""
        del self._seeds[agent]
        for slot in [slot for slot, best in self._winners.items() if best[1] == agent]:
            del self._winners[slot]

    def choose(self, point: int) -> str | None:
        """
        Return the agent of a point; None if there are none.

        :param point: 64 bits, evenly spread.
        """
        slot = point % SLOTS
        best = self._winners.get(slot)
        if best is None:
            if not self._seeds:
                return None
            best = self._winners[slot] = max((_score(seed, slot), agent) for agent, seed in self._seeds.items())
        return best[1]

    def choose_among(self, point: int, is_usable: Callable[[str], bool]) -> str | None:
        """Return the agent of a point among those that can be used now; costs a score of each."""
        slot = point % SLOTS
        scores = ((_score(seed, slot), agent) for agent, seed in self._seeds.items() if is_usable(agent))
        return max(scores, default=(0, None))[1]


def _score(seed: int, slot: int) -> int:
    """Mix two numbers into 64 bits (the finish of SplitMix64; Steele, Lea and Flood 2014)."""
    mixed = (seed + slot * 0x9E3779B97F4A7C15) & _MASK
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
    return mixed ^ mixed >> 31
