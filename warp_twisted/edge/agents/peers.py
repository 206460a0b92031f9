"""
The connections of agents, from the moment that their certificates are good: by tunnel protocol, and by agent.

A table only; what becomes of a peer is decided in `edge.agents.tunnels`.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from warp_base.slices import Slices
from warp_twisted.ca.issue import AgentIdentity
from warp_twisted.edge.agents.registrations import EdgeTunnel
from warp_twisted.edge.agents.unproven import FairQueue
from warp_twisted.tunnel import TunnelProtocol
from warp_twisted.wire.control import ControlMessage


@dataclass(eq=False, slots=True)
class Peer:
    """
    An agent's connection, before and after it registered.

    :ivar identity: who it is; None before its hello was read.
    :ivar deadline: the one call that is due for it, if any: the end of its time, or of a wait.
    :ivar tunnel: what it registered.
    :ivar waiting: its messages that are not answered yet.
    """

    protocol: TunnelProtocol
    identity: AgentIdentity | None = None
    deadline: IDelayedCall | None = None
    tunnel: EdgeTunnel | None = None
    waiting: deque[ControlMessage] = field(default_factory=deque)
    is_answering: bool = False
    is_gone: bool = False

    def cancel_deadline(self) -> None:
        """Let nothing be due any more."""
        if self.deadline is not None and self.deadline.active():
            self.deadline.cancel()
        self.deadline = None


async def close_all(protocols: list[TunnelProtocol], reason: str, clock: IReactorTime, timeout: float) -> None:
    """
    Close tunnels in slices, as one costs a quarter of a millisecond, and wait until their transports are gone.

    :param protocols: is emptied meanwhile, as who held all of them to the end would free them in one long turn.
    :param timeout: in seconds, for the transports.
    """
    left = len(protocols)
    all_gone: Deferred[None] = Deferred()

    def gone(result: None) -> None:
        nonlocal left
        left -= 1
        if not left:
            all_gone.callback(None)

    def steps() -> Iterator[None]:
        while protocols:
            protocol = protocols.pop()
            protocol.disconnected().addCallback(gone)
            protocol.close(reason=reason)
            del protocol
            yield

    if protocols:
        await Slices(clock).run(steps())
        await all_gone.addTimeout(timeout, clock, onTimeoutCancel=lambda result, seconds: None)


def tell_all(protocols: list[TunnelProtocol], message: ControlMessage, clock: IReactorTime) -> None:
    """Send a message to tunnels in slices; those that are over by then are passed over."""

    def steps() -> Iterator[None]:
        while protocols:
            protocol = protocols.pop()
            if not protocol.is_over:
                protocol.send_control(message)
            del protocol
            yield

    Slices(clock).start(steps())


class Peers:
    """
    Every agent's connection.

    :ivar silent: those that have not registered, by network.
    """

    def __init__(self) -> None:
        self._by_protocol: dict[TunnelProtocol, Peer] = {}
        self.silent: FairQueue[Peer] = FairQueue()
        self._by_agent: dict[str, set[Peer]] = {}  # those that said who they are

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._by_protocol)

    def __iter__(self) -> Iterator[Peer]:
        """Yield each of them."""
        return iter(self._by_protocol.values())

    def get(self, protocol: TunnelProtocol) -> Peer | None:
        """Return the peer of a tunnel, unless it is gone."""
        return self._by_protocol.get(protocol)

    def of_agent(self, agent: str) -> list[Peer]:
        """Return an agent's connections that said hello."""
        return list(self._by_agent.get(agent, ()))

    def add(self, protocol: TunnelProtocol, network: str) -> Peer:
        """Add a connection, which has not registered yet."""
        peer = self._by_protocol[protocol] = Peer(protocol)
        self.silent.add(peer, network)
        return peer

    def register(self, peer: Peer, tunnel: EdgeTunnel) -> None:
        """Note what a peer registered; nothing is due for it any more."""
        peer.cancel_deadline()
        peer.tunnel = tunnel
        self.silent.discard(peer)

    def identify(self, peer: Peer, identity: AgentIdentity) -> None:
        """Note who a peer is."""
        peer.identity = identity
        self._by_agent.setdefault(identity.id, set()).add(peer)

    def remove(self, protocol: TunnelProtocol) -> Peer | None:
        """Take a connection that is gone out of the table; nothing is due for it any more."""
        peer = self._by_protocol.pop(protocol, None)
        if peer is None:
            return None
        peer.is_gone = True
        self.silent.discard(peer)
        peer.cancel_deadline()
        if peer.identity is not None:
            of_agent = self._by_agent[peer.identity.id]
            of_agent.discard(peer)
            if not of_agent:
                del self._by_agent[peer.identity.id]
        return peer
