"""
One of the agent's tunnels, or the attempt to have it: dial, register, work, and begin again until told to stop.

Its states are `lifecycle`; here a tunnel's events become the machine's inputs, and its effects are passed to the owner.

When any other link of the agent comes up, the waiting ones try at once (`hasten`), because then the network is back.

When the edge drains, or the agent moves a tunnel, the link dials again, and the old tunnel serves on until the new one
is up, or as long as an edge takes that drains (`draining`). The new one then has the other of the link's two slot
numbers, so that its registration does not replace the old while requests are on it.
"""

from collections.abc import Collection
from random import Random
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.links.backoff import Backoff
from warp_twisted.agent.links.draining import LeftTunnels
from warp_twisted.agent.links.lifecycle import Lifecycle, LinkCore, new_lifecycle
from warp_twisted.names import one_line
from warp_twisted.tunnel import TunnelDelegate, TunnelProtocol
from warp_twisted.wire.control import MAX_REASON_CHARACTERS, Accepted, ControlMessage, Drain, Hello, Refused
from warp_twisted.wire.errors import WireError
from warp_twisted.wire.preamble import OpeningCode, encode_opening
from warp_twisted.wire.releases import HOST_HEADER, POLICY
from warp_twisted.wire.streams import Stream

REVOKED = "revoked"  # the one refusal that no time heals: somebody cut this agent off


MAX_EDGE_CHARACTERS = 100  # of an edge's name in a sentence


class LinkOwner(Protocol):
    """What a link needs of those it belongs to; `link_set` gives it, tests give something smaller."""

    def dial(self, link: "Link", delegate: TunnelDelegate) -> "Deferred[TunnelProtocol]":
        """Choose an edge, set `link.edge`, and dial it."""

    def hello(self, link: "Link") -> Hello:
        """Return the message that opens a tunnel now."""

    def stream_opened(self, stream: Stream, route_id: int) -> None:
        """The edge asks for an origin."""

    def control_received(self, link: "Link", message: ControlMessage) -> None:
        """The edge said something on a tunnel that is up."""

    def link_up(self, link: "Link", accepted: Accepted) -> None:
        """The edge took the tunnel."""

    def link_down(self, link: "Link", reason: str, retry_seconds: float | None) -> None:
        """The tunnel is gone or did not come about; the next attempt is in so many seconds, or never."""

    def link_refused(self, link: "Link", refused: Refused) -> None:
        """The edge will not take this agent, now or later."""

    def edge_failed(self, link: "Link") -> None:
        """The edge answers, but does not take the tunnel."""

    def edge_leaves(self, link: "Link") -> None:
        """The edge asks to leave it."""

    def left_tunnel_lost(self) -> None:
        """A tunnel that a link had left has ended."""


class _Effects:
    """What the machine of one link makes happen: the owner does it, for this link."""

    def __init__(self, link: "Link", owner: LinkOwner) -> None:
        self._link = link
        self._owner = owner
        self.delegate: TunnelDelegate

    def dial(self) -> Deferred[TunnelProtocol]:
        """Choose an edge and dial it."""
        return self._owner.dial(self._link, self.delegate)

    def hello(self) -> Hello:
        """Return the message that opens a tunnel now."""
        return self._owner.hello(self._link)

    def link_up(self, accepted: Accepted) -> None:
        """The edge took the tunnel."""
        self._owner.link_up(self._link, accepted)

    def link_down(self, reason: str, retry_seconds: float | None) -> None:
        """The tunnel is gone or did not come about."""
        self._owner.link_down(self._link, reason, retry_seconds)

    def link_refused(self, refused: Refused) -> None:
        """The edge will not take this agent, now or later."""
        self._owner.link_refused(self._link, refused)

    def use_other_slot(self) -> None:
        """Use the link's other slot number for the next tunnel."""
        self._link.use_other_slot()

    def stay(self) -> None:
        """Dial the same edge next."""
        self._link.stays = True

    def edge_failed(self) -> None:
        """Dial another edge than this one for a while."""
        self._owner.edge_failed(self._link)

    def edge_leaves(self) -> None:
        """Dial another edge than this one until it is back."""
        self._owner.edge_leaves(self._link)


