"""
When an agent is ready, and what it waits for in words: what systemd, and so `systemctl status`, is told.

An agent that was enrolled before is ready at once: where its edges are away it comes back by itself, and a boot need
not wait for it. One that never was is ready with its first tunnel: whoever starts it for the first time wants to know
whether it serves. Pure: events in, answers out.
"""

from warp_twisted.agent.events import ClockSuspected, Delayed, Dialing, Enrolled, Event, TunnelDown, TunnelUp


class Readiness:
    """
    What the events of one agent say of its state.

    :ivar is_ready: whether systemd may be told so; it stays so.
    """

    def __init__(self) -> None:
        self.is_ready = False
        self._is_new = False
        self._up: set[int] = set()
        self._waits_for = "starting"
        self._suspicion = ""

    def heard(self, event: Event) -> None:
        """Take an event into account."""
        match event:
            case Enrolled():
                self._is_new = True
            case Dialing():
                self._waits_for = "waiting for an edge"
                self.is_ready = self.is_ready or not self._is_new
            case Delayed():
                self._waits_for = f"waiting: {event.reason}"
            case ClockSuspected():
                self._suspicion = event.suspicion
            case TunnelUp():
                self._up.add(event.tunnel)
                self.is_ready = True
            case TunnelDown():
                self._up.discard(event.tunnel)
                if event.retry_seconds is not None:
                    self._waits_for = f"waiting for an edge: {event.reason}"

    def status(self, wanted: int) -> str:
        """
        Say how it goes.

        :param wanted: how many tunnels the agent keeps.
        """
        status = f"{len(self._up)} of {wanted} tunnels are up" if self._up else self._waits_for
        return f"{self._suspicion}; {status}" if self._suspicion else status
