"""
All that one agent knows of its machine's clock: when it is set, what is suspected of it, and what the edges' shows.

Joins `edge_time`, `clock_suspicion` and `warp_twisted.clock_steps`, so that the agent has one thing to ask and to tell.
"""

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from warp_base.wall_clock import WallClock
from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.identity.clock_suspicion import ClockSuspicion
from warp_twisted.agent.identity.edge_time import EdgeTime
from warp_twisted.clock_steps import ClockSteps


class AgentClock:
    """
    One agent's clock.

    :param wall: this machine's.
    :param suspected: called with a sentence when the clock seems to be wrong, and with an empty one when that is over.
    :param stepped: called after the clock was set; what failed because of it may succeed now.
    :ivar edge_time: the edges' time, by which they judge our certificate.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        wall: WallClock,
        suspected: Callable[[str], None],
        stepped: Callable[[], None],
    ) -> None:
        self.edge_time = EdgeTime(reactor, wall)
        self._suspicion = ClockSuspicion(reactor, wall, suspected)
        self._steps = ClockSteps(reactor, wall, self._clock_stepped)
        self._stepped = stepped

    @property
    def suspicion(self) -> str:
        """What is suspected of the clock; empty: nothing."""
        return self._suspicion.sentence

    def start(self) -> None:
        """Watch the clock."""
        self._steps.start()

    def stop(self) -> None:
        """Watch it no more."""
        self._steps.stop()
        self._suspicion.stop()

    def edge_accepted(self, time: float | None) -> None:
        """An edge that is verified said what its clock shows, if it did."""
        self.edge_time.heard(time)
        self._suspicion.edge_trusted()

    def edge_not_valid(self, edge: EdgeAddress) -> None:
        """An edge's certificate is not valid yet, or no longer, by this machine's clock."""
        self._suspicion.edge_not_valid(edge)

    def _clock_stepped(self, step: float) -> None:
        self.edge_time.forget()
        self._suspicion.clock_stepped()
        self._stepped()