class _Delegate:
    """What the tunnels of one link tell; after the link has left a tunnel, only its streams and its end matter."""

    def __init__(self, link: "Link", owner: LinkOwner, core: LinkCore, life: Lifecycle) -> None:
        self._link = link
        self._owner = owner
        self._core = core
        self._life = life

    def tunnel_opened(self, tunnel: TunnelProtocol) -> None:
        """The edge is verified."""
        self._life.opened(tunnel)

    def control_received(self, tunnel: TunnelProtocol, message: ControlMessage) -> None:
        """The edge answers our hello, or says something later."""
        if tunnel is not self._core.tunnel:
            return
        if self._core.is_up:
            self._owner.control_received(self._link, message)
        elif isinstance(message, Accepted):
            missing = self._core.required.difference(message.protects)
            if missing or (self._core.policy and message.policy != self._core.policy):
                self._life.turned_away(_unprotected(message.edge, missing))
            else:
                self._life.accepted(message)
        elif isinstance(message, Refused):
            if message.code == REVOKED:
                self._life.refused(message)
            elif message.retry:
                self._life.failed(_sentence(message))
            else:
                self._life.turned_away(_sentence(message))
        else:
            self._life.failed(f"the edge answered our hello with {type(message).__name__}")

    def stream_opened(self, tunnel: TunnelProtocol, stream: Stream, route_id: int) -> None:
        """The edge asks for an origin: not before it has promised what those rely on, if it was asked to."""
        core = self._core
        if core.required and tunnel is core.tunnel and not core.is_up:
            stream.write(encode_opening(OpeningCode.DRAINING, "nothing is served before the edge has promised"))
            stream.end()
        else:
            self._owner.stream_opened(stream, route_id)

    def drain_received(self, tunnel: TunnelProtocol, drain: Drain) -> None:
        """The edge is leaving."""
        if tunnel is self._core.tunnel:
            self._life.edge_drained(drain)

    def tunnel_hung_up(self, tunnel: TunnelProtocol) -> None:
        """Its end follows."""

    def tunnel_lost(self, tunnel: TunnelProtocol, error: WireError) -> None:
        """The tunnel has ended."""
        if tunnel is self._core.tunnel:
            self._life.failed(str(error))
        else:
            self._core.left.lost(tunnel)


class Link:
    """
    One of the agent's tunnels, or the attempt to have it.

    :param index: which of the agent's links this is, from 0.
    :param count: how many there are; `index` and `index + count` are this link's slot numbers.
    :ivar edge: the edge of the tunnel, or the one being dialed.
    :ivar stays: whether the next dial is of the same edge; whoever dials ends it.
    :ivar edge_name: what the edge calls itself, once it has accepted the tunnel.
    :ivar offer_number: which of the agent's offers the tunnel's edge has; set and compared by `offering`.
    """

    def __init__(self, index: int, count: int, owner: LinkOwner, clock: IReactorTime, chance: Random) -> None:
        self.index = index
        self.slot = index
        self.edge: EdgeAddress | None = None
        self.stays = False
        self.edge_name = ""
        self.offer_number = 0
        self._count = count
        effects = _Effects(self, owner)
        self._core = LinkCore(
            effects=effects,
            clock=clock,
            backoff=Backoff(chance, clock.seconds()),
            left=LeftTunnels(clock, owner.left_tunnel_lost),
        )
        self._life = new_lifecycle(self._core)
        effects.delegate = _Delegate(self, owner, self._core, self._life)

    @property
    def is_up(self) -> bool:
        """Whether an edge has accepted the tunnel and it is still there."""
        return self._core.is_up

    @property
    def edge_in_use(self) -> EdgeAddress | None:
        """The edge of a tunnel, up or about to be; None while the link waits."""
        return self.edge if self._core.tunnel is not None or self._core.dialing is not None else None

    @property
    def has_finished(self) -> bool:
        """Whether the link was told to stop and nothing is left of it, tunnels that it had to leave included."""
        core = self._core
        return core.tunnel is None and core.dialing is None and core.timer is None and not core.left

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

    def send(self, message: ControlMessage) -> bool:
        """Tell the edge something if the tunnel is up; returns whether it is."""
        if not self._core.is_up or self._core.tunnel is None:
            return False
        self._core.tunnel.send_control(message)
        return True

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
        self.slot = self.index + self._count if self.slot == self.index else self.index


def _unprotected(edge: str, missing: Collection[str]) -> str:
    """Say why an edge is left that has not promised what this agent's origins rely on: it is of an older release."""
    words = ", ".join(sorted(set(missing) - {POLICY, HOST_HEADER}))
    name = one_line(edge, MAX_EDGE_CHARACTERS)
    if HOST_HEADER in missing:
        return f"edge {name} does not set the Host that a rule's http_host_header asks for: it needs a later release"
    if not words:
        return f"edge {name} does not enforce the policy that this agent asks for: it needs a later release"
    return f"edge {name} does not promise {words}, which `require` names: it needs a later release"


def _sentence(refused: Refused) -> str:
    """Return what an edge said, as one line of bounded length: it is logged and shown."""
    return f"{one_line(refused.reason, MAX_REASON_CHARACTERS)} ({refused.code})"
