"""
All links of one agent: which edge each dials, and what one that comes up or goes down means for the others.

What a tunnel's edge is told and what it answers is the agent's; it is asked through `LinksAgent`. How one link lives is
`link`, which edge is next is `edges`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Protocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.links.edge_dialer import EdgeDialer
from warp_twisted.agent.links.edges import Edges
from warp_twisted.agent.links.link import Link
from warp_twisted.names import one_line
from warp_twisted.tunnel import TunnelDelegate, TunnelProtocol
from warp_twisted.tunnel.errors import PeerNotValidNow
from warp_twisted.wire.control import MAX_REASON_CHARACTERS, Accepted, ControlMessage, Hello, Notice, Refused
from warp_twisted.wire.releases import KNOWN
from warp_twisted.wire.streams import Stream


class LinksAgent(Protocol):
    """What the links need of the agent that they serve."""

    async def before_dial(self, edge: EdgeAddress) -> None:
        """
        Get ready to be verified by an edge.

        :raises AgentError: if that is not possible now.
        :raises TunnelError: if the edge was asked for help and did not give it; so for `ConnectError`.
        """

    def edge_not_valid(self, edge: EdgeAddress) -> None:
        """An edge's certificate is not valid yet, or no longer, by this machine's clock."""

    def hello(self, link: Link) -> Hello:
        """Return the message that opens a tunnel now."""

    def stream_opened(self, stream: Stream, route_id: int) -> None:
        """An edge asks for an origin."""

    def control_received(self, link: Link, message: ControlMessage) -> None:
        """An edge said something on a tunnel that is up."""

    def link_up(self, link: Link, accepted: Accepted) -> None:
        """A tunnel works."""

    def link_down(self, link: Link, reason: str, retry_seconds: float | None) -> None:
        """A tunnel is gone or did not come about; the next attempt is in so many seconds, or never."""

    def link_refused(self, link: Link, refused: Refused) -> None:
        """No edge takes this agent."""

    def link_ended(self) -> None:
        """A tunnel has ended, or a connection of one is closed: perhaps it was the last."""


@dataclass(slots=True)
class LinkCounts:
    """
    What happened to tunnels since the start.

    :ivar registered: tunnels that an edge accepted; `lost`: tunnels and dials that failed.
    """

    registered: int = 0
    lost: int = 0


class LinkSet:
    """
    The links of one agent.

    :param count: how many tunnels to keep.
    """

    _log = Logger()

    def __init__(
        self, count: int, agent: LinksAgent, dialer: EdgeDialer, edges: Edges, clock: IReactorTime, chance: Random
    ) -> None:
        self.counts = LinkCounts()
        self._agent = agent
        self._dialer = dialer
        self._edges = edges
        self._clock = clock
        self._links = [Link(index, count, self, clock, chance) for index in range(count)]

    def __iter__(self) -> Iterator[Link]:
        return iter(self._links)

    def __len__(self) -> int:
        return len(self._links)

    @property
    def up_count(self) -> int:
        """Tunnels that an edge has accepted."""
        return sum(link.is_up for link in self._links)

    @property
    def has_finished(self) -> bool:
        """Whether all were told to stop, and no byte of a tunnel is on its way any more."""
        return not self._dialer.has_connections and all(link.has_finished for link in self._links)

    def start(self) -> None:
        """Dial."""
        for link in self._links:
            link.start()

    def move_all(self) -> None:
        """Dial a new tunnel in place of each that is up, which serves on until the new one is."""
        for link in self._links:
            link.move()

    def drain(self, reason: str, deadline_seconds: float) -> None:
        """Finish what is under way and stop; at the deadline stop in any case."""
        for link in self._links:
            link.drain(reason, deadline_seconds)

    def stop(self) -> None:
        """Stop now."""
        for link in self._links:
            link.stop()

    def hasten(self) -> None:
        """Let those that wait try again soon."""
        for link in self._links:
            link.hasten()

    def send(self, message: ControlMessage) -> None:
        """Tell the edge of every tunnel that is up."""
        for link in self._links:
            link.send(message)

    def send_one(self, message: ControlMessage) -> bool:
        """Tell the edge of any tunnel that is up; returns whether one is."""
        return any(link.send(message) for link in self._links)

    # What each link asks (`LinkOwner`).

    def dial(self, link: Link, delegate: TunnelDelegate) -> Deferred[TunnelProtocol]:
        """Choose an edge for a link and dial it."""
        return Deferred.fromCoroutine(self._dial(link, delegate))

    async def _dial(self, link: Link, delegate: TunnelDelegate) -> TunnelProtocol:
        stays, link.stays = link.stays, False
        if link.edge is None or not stays:
            in_use = [edge for other in self._links if other is not link and (edge := other.edge_in_use) is not None]
            link.edge = await self._dialer.choose(in_use)
        try:
            await self._dialer.prepare(link.edge, self._agent.before_dial)
            return await self._dialer.dial(link.edge, delegate)
        except PeerNotValidNow:
            self._agent.edge_not_valid(link.edge)
            raise

    def hello(self, link: Link) -> Hello:
        """Introduce the agent as it is now, and say which messages are read here."""
        return msgspec.structs.replace(self._agent.hello(link), knows=list(KNOWN))

    def stream_opened(self, stream: Stream, route_id: int) -> None:
        """Connect a stream to its origin."""
        self._agent.stream_opened(stream, route_id)

    def control_received(self, link: Link, message: ControlMessage) -> None:
        """Act on what the edge of a tunnel says; what is for people goes to the log."""
        if isinstance(message, Notice):
            text = one_line(message.text, MAX_REASON_CHARACTERS)
            self._log.warn("edge {edge} says: {text}", edge=link.edge_name, text=text)
        else:
            self._agent.control_received(link, message)

    def link_up(self, link: Link, accepted: Accepted) -> None:
        """Note that a tunnel works, and let the links that wait try again."""
        self.counts.registered += 1
        link.edge_name = accepted.edge
        if link.edge is not None:
            self._edges.answered(link.edge, accepted.edge)
        self._log.info(
            "tunnel {tunnel} to {edge} at {address} is up",
            tunnel=link.index,
            edge=accepted.edge,
            address=str(link.edge),
        )
        self._agent.link_up(link, accepted)
        for other in self._links:
            other.hasten()

    def link_down(self, link: Link, reason: str, retry_seconds: float | None) -> None:
        """Note that a tunnel is gone."""
        reason = reason.rstrip(".")  # Twisted's sentences have one
        if retry_seconds is not None:
            self.counts.lost += 1
            self._log.info(
                "tunnel {tunnel} to {address} is down: {reason}; again in {seconds:.1f} s",
                tunnel=link.index,
                address=str(link.edge),
                reason=reason,
                seconds=retry_seconds,
            )
        self._agent.link_down(link, reason, retry_seconds)
        self._agent.link_ended()

    def link_refused(self, link: Link, refused: Refused) -> None:
        """Give up: the fleet has cut this agent off."""
        self._agent.link_refused(link, refused)

    def edge_failed(self, link: Link) -> None:
        """Let other edges be dialed before this one for a while."""
        if link.edge is not None:
            self._edges.failed(link.edge, self._clock.seconds(), refused=True)

    def edge_leaves(self, link: Link) -> None:
        """Let other edges be dialed before this one, until it is back."""
        if link.edge is not None:
            self._edges.failed(link.edge, self._clock.seconds())

    def left_tunnel_lost(self) -> None:
        """Note that a tunnel that was left behind has ended."""
        self._agent.link_ended()
