"""
The grace of names: one that loses its last tunnel without a goodbye is not denied at once, as its agent may come back.

So does one that had its tunnels at another edge only, when that edge is lost: its agent comes to this one, perhaps.

An agent that is killed, or whose network fails, is back within seconds. A resolver that asks meanwhile and hears that
there is no such name believes it for longer than that. So the name keeps this edge's addresses for the seconds of
`grace` in edge.yaml, and visitors are told to try again (503 with Retry-After). This module decides how long, and of
how many names; what is published of one that is kept is `registry.published.publish`'s. Time is the monotonic clock's.

Each name that is kept costs some 300 bytes, so their number is bounded: of one agent, so that it cannot end the grace
of others, and in all. Beyond a bound the oldest go first, which have had most of their time.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import islice

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from warp_twisted.registry.model import Tunnel
from warp_twisted.registry.published.publisher import Publisher

MAX_NAMES = 50_000  # of all agents
MAX_NAMES_OF_AGENT = 1_000
NAMES_IN_A_STEP = 64  # some 0.3 ms
TICK_SECONDS = 0.1  # that names may be kept too long, so that thousands of ends take few turns of the reactor


class Grace:
    """
    The names that are kept at one edge.

    :param edge: this edge's name.
    :param seconds: for which a name is kept; 0: none is.
    """

    def __init__(self, publisher: Publisher, clock: IReactorTime, edge: str, seconds: float) -> None:
        self._publisher = publisher
        self._clock = clock
        self._edge = edge
        self._seconds = seconds
        self._kept: OrderedDict[str, tuple[float, str]] = OrderedDict()  # name → end and agent; the first end first
        self._of_agent: dict[str, OrderedDict[str, None]] = {}
        self._call: IDelayedCall | None = None

    @property
    def is_given(self) -> bool:
        """Whether names are kept at all."""
        return self._seconds > 0

    @property
    def count(self) -> int:
        """How many names are kept, those whose agent is back included."""
        return len(self._kept)

    def begin(self, agent: str, hostnames: Iterable[str]) -> None:
        """Keep names whose last tunnel was lost; it was an agent's."""
        if self._seconds:
            self._keep(hostnames, agent)

    def lost_with_edge(self, tunnel: Tunnel) -> None:
        """Keep the names of a tunnel that is lost with another edge, of which no other edge has tunnels."""
        self.begin(tunnel.agent, self._publisher.only_at(tunnel.hostnames, tunnel.edge))

    def beginning(self, hostnames: Iterable[str]) -> Iterator[None]:
        """Keep names that were served before a restart, in short steps."""
        rest = iter(hostnames if self._seconds else ())
        while names := list(islice(rest, NAMES_IN_A_STEP)):
            self._keep(names, "")
            yield

    def end(self, agent: str) -> None:
        """Keep an agent's names no more: it will not come back."""
        hostnames = list(self._of_agent.get(agent, ()))
        for hostname in hostnames:
            self._forget(hostname)
        self._publisher.let_go(hostnames)

    def stop(self) -> None:
        """Leave everything as it is; nothing more happens by time."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _keep(self, hostnames: Iterable[str], agent: str) -> None:
        ends_at = self._clock.seconds() + self._seconds
        excess: list[str] = []
        kept: list[str] = []
        for hostname in hostnames:
            self._forget(hostname)
            self._kept[hostname] = ends_at, agent
            of_agent = self._of_agent.setdefault(agent, OrderedDict())
            of_agent[hostname] = None
            kept.append(hostname)
            if agent and len(of_agent) > MAX_NAMES_OF_AGENT:
                excess.append(next(iter(of_agent)))
            elif len(self._kept) > MAX_NAMES:
                excess.append(next(iter(self._kept)))
            else:
                continue
            self._forget(excess[-1])
        self._publisher.keep(kept, self._edge)
        if excess:
            self._publisher.let_go(excess)
        self._wait()

    def _forget(self, hostname: str) -> None:
        _, agent = self._kept.pop(hostname, (0.0, ""))
        of_agent = self._of_agent.get(agent)
        if of_agent is not None:
            of_agent.pop(hostname, None)
            if not of_agent:
                del self._of_agent[agent]

    def _wait(self) -> None:
        if self._call is None and self._kept:
            ends_at, _ = next(iter(self._kept.values()))
            self._call = self._clock.callLater(max(TICK_SECONDS, ends_at - self._clock.seconds()), self._end_due)

    def _end_due(self) -> None:
        """Let go what has had its time, a few names in a turn."""
        self._call = None
        now = self._clock.seconds()
        due: list[str] = []
        for hostname, (ends_at, _) in self._kept.items():
            if ends_at > now or len(due) == NAMES_IN_A_STEP:
                break
            due.append(hostname)
        for hostname in due:
            self._forget(hostname)
        self._publisher.let_go(due)
        if len(due) == NAMES_IN_A_STEP:
            self._call = self._clock.callLater(0, self._end_due)
        else:
            self._wait()
