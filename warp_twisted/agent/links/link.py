"""
The life of one of the agent's tunnels: dial, register, work, and begin again until told to stop.

The states read as prose in `_make_machine`. Twisted's `ClientService` does not fit: a tunnel is up only when the edge
has accepted its hello, and `ClientService` has no transition for a connection that is lost before that.

When any other link of the agent comes up, the waiting ones try at once (`hasten`), because then the network is back.

When the edge drains, or the agent moves a tunnel, the link dials anew and the old tunnel serves on until the new one is
up (`agent.links.draining`). The new one then has the other of the link's two slot numbers, so that its registration
does not replace the old while requests are on it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from automat import TypeMachineBuilder, pep614
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from warp_twisted.agent.links.backoff import Backoff
from warp_twisted.agent.links.draining import LeftTunnels, finish_tunnel
from warp_twisted.agent.links.edges import EdgeAddress
from warp_twisted.agent.links.owner import Home
from warp_twisted.tunnel import TunnelProtocol
from warp_twisted.wire.control import Accepted, ControlMessage, Drain, Refused
from warp_twisted.wire.errors import WireError
from warp_twisted.wire.streams import Stream

REGISTER_SECONDS = 10.0


class _Life(Protocol):
    """What may happen to a link."""

    def start(self) -> None:
        """Begin."""

    def opened(self, tunnel: TunnelProtocol) -> None:
        """The edge is verified; now it must accept us."""

    def accepted(self, message: Accepted) -> None:
        """The edge took the tunnel."""

    def refused(self, message: Refused) -> None:
        """The edge will never take the tunnel."""

    def failed(self, reason: str) -> None:
        """The dial failed, the edge did not accept us, or the tunnel was lost."""

    def edge_drained(self) -> None:
        """The edge asks us to move."""

    def move(self) -> None:
        """We want to move to another edge."""

    def retry(self) -> None:
        """The time to wait is over."""

    def hasten(self) -> None:
        """There is reason to believe that the next attempt will succeed."""

    def drain(self, reason: str, deadline_seconds: float) -> None:
        """Finish what is under way and stop."""

    def stop(self) -> None:
        """Stop now."""


@dataclass(eq=False, kw_only=True)
class _Core:
    """The data of a link."""

    link: "Link"
    home: Home
    clock: IReactorTime
    backoff: Backoff
    left: LeftTunnels
    tunnel: TunnelProtocol | None = None
    dialling: Deferred[None] | None = None
    timer: IDelayedCall | None = None
    is_up: bool = False

    def set_timer(self, seconds: float, function: Callable[..., None], *arguments: object) -> None:
        self.clear_timer()
        self.timer = self.clock.callLater(seconds, function, *arguments)

    def clear_timer(self) -> None:
        timer, self.timer = self.timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def close(self, reason: str) -> None:
        """Give up the tunnel or the attempt at one; its end is nobody's news any more."""
        self.is_up = False
        self.clear_timer()
        attempt, self.dialling = self.dialling, None
        if attempt is not None:
            attempt.cancel()
        tunnel, self.tunnel = self.tunnel, None
        if tunnel is not None:
            tunnel.close(reason=reason)

    def leave(self, is_edge_draining: bool) -> None:
        """Let the tunnel serve on its own, and use the other slot number for the next."""
        self.backoff.lost(self.clock.seconds())
        self.is_up = False
        self.link.use_other_slot()
        tunnel, self.tunnel = self.tunnel, None
        if tunnel is not None:
            self.left.add(tunnel, is_edge_draining)


