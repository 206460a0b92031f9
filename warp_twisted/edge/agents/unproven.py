"""
Who has connected and proven nothing yet, by network, and who makes room when there are too many.

A connection that says nothing costs its sender nothing, so a plain limit would let a few addresses lock out every
agent. When there is no room the oldest connection of the network that has most goes, and a part of the room is kept
for networks from which agents came lately. Pure: the caller closes what has to go.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

KEPT_PART = 4  # one in so many places is kept for networks of known agents
KNOWN_NETWORKS = 10_000

T = TypeVar("T", bound=Hashable)


class FairQueue(Generic[T]):
    """Items by network; gives up the oldest of the network that has most. Each call takes the same time at any size."""

    def __init__(self) -> None:
        self._network_of: dict[T, str] = {}
        self._queues: dict[str, OrderedDict[T, None]] = {}
        self._of_size: dict[int, OrderedDict[str, None]] = {}  # networks by how many items they have
        self.largest = 0

    def __len__(self) -> int:
        """Return how many items there are."""
        return len(self._network_of)

    def __contains__(self, item: object) -> bool:
        """Whether an item is there."""
        return item in self._network_of

    def add(self, item: T, network: str) -> None:
        """Add an item as the newest of its network."""
        queue = self._queues.setdefault(network, OrderedDict())
        queue[item] = None
        self._network_of[item] = network
        self._resize(network, len(queue) - 1, len(queue))

    def discard(self, item: T) -> bool:
        """Take an item out, and say whether it was there."""
        network = self._network_of.pop(item, None)
        if network is None:
            return False
        queue = self._queues[network]
        del queue[item]
        self._resize(network, len(queue) + 1, len(queue))
        if not queue:
            del self._queues[network]
        return True

    def pop(self) -> T:
        """
        Take out the oldest item of the network that has most; of several, of the one that has had so many longest.

        :raises KeyError: if there is none.
        """
        network = next(iter(self._of_size[self.largest]))
        item = next(iter(self._queues[network]))
        self.discard(item)
        return item

    def _resize(self, network: str, before: int, after: int) -> None:
        if before:
            networks = self._of_size[before]
            del networks[network]
            if not networks:
                del self._of_size[before]
        if after:
            self._of_size.setdefault(after, OrderedDict())[network] = None
        if after > self.largest or self.largest not in self._of_size:
            self.largest = after  # one less than before, as that was the largest


class Unproven(Generic[T]):
    """Connections that have proven nothing: those of strangers, and those of networks of known agents."""

    def __init__(self) -> None:
        self._strangers: FairQueue[T] = FairQueue()
        self._known: FairQueue[T] = FairQueue()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._strangers) + len(self._known)

    def admit(self, item: T, network: str, limit: int, *, is_known: bool) -> T | None:
        """
        Add a connection.

        :param limit: how many there may be.
        :param is_known: whether agents came from its network lately.
        :returns: one that has to go for it, which is taken out already.
        """
        victim: T | None = None
        if not is_known and len(self._strangers) >= max(1, limit - limit // KEPT_PART):
            victim = self._strangers.pop()
        elif len(self) >= limit:
            victim = (self._known if self._known.largest > self._strangers.largest else self._strangers).pop()
        (self._known if is_known else self._strangers).add(item, network)
        return victim

    def discard(self, item: T) -> bool:
        """Take out a connection that proved itself or is gone, and say whether it was there."""
        return self._strangers.discard(item) or self._known.discard(item)


class KnownNetworks:
    """The networks from which agents came lately; the one that was not seen for longest is forgotten first."""

    def __init__(self, remembered: int = KNOWN_NETWORKS) -> None:
        self._remembered = remembered
        self._seen: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, network: str) -> bool:
        """Whether an agent came from there."""
        return network in self._seen

    def note(self, network: str) -> None:
        """An agent has proven itself from there."""
        self._seen[network] = None
        self._seen.move_to_end(network)
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)
