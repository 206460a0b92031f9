"""
Closing tunnels whose agent's certificate has ended: nobody else looks at it again after the handshake.

How long a certificate still lasts is reckoned once, by the wall clock that has just judged it. From then on the
monotonic clock counts, so that a step of this machine's clock, forward by a day or two, closes no tunnel. None lasts
longer than its certificate could: it was valid when the reckoning was made, so what is left is its whole life at most.
"""

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from warp_base.wall_clock import WallClock
from warp_twisted.edge.agents.registrations import Registrations

CHECK_SECONDS = 30.0


class TunnelExpiry:
    """
    Watches the registered tunnels of one edge.

    :param wall: says how long a certificate still lasts.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, wall: WallClock, registrations: Registrations) -> None:
        self._clock = clock
        self._wall = wall
        self._registrations = registrations
        self._checking = LoopingCall(self._close_ended)
        self._checking.clock = clock

    def start(self) -> None:
        """Begin to look."""
        self._checking.start(CHECK_SECONDS, now=False)

    def stop(self) -> None:
        """Look no more."""
        if self._checking.running:
            self._checking.stop()

    def instant_of(self, expires_at: float) -> float:
        """
        Return when a certificate ends, by the monotonic clock.

        :param expires_at: its end, in seconds since the epoch; it is valid now.
        """
        return self._clock.seconds() + expires_at - self._wall.now()

    def renewed(self, agent: str, expires_at: float) -> None:
        """Let all tunnels of an agent last as long as its new certificate."""
        for tunnel in self._registrations.of_agent(agent):
            tunnel.ends_at = self.instant_of(expires_at)

    def noted(self, agent: str, expires_at: float) -> None:
        """Note what the registry says of an agent's certificate, which any edge or process of it may have issued."""
        for tunnel in self._registrations.of_agent(agent):
            tunnel.ends_at = max(tunnel.ends_at, self.instant_of(expires_at))

    def _close_ended(self) -> None:
        now = self._clock.seconds()
        for tunnel in [tunnel for tunnel in self._registrations.by_id.values() if tunnel.ends_at <= now]:
            self._log.warn("the certificate of {agent} ended without being renewed", agent=tunnel.agent)
            tunnel.protocol.close(reason="the agent's certificate has ended")