def _make_machine() -> Callable[[_Core], _Life]:
    machine = TypeMachineBuilder(_Life, _Core)

    def dial(life: _Life, core: _Core) -> None:
        def dialled(_: TunnelProtocol) -> None:
            core.dialling = None

        def dial_failed(failure: Failure) -> None:
            core.dialling = None
            life.failed(failure.getErrorMessage())

        attempt = core.home.dial(core.link, _Delegate(core, life))
        if not attempt.called:
            core.dialling = attempt  # type: ignore[assignment]  # its results are the callbacks' from here on
        attempt.addCallbacks(dialled, dial_failed)

    def wait(life: _Life, core: _Core, reason: str) -> None:
        core.close(reason)
        delay = core.backoff.next_delay(core.clock.seconds())
        core.set_timer(delay, life.retry)
        core.home.link_down(core.link, reason, delay)

    idle = machine.state("idle")
    dialling = machine.state("dialling")
    registering = machine.state("registering")
    up = machine.state("up")
    waiting = machine.state("waiting")
    draining = machine.state("draining")
    stopped = machine.state("stopped")

    # Nothing to do.
    for state in (dialling, registering, up, draining, stopped):
        state.upon(_Life.hasten).loop().returns(None)
    for state in (idle, dialling, waiting, draining, stopped):
        state.upon(_Life.edge_drained).loop().returns(None)
    for state in (idle, dialling, registering, waiting, draining, stopped):
        state.upon(_Life.move).loop().returns(None)
    for state in (waiting, stopped):
        state.upon(_Life.failed).loop().returns(None)
    for state in (draining, stopped):
        state.upon(_Life.drain).loop().returns(None)
    stopped.upon(_Life.stop).loop().returns(None)
    idle.upon(_Life.drain).to(stopped).returns(None)
    idle.upon(_Life.stop).to(stopped).returns(None)
    idle.upon(_Life.hasten).loop().returns(None)

    @pep614(idle.upon(_Life.start).to(dialling))
    @pep614(waiting.upon(_Life.retry).to(dialling))
    def begin(life: _Life, core: _Core) -> None:
        core.clear_timer()
        dial(life, core)

    @pep614(dialling.upon(_Life.opened).to(registering))
    def introduce_ourselves(life: _Life, core: _Core, tunnel: TunnelProtocol) -> None:
        core.tunnel = tunnel
        core.set_timer(REGISTER_SECONDS, life.failed, "the edge did not answer our hello")
        tunnel.send_control(core.home.hello(core.link))

    @pep614(waiting.upon(_Life.opened).loop())
    @pep614(stopped.upon(_Life.opened).loop())
    def hang_up(life: _Life, core: _Core, tunnel: TunnelProtocol) -> None:
        tunnel.close(reason="the agent did not wait for this tunnel")

    @pep614(registering.upon(_Life.accepted).to(up))
    def work(life: _Life, core: _Core, message: Accepted) -> None:
        core.clear_timer()
        core.backoff.succeeded()
        core.is_up = True
        core.left.finish_moved()
        core.home.link_up(core.link, message)

    @pep614(registering.upon(_Life.refused).to(stopped))
    def give_up(life: _Life, core: _Core, message: Refused) -> None:
        core.close(message.reason)
        core.home.link_refused(core.link, message)

    @pep614(dialling.upon(_Life.failed).to(waiting))
    @pep614(registering.upon(_Life.failed).to(waiting))
    def try_later(life: _Life, core: _Core, reason: str) -> None:
        wait(life, core, reason)

    @pep614(registering.upon(_Life.edge_drained).to(waiting))
    def try_later_elsewhere(life: _Life, core: _Core) -> None:
        wait(life, core, "the edge is draining")

    @pep614(up.upon(_Life.failed).to(waiting))
    def lose_the_tunnel(life: _Life, core: _Core, reason: str) -> None:
        core.backoff.lost(core.clock.seconds())
        wait(life, core, reason)

    @pep614(up.upon(_Life.edge_drained).to(dialling))
    def leave_the_edge(life: _Life, core: _Core) -> None:
        core.leave(is_edge_draining=True)
        core.home.link_down(core.link, "the edge is draining", 0.0)
        dial(life, core)

    @pep614(up.upon(_Life.move).to(dialling))
    def move_elsewhere(life: _Life, core: _Core) -> None:
        core.leave(is_edge_draining=False)
        core.home.link_down(core.link, "moving to another edge", 0.0)
        dial(life, core)

    @pep614(waiting.upon(_Life.hasten).loop())
    def try_soon(life: _Life, core: _Core) -> None:
        core.set_timer(core.backoff.hasty_delay(), life.retry)

    @pep614(up.upon(_Life.drain).to(draining))
    def finish(life: _Life, core: _Core, reason: str, deadline_seconds: float) -> None:
        if core.tunnel is not None:
            core.timer = finish_tunnel(core.clock, core.tunnel, reason, deadline_seconds)
        core.left.finish_all(reason, deadline_seconds)

    @pep614(draining.upon(_Life.failed).to(stopped))
    def finished(life: _Life, core: _Core, reason: str) -> None:
        core.close(reason)
        core.home.link_down(core.link, reason, None)

    @pep614(dialling.upon(_Life.drain).to(stopped))
    @pep614(registering.upon(_Life.drain).to(stopped))
    @pep614(waiting.upon(_Life.drain).to(stopped))
    def stop_at_once(life: _Life, core: _Core, reason: str, deadline_seconds: float) -> None:
        core.close(reason)
        core.left.finish_all(reason, deadline_seconds)
        core.home.link_down(core.link, reason, None)

    @pep614(dialling.upon(_Life.stop).to(stopped))
    @pep614(registering.upon(_Life.stop).to(stopped))
    @pep614(up.upon(_Life.stop).to(stopped))
    @pep614(waiting.upon(_Life.stop).to(stopped))
    @pep614(draining.upon(_Life.stop).to(stopped))
    def cut(life: _Life, core: _Core) -> None:
        core.close("the agent stops")
        core.left.close_all("the agent stops")
        core.home.link_down(core.link, "the agent stops", None)

    return machine.build()


