"""
An agent's tunnels at another edge, as the table of routes sees any tunnel: it opens streams, there on the link.

A link may come and go; each stream is opened on the one that there is at that moment.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from warp_twisted.edge.relays.counters import EdgeCounters
from warp_twisted.wire.control import RouteOffer
from warp_twisted.wire.errors import CannotOpenStream
from warp_twisted.wire.preamble import OpeningReceiver
from warp_twisted.wire.relayed import RelayPreamble, encode_relay_preamble
from warp_twisted.wire.streams import Stream


class Link(Protocol):
    """A connection with another edge; `tunnel.TunnelProtocol` is one."""

    @property
    def can_open_stream(self) -> bool:
        """Whether `open_with` would succeed now."""

    @property
    def heard_at(self) -> float:
        """When bytes of the edge came last."""

    def open_with(self, preamble: bytes, receiver: OpeningReceiver) -> Stream:
        """Open a stream that begins with a preamble."""

    def ping(self) -> object:
        """Ask the edge for a sign of life."""


class OfferedRoute(Protocol):
    """A route of a tunnel of another edge, as its agent offered it."""

    @property
    def hostname(self) -> str:
        """Of the route: a hostname or a pattern."""

    @property
    def path(self) -> str:
        """The path rule; empty: none."""

    @property
    def max_requests(self) -> int:
        """How many requests the origin takes at once; 0: as many as come."""

    @property
    def host_header(self) -> str:
        """What the origin is told as Host; empty: what the visitor said."""

    @property
    def own_scheme(self) -> Literal["", "http", "https"]:
        """Under which the origin knows itself by that name; empty: nothing but Host is changed."""


LinkTo = Callable[[str], Link | None]


class RelayOpener:
    """
    Opens streams to one agent through another edge.

    :param link_to: returns the link with an edge; None: there is none.
    """

    __slots__ = ("_agent", "_counters", "_edge", "_link_to", "_numbers", "_preambles")

    def __init__(self, edge: str, agent: str, link_to: LinkTo, counters: EdgeCounters) -> None:
        self._edge = edge
        self._agent = agent
        self._link_to = link_to
        self._counters = counters
        self._numbers: dict[tuple[str, str], int] = {}
        self._preambles: list[bytes] = []

    def offer(self, route: OfferedRoute) -> RouteOffer:
        """
        Return one of the agent's routes as the table of routes is offered it; its number is this object's own.

        :raises MessageTooLarge: if the route cannot be named in a preamble.
        """
        hostname, path = route.hostname, route.path
        number = self._numbers.get((hostname, path))
        if number is None:
            self._preambles.append(encode_relay_preamble(RelayPreamble(hostname, self._agent, path)))
            number = self._numbers[hostname, path] = len(self._preambles) - 1
        return RouteOffer(
            id=number,
            hostname=hostname,
            path=path,
            max_requests=route.max_requests,
            host_header=route.host_header,
            own_scheme=route.own_scheme,
        )

    @property
    def can_open_stream(self) -> bool:
        """Whether `open_route` would succeed now."""
        link = self._link_to(self._edge)
        return link is not None and link.can_open_stream

    @property
    def heard_at(self) -> float:
        """When bytes of the other edge came last; what the agent itself says is heard by that edge."""
        link = self._link_to(self._edge)
        return 0.0 if link is None else link.heard_at

    def ping(self) -> None:
        """Ask the other edge for a sign of life."""
        link = self._link_to(self._edge)
        if link is not None:
            link.ping()

    def open_route(self, route_id: int, receiver: OpeningReceiver, data: bytes = b"") -> Stream:
        """
        Open a stream to one of the agent's routes.

        :raises CannotOpenStream: if the link takes none now, or there is no link.
        """
        link = self._link_to(self._edge)
        if link is None:
            raise CannotOpenStream(f"there is no link with edge {self._edge}")
        stream = link.open_with(self._preambles[route_id] + data, receiver)
        self._counters.opened += 1
        return stream


class RemoteTunnel:
    """
    All tunnels of one agent at one other edge; that edge chooses among them.

    :ivar id: for logs.
    :ivar via: the edge.
    """

    __slots__ = ("agent", "id", "labels", "protocol", "via")

    def __init__(self, edge: str, agent: str, labels: Mapping[str, str], protocol: RelayOpener) -> None:
        self.id = f"{edge}/{agent}"
        self.agent = agent
        self.labels = labels
        self.protocol = protocol
        self.via = edge

    def offers(self, routes: Sequence[OfferedRoute]) -> list[RouteOffer]:
        """
        Return what is offered through it.

        :param routes: in the order in which they are tried.
        :raises MessageTooLarge: if one cannot be named in a preamble.
        """
        return [self.protocol.offer(route) for route in routes]
