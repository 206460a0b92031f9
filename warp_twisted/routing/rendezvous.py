"""
Which agent a visitor's address belongs to: rendezvous hashing (highest random weight, Thaler and Ravishankar 1998).

Every agent has a score for a point, and the highest wins. So an agent that leaves moves only its own visitors, one that
joins takes its part from all others, and every edge that knows the same agents agrees.

Points are taken in `SLOTS` slots, whose winners are remembered: a choice costs one look-up whatever the number of
agents. Agents that come and go cost nothing at once: a slot is compared with those that came since, or decided again if
its winner has gone, when it is asked for next. So an agent that serves a thousand hostnames comes in no time.
"""

from hashlib import blake2b

SLOTS = 1 << 11
_MASK = (1 << 64) - 1
_SLACK = 64  # comings that are kept beyond twice the number of agents, before slots are decided anew


class Rendezvous:
    """Agents, by name."""

    def __init__(self) -> None:
        self._seeds: dict[str, int] = {}
        self._comings: list[tuple[int, str]] = []  # seeds and agents, in the order in which they came
        # By slot: the score, whose it is, and how many comings it was compared with.
        self._winners: dict[int, tuple[int, str, int]] = {}

    def __len__(self) -> int:
        return len(self._seeds)

    def __contains__(self, agent: str) -> bool:
        return agent in self._seeds

    def add(self, agent: str) -> None:
        """Let an agent take its part."""
        seed = self._seeds[agent] = int.from_bytes(blake2b(agent.encode(), digest_size=8).digest())
        self._comings.append((seed, agent))
        if len(self._comings) > 2 * len(self._seeds) + _SLACK:
            self._comings = [(seed, agent) for agent, seed in self._seeds.items()]
            self._winners = {}

    def remove(self, agent: str) -> None:
        """Let the agent's points go to the others."""
        del self._seeds[agent]

    def choose(self, point: int) -> str | None:
        """
        Return the agent of a point; None if there are none.

        :param point: 64 bits, evenly spread.
        """
        slot = point % SLOTS
        best = self._winners.get(slot)
        seen = 0
        if best is not None and best[1] in self._seeds:
            seen = best[2]
            if seen == len(self._comings):
                return best[1]
            scores = [(best[0], best[1])]
        else:
            scores = []
        scores += [(_score(seed, slot), agent) for seed, agent in self._comings[seen:] if agent in self._seeds]
        if not scores:
            return None
        score, agent = max(scores)
        self._winners[slot] = score, agent, len(self._comings)
        return agent


def _score(seed: int, slot: int) -> int:
    """Mix two numbers into 64 bits (the finish of SplitMix64; Steele, Lea and Flood 2014)."""
    mixed = (seed + slot * 0x9E3779B97F4A7C15) & _MASK
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
    return mixed ^ mixed >> 31
