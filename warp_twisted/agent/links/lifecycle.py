"""
The states of one link as a table: idle, dialing, registering, up, waiting, draining, stopped.

All that decides a link's next state is here: an input that a state does not list cannot happen in it. What a
transition makes happen outside is asked of `LinkEffects`; `link` tells the inputs. Twisted's `ClientService` does not
fit: a tunnel is up only when the edge has accepted its hello, and `ClientService` has no transition for a connection
that is lost before that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from automat import TypeMachineBuilder, pep614
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from warp_twisted.agent.errors import NotAdmitted
from warp_twisted.agent.links.backoff import Backoff
from warp_twisted.agent.links.draining import LeftTunnels, finish_tunnel
from warp_twisted.tunnel import TunnelProtocol
from warp_twisted.wire.control import Accepted, Drain, Hello, Refused
from warp_twisted.wire.releases import policy_digest

REGISTER_SECONDS = 10.0


class LinkEffects(Protocol):
    """What the machine makes happen; `Link` does it."""

    def dial(self) -> "Deferred[TunnelProtocol]":
        """Choose an edge and dial it."""

    def hello(self) -> Hello:
        """Return the message that opens a tunnel now."""

    def link_up(self, accepted: Accepted) -> None:
        """The edge took the tunnel."""

    def link_down(self, reason: str, retry_seconds: float | None) -> None:
        """The tunnel is gone or did not come about; the next attempt is in so many seconds, or never."""

    def link_refused(self, refused: Refused) -> None:
        """The edge will not take this agent, now or later."""

    def use_other_slot(self) -> None:
        """Use the link's other slot number for the next tunnel."""

    def stay(self) -> None:
        """Dial the same edge next."""

    def edge_failed(self) -> None:
        """Dial another edge than this one for a while, if there is one: it answers, but does not take the tunnel."""

    def edge_leaves(self) -> None:
        """Dial another edge than this one until it is back, if there is one."""


class Lifecycle(Protocol):
    """What may happen to a link."""

    def start(self) -> None:
        """Begin."""

    def opened(self, tunnel: TunnelProtocol) -> None:
        """The edge is verified; now it must accept us."""

    def accepted(self, message: Accepted) -> None:
        """The edge took the tunnel."""

    def refused(self, message: Refused) -> None:
        """The edge will never take this agent."""

    def turned_away(self, reason: str) -> None:
        """The edge does not take the tunnel as things are; that may change."""

    def failed(self, reason: str) -> None:
        """The dial failed, the edge did not accept us, or the tunnel was lost."""

    def edge_drained(self, drain: Drain) -> None:
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
class LinkCore:
    """
    What a link has, whatever its state.

    :ivar left: tunnels that the link has left, and that serve on.
    :ivar tunnel: registered or about to be; None while there is none, and after it was left.
    :ivar dialing: the attempt that is under way.
    :ivar timer: of the state: a retry, the answer to a hello, or the end of a drain.
    :ivar required: what the edge was asked to promise.
    :ivar policy: digest of what it was asked to enforce; empty: nothing.
    :ivar is_up: whether the edge has accepted the tunnel; the state "up", and "draining" until the tunnel ends.
    """

    effects: LinkEffects
    clock: IReactorTime
    backoff: Backoff
    left: LeftTunnels
    tunnel: TunnelProtocol | None = None
    dialing: Deferred[None] | None = None
    timer: IDelayedCall | None = None
    is_up: bool = False
    required: frozenset[str] = frozenset()
    policy: str = ""

    def set_timer(self, seconds: float, function: Callable[..., None], *arguments: object) -> None:
        self.clear_timer()
        self.timer = self.clock.callLater(seconds, function, *arguments)

    def clear_timer(self) -> None:
        timer, self.timer = self.timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def close(self, reason: str) -> None:
        """Give up the tunnel or the attempt at one; its `tunnel_lost` is ignored from now on."""
        self.is_up = False
        self.clear_timer()
        attempt, self.dialing = self.dialing, None
        if attempt is not None:
            attempt.cancel()
        tunnel, self.tunnel = self.tunnel, None
        if tunnel is not None:
            tunnel.close(reason=reason)

    def leave(self, drain: Drain | None) -> None:
        """
        Let the tunnel serve on its own, and use the other slot number for the next.

        :param drain: what the edge said; None if it is we who want to move.
        """
        self.backoff.lost(self.clock.seconds())
        self.is_up = False
        self.effects.use_other_slot()
        tunnel, self.tunnel = self.tunnel, None
        if tunnel is None:
            return
        if drain is None:
            self.left.add(tunnel)
        else:
            self.left.add_drained(tunnel, drain.deadline_seconds)


