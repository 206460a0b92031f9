"""
What routes know of a registered tunnel: how to open a stream on it, whose it is, and how busy it is.

One `TunnelLoad` stands for a tunnel in all its routes. Nothing is decided here: `route` compares loads.
"""

from typing import Protocol

from warp_twisted.wire.preamble import OpeningReceiver
from warp_twisted.wire.streams import Stream


class StreamOpener(Protocol):
    """What opens streams; `tunnel.TunnelProtocol` does."""

    @property
    def can_open_stream(self) -> bool:
        """Whether `open_route` would succeed now."""

    def open_route(self, route_id: int, receiver: OpeningReceiver, data: bytes = b"") -> Stream:
        """Open a stream to one of the agent's routes."""


class ServingTunnel(Protocol):
    """What the data path knows of a registered tunnel; `edge.agents.tunnels.EdgeTunnel` is one."""

    @property
    def id(self) -> str:
        """The tunnel's name in logs."""

    @property
    def agent(self) -> str:
        """The agent's id."""

    @property
    def protocol(self) -> StreamOpener:
        """What opens streams to the agent."""


class TunnelLoad:
    """
    How busy one tunnel is, over all its routes.

    :ivar active: streams in use.
    :ivar is_draining: no stream is kept after its use.
    """

    __slots__ = ("active", "is_draining", "tunnel")

    def __init__(self, tunnel: ServingTunnel) -> None:
        self.tunnel = tunnel
        self.active = 0
        self.is_draining = False
