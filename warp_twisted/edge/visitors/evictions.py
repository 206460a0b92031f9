"""
Which visitors go when there is no room: for one more connection, or for the bytes that wait.

An idle connection costs its owner nothing, so a plain limit would let a few addresses lock out everybody else. When
there is no room for a new connection, one goes whose visitor sends no more, as most of those have left, or else the
oldest one without a request, of the network that has most of those; another one with a request never does. When too
many bytes wait, those go that made no progress for the longest time. Who closes them, and when, is not decided here.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import islice
from operator import attrgetter
from time import perf_counter
from typing import Protocol

from warp_base.slices import in_steps
from warp_twisted.edge.visitors.half_closed import HalfClosed
from warp_twisted.edge.visitors.interfaces import OpenConnection
from warp_twisted.edge.visitors.states import VisitorState

LOOKED_AT = 10_000  # connections at once, in 2 ms
FOUND = 1_000  # of them, for which there is no second look
REST = 20  # times as long as a look took, no other one is taken
LOOKED_AT_IN_A_STEP = 500
LITTLE_BYTES = 16_384  # which a head may have: who has just begun one is not among the slow
_network_of = attrgetter("network")
_NEW, _IDLE, _HEAD = VisitorState.NEW, VisitorState.IDLE, VisitorState.HEAD


class Silent(Protocol):
    """A connection that may give way, because nothing was asked on it."""

    network: str

    def give_way(self) -> bool:
        """Close at once, unless something was asked meanwhile; return whether it did."""


class IdleConnections:
    """
    The connections that make room for new ones.

    They are looked for when there is no room, many at once, because to note each request's beginning and end would cost
    each request.

    :param half_closed: those that go first.
    """

    def __init__(self, half_closed: HalfClosed) -> None:
        self._half_closed = half_closed
        # Networks, those with most idle connections first; and the idle connections of each, the oldest last.
        self._order: list[tuple[int, int, list[Silent]]] = []
        self._at = 0  # of all connections, where the next look begins
        self._rests_until = 0.0

    def make_room(
        self, connections: Mapping[OpenConnection, object], shaking_hands: Mapping[Silent, object], now: float
    ) -> bool:
        """
        Let one connection give way.

        :param connections: all, the oldest first.
        :param shaking_hands: others, of which none has asked anything; the oldest first.
        :param now: seconds of a clock that only goes forward.
        :returns: whether one did.
        """
        if self._half_closed.make_room() or self._take():
            return True
        if now < self._rests_until:
            return False
        began = perf_counter()
        if self._at >= len(connections):
            self._at = 0
        idle: list[Silent] = [*islice(shaking_hands, LOOKED_AT)]
        idle += [
            connection
            for connection in islice(connections, self._at, self._at + LOOKED_AT)
            if (state := connection.state) is _IDLE or state is _NEW or state is _HEAD
        ]
        self._at += LOOKED_AT
        self._group(idle)
        self._rests_until = now + (perf_counter() - began) * REST
        return self._take()

    def _group(self, idle: Sequence[Silent]) -> None:
        """Group those of the largest networks."""
        counts = Counter(map(_network_of, idle))
        fewest = max(counts.values(), default=0) // 2
        networks: dict[str, list[Silent]] = {}
        for connection in islice((each for each in idle if counts[each.network] > fewest), FOUND):
            networks.setdefault(connection.network, []).append(connection)
        for connections in networks.values():
            connections.reverse()
        self._order = [(-len(connections), at, connections) for at, connections in enumerate(networks.values())]
        heapify(self._order)

    def _take(self) -> bool:
        """Let the first of those found give way that is still idle."""
        order = self._order
        while order:
            _, at, connections = heappop(order)
            connection = connections.pop()
            if connections:
                heappush(order, (-len(connections), at, connections))
            if connection.give_way():
                return True
        return False


def slowest_first(connections: Iterable[OpenConnection]) -> Iterator[OpenConnection | None]:
    """
    Return the connections for which bytes wait, those first that made no progress for the longest time.

    Those for which little waits come last; otherwise a deadline is the last progress and a constant more, and within a
    second the order is not said. While all are looked at, None comes now and then: the caller may pause.
    """
    waiting: dict[tuple[bool, int], list[OpenConnection]] = {}
    for step in in_steps(list(connections), LOOKED_AT_IN_A_STEP):
        for connection in step:
            if connection.unread_bytes:
                order = (connection.unread_bytes < LITTLE_BYTES, int(connection.deadline))
                waiting.setdefault(order, []).append(connection)
        yield None
    for order in sorted(waiting):
        yield from waiting[order]