_machine = _make_machine()


class _Delegate:
    """What one tunnel of a link tells; after the link has left the tunnel, only its streams matter."""

    def __init__(self, core: _Core, life: _Life) -> None:
        self._core = core
        self._life = life

    def _is_current(self, tunnel: TunnelProtocol) -> bool:
        return tunnel is self._core.tunnel

    def tunnel_opened(self, tunnel: TunnelProtocol) -> None:
        """The edge is verified."""
        self._life.opened(tunnel)

    def control_received(self, tunnel: TunnelProtocol, message: ControlMessage) -> None:
        """The edge answers our hello, or says something later."""
        if not self._is_current(tunnel):
            return
        if self._core.is_up:
            self._core.home.control_received(self._core.link, message)
        elif isinstance(message, Accepted):
            self._life.accepted(message)
        elif isinstance(message, Refused):
            if not message.retry and not self._core.home.is_served_elsewhere(self._core.link):
                self._life.refused(message)
                return
            self._life.failed(f"{message.reason} ({message.code})")
        else:
            self._life.failed(f"the edge answered our hello with {type(message).__name__}")

    def stream_opened(self, tunnel: TunnelProtocol, stream: Stream, route_id: int) -> None:
        """The edge asks for an origin."""
        self._core.home.stream_opened(stream, route_id)

    def drain_received(self, tunnel: TunnelProtocol, drain: Drain) -> None:
        """The edge is leaving."""
        if self._is_current(tunnel):
            self._life.edge_drained()

    def tunnel_lost(self, tunnel: TunnelProtocol, error: WireError) -> None:
        """The tunnel is over."""
        if self._is_current(tunnel):
            self._life.failed(str(error))
        else:
            self._core.left.lost(tunnel)


class Link:
    """
    One of the agent's tunnels, or the attempt to have it.

    :param place: which of the agent's links this is, from 0.
    :param places: how many there are; `place` and `place + places` are this link's slot numbers.
    :ivar edge: the edge of the tunnel, or the one being dialled.
    :ivar edge_name: what the edge calls itself, once it has accepted the tunnel.
    :ivar offer_number: which of the agent's offers the tunnel's edge has; the agent's to set and compare.
    """

    def __init__(self, place: int, places: int, home: Home, clock: IReactorTime, chance: Random) -> None:
        self.place = place
        self.slot = place
        self.edge: EdgeAddress | None = None
        self.edge_name = ""
        self.offer_number = 0
        self._places = places
        self._core = _Core(
            link=self,
            home=home,
            clock=clock,
            backoff=Backoff(chance, clock.seconds()),
            left=LeftTunnels(clock, home.left_tunnel_lost),
        )
        self._life = _machine(self._core)

    @property
    def is_up(self) -> bool:
        """Whether an edge has accepted the tunnel and it is still there."""
        return self._core.is_up

    @property
    def edge_in_use(self) -> EdgeAddress | None:
        """The edge of a tunnel, up or about to be; None while the link waits."""
        return self.edge if self._core.tunnel is not None or self._core.dialling is not None else None

    @property
    def is_over(self) -> bool:
        """Whether the link was told to stop and nothing is left of it, tunnels that it had to leave included."""
        core = self._core
        return core.tunnel is None and core.dialling is None and core.timer is None and not core.left

    @property
    def tunnel(self) -> TunnelProtocol | None:
        """The tunnel, registered or about to be."""
        return self._core.tunnel

    def start(self) -> None:
        """Dial, and keep a tunnel from now on."""
        self._life.start()

    def hasten(self) -> None:
        """Try soon, if the link is waiting to try again."""
        self._life.hasten()

    def send(self, message: ControlMessage) -> None:
        """Tell the edge something, if the tunnel is up."""
        if self._core.is_up and self._core.tunnel is not None:
            self._core.tunnel.send_control(message)

    def drain(self, reason: str, deadline_seconds: float) -> None:
        """Finish what is under way and stop; at the deadline stop in any case."""
        self._life.drain(reason, deadline_seconds)

    def stop(self) -> None:
        """Stop now, whatever is under way."""
        self._life.stop()

    def move(self) -> None:
        """Dial another edge, and let the tunnel finish when the new one is up."""
        self._life.move()

    def use_other_slot(self) -> None:
        """Use the link's other slot number for the next tunnel."""
        self.slot = self.place + self._places if self.slot == self.place else self.place
