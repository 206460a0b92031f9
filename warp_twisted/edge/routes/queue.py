"""
Requests that wait for a place at an origin (`places`), and who is next when one is free.

A route has a queue if an agent says how many requests its origin takes at once. A free place is kept for who waits, so
that nobody who comes later overtakes; it goes to the network with the fewest requests at that origin, and among those
to the one that was served longest ago. A full queue lets a request in whose network waits with fewer than another one,
and turns that one's last away. So whoever asks for much waits behind itself.

Who waits is told that there may be a place (`Waiting.place_due`), in a turn of its own, and asks for a stream like any
other request: tunnels may have come or gone, and the split may have changed. When tunnels come and go, and once a
second, whoever is first in each line tries, too. How long a request waits is not decided here.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator
from time import perf_counter
from typing import NamedTuple, Protocol

from twisted.internet.interfaces import IReactorTime

from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.members import Members
from warp_twisted.edge.routes.places import Places

MAX_IN_VAIN = 16  # requests that are tried for one place; whoever could use it has it in its next look at the latest
SLICE_SECONDS = 0.002  # of each turn of the reactor; to send a request takes 50 µs


class Waiting(Protocol):
    """A request that waits."""

    @property
    def network(self) -> str:
        """What counts as one visitor."""

    def place_due(self) -> None:
        """There may be a place: use it, or wait again; must not raise."""

    def turned_away(self) -> None:
        """It must make room for another one, and waits no longer; must not raise."""


class QueueState(NamedTuple):
    """
    A queue, for operators.

    :ivar path: of the route.
    :ivar waiting: how many requests wait.
    :ivar origins: agent → how many requests its origin takes at once, and how many it has.
    """

    hostname: str
    path: str
    waiting: int
    origins: dict[str, tuple[int, int]]


class _Line:
    """
    The requests of one network for one group of tunnels.

    :ivar turn: of two lines, the one that was served longer ago, or has waited for longer, has the smaller one.
    """

    __slots__ = ("turn", "waiting")

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.waiting: OrderedDict[Waiting, None] = OrderedDict()


class RequestQueue:
    """
    The queue of one route.

    :param hostname: of the route, and `path`.
    :ivar places: by agent, of origins that take only so many requests at once.
    """

    __slots__ = ("_hostname", "_is_looking", "_lines", "_of", "_of_network", "_path", "_queues", "_turn", "places")

    def __init__(self, queues: "Queues", hostname: str, path: str) -> None:
        self._queues = queues
        self._hostname = hostname
        self._path = path
        self.places: dict[str, Places] = {}
        self._lines: dict[Members, dict[str, _Line]] = {}
        self._of: dict[Waiting, Members] = {}
        self._of_network: dict[str, int] = {}
        self._turn = 0
        self._is_looking = False

    def __len__(self) -> int:
        return len(self._of)

    @property
    def state(self) -> QueueState:
        """How full it is, and the origins."""
        origins = {agent: (each.limit, each.taken) for agent, each in self.places.items()}
        return QueueState(self._hostname, self._path, len(self), origins)

    def places_of(self, agent: str, limit: int) -> Places:
        """Return the places of an agent's origin, as many as it says now."""
        places = self.places.get(agent)
        if places is None:
            places = self.places[agent] = Places(limit, self._freed)
        if limit > places.limit:
            self.look()
        places.limit = limit
        return places

    def forget_unused(self, agent: str) -> None:
        """Forget the places of an agent that serves the route no more, unless requests still have some."""
        places = self.places.get(agent)
        if places is not None and not places.members and not places.taken:
            del self.places[agent]

    # Who waits.

    def add(self, who: Waiting, members: Members, *, is_first: bool = False) -> bool:
        """
        Let a request wait for a place at any of some tunnels.

        :param is_first: whether it waited before, and was only tried.
        :returns: whether it waits; if not, the queue is full.
        """
        network = who.network
        if not is_first and len(self._of) >= self._queues.most() and not self._make_room_for(network):
            return False
        lines = self._lines.setdefault(members, {})
        line = lines.get(network)
        if line is None:
            self._turn += 1
            line = lines[network] = _Line(self._turn)
        line.waiting[who] = None
        if is_first:
            line.waiting.move_to_end(who, last=False)
        self._of[who] = members
        self._of_network[network] = self._of_network.get(network, 0) + 1
        self._queues.changed(self, 1)
        return True

    def discard(self, who: Waiting) -> None:
        """Let a request wait no longer, if it does."""
        members = self._of.pop(who, None)
        if members is None:
            return
        network = who.network
        lines = self._lines[members]
        line = lines[network]
        del line.waiting[who]
        if not line.waiting:
            del lines[network]
            if not lines:
                del self._lines[members]
        left = self._of_network.pop(network) - 1
        if left:
            self._of_network[network] = left
        self._queues.changed(self, -1)

    def _make_room_for(self, network: str) -> bool:
        """Turn the last request away of the network with the most, unless that is this one, or has one more at most."""
        most = max(self._of_network, key=self._of_network.__getitem__, default=network)
        if self._of_network.get(most, 0) <= self._of_network.get(network, 0) + 1:
            return False
        line = max((lines[most] for lines in self._lines.values() if most in lines), key=lambda line: len(line.waiting))
        last = next(reversed(line.waiting))
        self.discard(last)
        last.turned_away()
        return len(self._of) < self._queues.most()

    # Who is next.

    def look(self) -> None:
        """Let the first of each line try, soon: there may be tunnels that it can use, or none any more."""
        if self._of and not self._is_looking:
            self._is_looking = True
            self._queues.plan(self._steps())

    def _steps(self) -> Iterator[None]:
        self._is_looking = False
        for members in list(self._lines):
            in_vain: set[Waiting] = set()
            while len(in_vain) < MAX_IN_VAIN and (who := self._first_of(members, in_vain)) is not None:
                if not self._try(who):
                    in_vain.add(who)
                    if not self._has_room:
                        break
                yield
            yield

    @property
    def _has_room(self) -> bool:
        """Whether an origin has a place that nobody uses: then others may be able to use it."""
        return any(each.taken + each.promised < each.limit for each in self.places.values())

    def _freed(self, places: Places) -> None:
        """A place is free: keep it for who waits."""
        if self._of:
            places.promised += 1
            self._queues.plan(self._giving(places))
        elif not places.taken and not places.members:
            self._forget(places)

    def _giving(self, places: Places) -> Iterator[None]:
        """Give a free place away, and others that are free as well."""
        places.promised -= 1
        in_vain: set[Waiting] = set()  # such as what was sent to this agent before, and goes to others only
        while places.taken + places.promised < places.limit and len(in_vain) < MAX_IN_VAIN:
            who = self._next_for(places, in_vain)
            if who is None:
                break
            if not self._try(who):
                in_vain.add(who)
            places.promised += 1
            yield
            places.promised -= 1
        if not places.taken and not places.members:
            self._forget(places)

    def _forget(self, places: Places) -> None:
        for agent in [agent for agent, each in self.places.items() if each is places]:
            del self.places[agent]

    def _try(self, who: Waiting) -> bool:
        """Let a request try; return whether it waits no longer."""
        line = self._lines[self._of[who]][who.network]
        before = line.turn
        self._turn += 1
        line.turn = self._turn  # its network is behind the others from now on
        self.discard(who)
        who.place_due()
        members = self._of.get(who)
        if members is None:
            return True
        self._lines[members][who.network].turn = before
        return False

    def _first_of(self, members: Members, besides: Collection[Waiting]) -> Waiting | None:
        """Return who is next among those that wait for some tunnels; None if nobody is left."""
        for line in sorted(self._lines.get(members, {}).values(), key=lambda line: line.turn):
            who = _first(line, besides)
            if who is not None:
                return who
        return None

    def _next_for(self, places: Places, besides: Collection[Waiting]) -> Waiting | None:
        """Return who is to have a place; None if nobody who waits may."""
        found, best = None, (places.of_one, 0)
        for members, lines in self._lines.items():
            if any(member in members for member in places.members):
                for network, line in lines.items():
                    rank = places.held.get(network, 0), line.turn
                    if rank[0] < places.of_one and rank < best:
                        who = _first(line, besides)
                        if who is not None:
                            found, best = who, rank
        return found


