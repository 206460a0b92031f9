"""
Keeps what DNS publishes up with the registry: each change of the mirror, a slice of the reactor's time at a time.

What is published is decided in `registry.published.publish`; this module decides only when. Tunnels of an edge that
this one does not reach yet wait until it says that it does: its snapshot is not whole before, and each of its hostnames
would be published with some edges' addresses first, and with this edge's besides at once after that.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import SchedulerStopped, TaskStopped
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.slices import Slices
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change, Edge, Tunnel
from warp_twisted.registry.published.publish import Publication

STEPS_AT_ONCE = 16  # so that a registration is published before its agent is told; some 0.5 ms


class Publisher:
    """
    The work of one publication.

    What little a single registration changes is done at once, larger work in slices.

    :param slices: runs the work; its budget should leave as much time for the DNS server.
    :param own: the name of this edge; empty: tunnels of all edges are published as they come.
    """

    _log = Logger()

    def __init__(self, publication: Publication, mirror: Mirror, slices: Slices, own: str = "") -> None:
        self._publication = publication
        self._slices = slices
        self._own = own
        self._reached: frozenset[str] = frozenset()
        self._unreached: dict[str, dict[str, Tunnel]] = {}  # edge → tunnels that wait, by key
        self._waiting: list[Deferred[None]] = []
        self._is_working = False
        self._is_held = False
        self._unsubscribe: Callable[[], None] = mirror.subscribe(self._registry_changed)

    def settled(self) -> Deferred[None]:
        """Return a Deferred that fires when everything that the mirror said until now is published."""
        if not self._is_working:
            return succeed(None)
        self._waiting.append(Deferred())
        return self._waiting[-1]

    def keep(self, hostnames: Iterable[str], edge: str) -> None:
        """Let hostnames have the addresses of an edge while no tunnel serves them; see `Publication.keep`."""
        for hostname in hostnames:
            self._publication.keep(hostname, edge)
        self._work()

    def only_at(self, hostnames: Iterable[str], edge: str) -> list[str]:
        """Return those of which no other edge has tunnels."""
        return [hostname for hostname in hostnames if self._publication.is_only_at(hostname, edge)]

    def let_go(self, hostnames: Iterable[str]) -> None:
        """Keep hostnames no more."""
        for hostname in hostnames:
            self._publication.let_go(hostname)
        self._work()

    def hold(self) -> None:
        """Publish nothing until `go_on`: what tunnels that are about to move stood for stays published."""
        self._is_held = True

    def go_on(self) -> None:
        """Publish again, and what has changed meanwhile."""
        self._is_held = False
        self._work()

    def stop(self) -> None:
        """Publish no more."""
        self._unsubscribe()
        self._slices.stop()

    def _registry_changed(self, changes: Sequence[Change]) -> None:
        self._publication.take(self._of_reached(changes) if self._own else changes)
        self._work()

    def _of_reached(self, changes: Sequence[Change]) -> Sequence[Change]:
        """Return the changes that are to be published now; keep those of tunnels of edges that are not reached yet."""
        now: list[Change] = []
        for change in changes:
            value = change.after or change.before
            if not isinstance(value, Tunnel) or value.edge == self._own:
                now.append(change)
                if isinstance(value, Edge) and value.name == self._own:
                    now += self._reaching(change.after)
                continue
            waiting = self._unreached.get(value.edge, {})
            if change.key not in waiting and (change.before is not None or value.edge in self._reached):
                now.append(change)
            elif isinstance(change.after, Tunnel):
                self._unreached.setdefault(value.edge, waiting)[change.key] = change.after
            else:
                waiting.pop(change.key, None)
        return now

    def _reaching(self, own: object) -> list[Change]:
        """Follow what this edge says of itself, and return what has waited for it."""
        self._reached = frozenset(own.relays_to) if isinstance(own, Edge) else frozenset()
        released = [self._unreached.pop(edge) for edge in self._reached & self._unreached.keys()]
        return [Change(key=key, before=None, after=tunnel) for tunnels in released for key, tunnel in tunnels.items()]

    def _work(self) -> None:
        if self._is_working or self._is_held or self._publication.is_settled:
            return
        self._is_working = True
        steps = self._steps()
        try:
            for _ in range(STEPS_AT_ONCE):
                next(steps)
        except StopIteration:
            self._finished(None)
        except Exception:
            self._failed(Failure())
            self._finished(None)
        else:
            self._slices.run(steps).addErrback(self._failed).addBoth(self._finished)

    def _steps(self) -> Iterator[None]:
        for _ in self._publication.steps():
            self._publication.tell()
            yield
        self._publication.tell()

    def _failed(self, failure: Failure) -> None:
        if not failure.check(SchedulerStopped, TaskStopped):
            self._log.failure("changes of the registry could not be published", failure=failure)

    def _finished(self, result: object) -> None:
        self._is_working = False
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)
