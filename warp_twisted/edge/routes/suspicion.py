"""
Which tunnels are suspected of being dead, long before they are given up.

An agent that hangs, or whose path is cut, is silent, and a silent tunnel looks idle: the least busy of all. So a
tunnel to which a request was given is watched: after half of the patience without a byte of it, it is pinged, which
any agent that lives answers at once, however slow its origin is; after the whole patience it is suspected. Then its
routes choose others (`RouteTable.suspect`), and whoever uses a stream of it is told, some at a time. It stays
registered, and is trusted again with the next byte that comes. `tunnel.liveness` gives it up after a longer silence.

A tunnel ceases to be watched when nothing is asked of it any more, or when it was heard `SETTLED_SECONDS` after it
was asked last: what had left the agent before it could have heard the request says nothing about it.

Time passes here with the ticks, at most `LONGEST_TICK_SECONDS` with each: an edge that was itself stopped, or is busy,
finds bytes waiting that it has not read, and must not hold the silence against anybody.
"""

from collections.abc import Callable, Iterator
from enum import Enum
from itertools import islice
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from warp_twisted.edge.routes.load import LentStream, Standing, TunnelLoad

TICK_SECONDS = 0.2
LONGEST_TICK_SECONDS = 2 * TICK_SECONDS
SETTLED_SECONDS = 1.0  # longer than a round trip
LOOKS_PER_TURN = 1_000  # each takes 1 µs
TOLD_PER_TURN = 20  # users of streams; each may send its request again, which takes 100 µs


class StandingEvent(Enum):
    """What may happen to a tunnel's standing."""

    LENT = "a stream of it was lent"
    REST = "nothing is asked of it, or it was heard long enough after it was asked last"
    QUIET = "it was silent for half of the patience"
    SILENT = "it was silent for the whole patience"
    HEARD = "bytes of it came"
    REMOVAL = "it is registered no longer"


STANDING_TRANSITIONS: dict[tuple[Standing, StandingEvent], Standing] = {
    (Standing.TRUSTED, StandingEvent.LENT): Standing.ASKED,
    (Standing.ASKED, StandingEvent.HEARD): Standing.ASKED,
    (Standing.ASKED, StandingEvent.REST): Standing.TRUSTED,
    (Standing.ASKED, StandingEvent.QUIET): Standing.PINGED,
    (Standing.PINGED, StandingEvent.HEARD): Standing.ASKED,
    (Standing.PINGED, StandingEvent.SILENT): Standing.SUSPECTED,
    (Standing.SUSPECTED, StandingEvent.HEARD): Standing.ASKED,
    **{(state, StandingEvent.REMOVAL): Standing.GONE for state in Standing},
}


class Suspected(Protocol):
    """What is done about suspicions; `table.RouteTable` does it."""

    def suspect(self, load: TunnelLoad) -> None:
        """Choose a tunnel no more while there is another."""

    def trust(self, load: TunnelLoad) -> None:
        """Choose it again."""


class _Watched:
    """What is remembered of a tunnel that is watched: instants of `Suspicion`'s time, and what was heard last."""

    __slots__ = ("asked_at", "heard", "silent_since")

    def __init__(self, heard: float, now: float) -> None:
        self.heard = heard
        self.silent_since = self.asked_at = now