def _first(line: _Line, besides: Collection[Waiting]) -> Waiting | None:
    """Return the first request of a line that was not tried."""
    return next((who for who in line.waiting if who not in besides), None)


class Queues:
    """
    What the queues of all routes have in common.

    :param most: returns how many requests may wait in one queue.
    :param metrics: counts those that wait now.
    :ivar clock: the reactor; None: places are given away at once.
    """

    def __init__(self, most: Callable[[], int], metrics: DataPathMetrics) -> None:
        self.most = most
        self.clock: IReactorTime | None = None
        self._metrics = metrics
        self._with_waiting: dict[RequestQueue, None] = {}
        self._planned: deque[Iterator[None]] = deque()
        self._is_running = False

    def changed(self, queue: RequestQueue, count: int) -> None:
        """Note that more requests wait in a queue, or fewer."""
        self._metrics.queued_now += count
        if len(queue):
            self._with_waiting[queue] = None
        else:
            self._with_waiting.pop(queue, None)

    def plan(self, steps: Iterator[None]) -> None:
        """Take steps, not now."""
        self._planned.append(steps)
        if not self._is_running:
            self._is_running = True
            self._soon()

    def listed(self) -> Iterator[QueueState]:
        """Describe the queues in which requests wait."""
        for queue in list(self._with_waiting):
            yield queue.state

    def sweep(self) -> None:
        """Let the first of every line try, in case that something has changed of which nobody said so."""
        for queue in self._with_waiting:
            queue.look()

    def _run(self) -> None:
        began = perf_counter()
        while self._planned and perf_counter() - began < SLICE_SECONDS:
            steps = self._planned.popleft()
            if next(steps, self) is None:
                self._planned.append(steps)
        self._is_running = bool(self._planned)
        if self._planned:
            self._soon()

    def _soon(self) -> None:
        if self.clock is None:
            self._run()
        else:
            self.clock.callLater(0, self._run)