def _make_machine() -> Callable[[LinkCore], Lifecycle]:
    machine = TypeMachineBuilder(Lifecycle, LinkCore)

    def dial(life: Lifecycle, core: LinkCore) -> None:
        def dialed(_: TunnelProtocol) -> None:
            core.dialing = None

        def dial_failed(failure: Failure) -> None:
            core.dialing = None
            if failure.check(NotAdmitted):
                life.turned_away(failure.getErrorMessage())
            else:
                life.failed(failure.getErrorMessage())

        attempt = core.effects.dial()
        if not attempt.called:
            core.dialing = attempt  # type: ignore[assignment]  # its result goes to the callbacks below
        attempt.addCallbacks(dialed, dial_failed)

    def wait(life: Lifecycle, core: LinkCore, reason: str, *, is_refusal: bool = False, is_hasty: bool = False) -> None:
        core.close(reason)
        backoff = core.backoff
        delay = backoff.hasty_delay() if is_hasty else backoff.next_delay(core.clock.seconds(), is_refusal=is_refusal)
        core.set_timer(delay, life.retry)
        core.effects.link_down(reason, delay)

    idle = machine.state("idle")
    dialing = machine.state("dialing")
    registering = machine.state("registering")
    up = machine.state("up")
    waiting = machine.state("waiting")
    draining = machine.state("draining")
    stopped = machine.state("stopped")

    # Nothing to do.
    for state in (dialing, registering, up, draining, stopped):
        state.upon(Lifecycle.hasten).loop().returns(None)
    for state in (idle, dialing, waiting, draining, stopped):
        state.upon(Lifecycle.edge_drained).loop().returns(None)
    for state in (idle, dialing, waiting, draining, stopped):
        state.upon(Lifecycle.move).loop().returns(None)
    for state in (waiting, stopped):
        state.upon(Lifecycle.failed).loop().returns(None)
        state.upon(Lifecycle.turned_away).loop().returns(None)
    for state in (draining, stopped):
        state.upon(Lifecycle.drain).loop().returns(None)
    stopped.upon(Lifecycle.stop).loop().returns(None)
    idle.upon(Lifecycle.drain).to(stopped).returns(None)
    idle.upon(Lifecycle.stop).to(stopped).returns(None)
    idle.upon(Lifecycle.hasten).loop().returns(None)

    @pep614(idle.upon(Lifecycle.start).to(dialing))
    @pep614(waiting.upon(Lifecycle.retry).to(dialing))
    def begin(life: Lifecycle, core: LinkCore) -> None:
        core.clear_timer()
        dial(life, core)

    @pep614(dialing.upon(Lifecycle.opened).to(registering))
    def introduce_ourselves(life: Lifecycle, core: LinkCore, tunnel: TunnelProtocol) -> None:
        core.tunnel = tunnel
        core.set_timer(REGISTER_SECONDS, life.failed, "the edge did not answer our hello")
        hello = core.effects.hello()
        core.required = frozenset(hello.requires)
        core.policy = policy_digest(hello.policy)
        tunnel.send_control(hello)

    @pep614(waiting.upon(Lifecycle.opened).loop())
    @pep614(stopped.upon(Lifecycle.opened).loop())
    def hang_up(life: Lifecycle, core: LinkCore, tunnel: TunnelProtocol) -> None:
        tunnel.close(reason="the agent did not wait for this tunnel")

    @pep614(registering.upon(Lifecycle.accepted).to(up))
    def work(life: Lifecycle, core: LinkCore, message: Accepted) -> None:
        core.clear_timer()
        core.backoff.succeeded()
        core.is_up = True
        core.left.finish_moved()
        if core.tunnel is not None:
            core.tunnel.follow(core.tunnel.times.stated(message.ping_seconds, message.silence_seconds))
        core.effects.link_up(message)

    @pep614(registering.upon(Lifecycle.refused).to(stopped))
    def give_up(life: Lifecycle, core: LinkCore, message: Refused) -> None:
        core.close(message.reason)
        core.effects.link_refused(message)

    @pep614(dialing.upon(Lifecycle.turned_away).to(waiting))
    def try_when_something_has_changed(life: Lifecycle, core: LinkCore, reason: str) -> None:
        wait(life, core, reason, is_refusal=True)

    @pep614(registering.upon(Lifecycle.turned_away).to(waiting))
    def try_elsewhere_or_when_something_has_changed(life: Lifecycle, core: LinkCore, reason: str) -> None:
        core.effects.edge_failed()
        wait(life, core, reason, is_refusal=True)

    @pep614(dialing.upon(Lifecycle.failed).to(waiting))
    def try_later(life: Lifecycle, core: LinkCore, reason: str) -> None:
        wait(life, core, reason)

    @pep614(registering.upon(Lifecycle.failed).to(waiting))
    def try_later_elsewhere(life: Lifecycle, core: LinkCore, reason: str) -> None:
        core.effects.edge_failed()
        wait(life, core, reason)

    @pep614(registering.upon(Lifecycle.edge_drained).to(waiting))
    def leave_it_to_drain(life: Lifecycle, core: LinkCore, drain: Drain) -> None:
        core.effects.edge_leaves()
        wait(life, core, "the edge is draining")

    @pep614(up.upon(Lifecycle.failed).to(waiting))
    def lose_the_tunnel(life: Lifecycle, core: LinkCore, reason: str) -> None:
        core.backoff.lost(core.clock.seconds())
        wait(life, core, reason)

    @pep614(up.upon(Lifecycle.edge_drained).to(dialing))
    def leave_the_edge(life: Lifecycle, core: LinkCore, drain: Drain) -> None:
        core.leave(drain)
        if drain.successor:
            core.effects.stay()
        else:
            core.effects.edge_leaves()
        core.effects.link_down("the edge starts anew" if drain.successor else "the edge is draining", 0.0)
        dial(life, core)

    @pep614(up.upon(Lifecycle.move).to(dialing))
    def move_elsewhere(life: Lifecycle, core: LinkCore) -> None:
        core.leave(None)
        core.effects.link_down("moving to another edge", 0.0)
        dial(life, core)

    @pep614(registering.upon(Lifecycle.move).to(waiting))
    def begin_anew(life: Lifecycle, core: LinkCore) -> None:
        # What was said in the hello may hold no more, and then the edge must not serve by it.
        wait(life, core, "moving before the edge has answered", is_hasty=True)

    @pep614(waiting.upon(Lifecycle.hasten).loop())
    def try_soon(life: Lifecycle, core: LinkCore) -> None:
        core.set_timer(core.backoff.hasty_delay(), life.retry)

    @pep614(up.upon(Lifecycle.drain).to(draining))
    def finish(life: Lifecycle, core: LinkCore, reason: str, deadline_seconds: float) -> None:
        if core.tunnel is not None:
            core.timer = finish_tunnel(core.clock, core.tunnel, reason, deadline_seconds)
        core.left.finish_all(reason, deadline_seconds)

    @pep614(draining.upon(Lifecycle.failed).to(stopped))
    def finished(life: Lifecycle, core: LinkCore, reason: str) -> None:
        core.close(reason)
        core.effects.link_down(reason, None)

    @pep614(dialing.upon(Lifecycle.drain).to(stopped))
    @pep614(registering.upon(Lifecycle.drain).to(stopped))
    @pep614(waiting.upon(Lifecycle.drain).to(stopped))
    def stop_at_once(life: Lifecycle, core: LinkCore, reason: str, deadline_seconds: float) -> None:
        core.close(reason)
        core.left.finish_all(reason, deadline_seconds)
        core.effects.link_down(reason, None)

    @pep614(dialing.upon(Lifecycle.stop).to(stopped))
    @pep614(registering.upon(Lifecycle.stop).to(stopped))
    @pep614(up.upon(Lifecycle.stop).to(stopped))
    @pep614(waiting.upon(Lifecycle.stop).to(stopped))
    @pep614(draining.upon(Lifecycle.stop).to(stopped))
    def cut(life: Lifecycle, core: LinkCore) -> None:
        core.close("the agent stops")
        core.left.close_all("the agent stops")
        core.effects.link_down("the agent stops", None)

    return machine.build()


new_lifecycle = _make_machine()