class Suspicion:
    """
    Looks at the tunnels that were asked for something, five times a second while there are any.

    :param clock: the reactor.
    :param routes: hears of each suspicion and of its end.
    :param patience: returns for how many seconds a tunnel may be silent.
    :ivar suspected: tunnels that are suspected now.
    :ivar total: suspicions since the start.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, routes: Suspected, patience: Callable[[], float]) -> None:
        self._clock = clock
        self._routes = routes
        self._patience = patience
        self._watched: dict[TunnelLoad, _Watched] = {}
        self._now = 0.0
        self._ticked_at = 0.0
        self._looking: Iterator[TunnelLoad] = iter(())
        self._to_tell: dict[LentStream, None] = {}
        self._tick: IDelayedCall | None = None
        self._telling: IDelayedCall | None = None
        self.suspected: set[TunnelLoad] = set()
        self.total = 0

    def stop(self) -> None:
        """Look at nothing any more."""
        for call in (self._tick, self._telling):
            if call is not None:
                call.cancel()
        self._tick = self._telling = None
        self._watched.clear()
        self._to_tell.clear()

    def watch(self, load: TunnelLoad) -> None:
        """Watch a tunnel that was trusted, and is asked for something now."""
        self._advance(load, StandingEvent.LENT)
        self._watched[load] = _Watched(load.tunnel.protocol.heard_at, self._now)
        if self._tick is None:
            self._ticked_at = self._clock.seconds()
            self._tick = self._clock.callLater(TICK_SECONDS, self._begin_tick)

    # Looking.

    def _begin_tick(self) -> None:
        now = self._clock.seconds()
        self._now += min(max(0.0, now - self._ticked_at), LONGEST_TICK_SECONDS)
        self._ticked_at = now
        self._looking = iter(list(self._watched))
        self._go_on()

    def _go_on(self) -> None:
        """Look at some, and at the others in later turns."""
        self._tick = None
        patience = self._patience()
        some = list(islice(self._looking, LOOKS_PER_TURN))
        for load in some:
            watched = self._watched.get(load)
            if watched is not None:
                self._look(load, watched, patience)
        if len(some) == LOOKS_PER_TURN:
            self._tick = self._clock.callLater(0, self._go_on)
        elif self._watched:
            self._tick = self._clock.callLater(TICK_SECONDS, self._begin_tick)

    def _look(self, load: TunnelLoad, watched: _Watched, patience: float) -> None:
        if load.standing is Standing.GONE:
            del self._watched[load]
            self.suspected.discard(load)
            return
        now = self._now
        if load.is_asked:
            load.is_asked = False
            watched.asked_at = now
        heard = load.tunnel.protocol.heard_at
        if heard != watched.heard:
            watched.heard = heard
            watched.silent_since = now
            if load.standing is Standing.SUSPECTED:
                self._trust(load)
            self._advance(load, StandingEvent.HEARD)
            if now - watched.asked_at >= SETTLED_SECONDS:
                self._rest(load)
        elif load.standing is Standing.ASKED:
            if not load.lent:
                self._rest(load)
            elif now - watched.silent_since >= patience / 2:
                self._advance(load, StandingEvent.QUIET)
                load.tunnel.protocol.ping()
        elif load.standing is Standing.PINGED and now - watched.silent_since >= patience:
            self._suspect(load, patience)

    def _rest(self, load: TunnelLoad) -> None:
        self._advance(load, StandingEvent.REST)
        del self._watched[load]

    def _suspect(self, load: TunnelLoad, patience: float) -> None:
        self._advance(load, StandingEvent.SILENT)
        self.suspected.add(load)
        self.total += 1
        self._log.warn(
            "tunnel {tunnel} of {agent} does not answer: nothing was heard for {seconds:g} s; requests go to others",
            tunnel=load.tunnel.id, agent=load.tunnel.agent, seconds=patience,
        )  # fmt: skip
        self._routes.suspect(load)
        self._to_tell.update(dict.fromkeys(load.lent))
        if self._telling is None and self._to_tell:
            self._telling = self._clock.callLater(0, self._tell)

    def _trust(self, load: TunnelLoad) -> None:
        self.suspected.discard(load)
        self._log.info("tunnel {tunnel} of {agent} answers again", tunnel=load.tunnel.id, agent=load.tunnel.agent)
        self._routes.trust(load)

    # Telling.

    def _tell(self) -> None:
        """Tell some users of streams, and the others in later turns."""
        self._telling = None
        for stream in list(islice(self._to_tell, TOLD_PER_TURN)):
            del self._to_tell[stream]
            stream.tunnel_suspected()
        if self._to_tell:
            self._telling = self._clock.callLater(0, self._tell)

    @staticmethod
    def _advance(load: TunnelLoad, event: StandingEvent) -> None:
        load.standing = STANDING_TRANSITIONS[load.standing, event]
