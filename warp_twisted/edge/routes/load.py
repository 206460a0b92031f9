"""
What routes know of a registered tunnel: how to open a stream on it, whose it is, how busy it is, and its standing.

One `TunnelLoad` stands for a tunnel in all its routes. Nothing is decided here: `route` compares loads, and
`suspicion` says which event leads from one standing to the next.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Protocol

from warp_twisted.wire.preamble import OpeningReceiver
from warp_twisted.wire.streams import Stream


class StreamOpener(Protocol):
    """What opens streams; `tunnel.TunnelProtocol` does."""

    @property
    def can_open_stream(self) -> bool:
        """Whether `open_route` would succeed now."""

    @property
    def heard_at(self) -> float:
        """When bytes came last; only whether it changes is looked at."""

    def open_route(self, route_id: int, receiver: OpeningReceiver, data: bytes = b"") -> Stream:
        """Open a stream to one of the agent's routes."""

    def ping(self) -> object:
        """Ask the agent for a sign of life; nothing happens when the tunnel is over."""


class ServingTunnel(Protocol):
    """What the data path knows of a registered tunnel; `edge.agents.tunnels.EdgeTunnel` is one."""

    @property
    def id(self) -> str:
        """The tunnel's name in logs."""

    @property
    def agent(self) -> str:
        """The agent's id."""

    @property
    def labels(self) -> Mapping[str, str]:
        """The agent's labels."""

    @property
    def protocol(self) -> StreamOpener:
        """What opens streams to the agent."""

    @property
    def via(self) -> str:
        """The name of the edge that has the tunnel, and relays streams to it; empty: this edge has it itself."""


class LentStream(Protocol):
    """A stream of a tunnel that somebody uses; `pool.OriginStream` is one."""

    def tunnel_suspected(self) -> None:
        """The tunnel is silent: tell who uses the stream."""


class Standing(Enum):
    """Whether a tunnel is believed to be alive."""

    TRUSTED = "nothing is asked of it that it has not answered"
    ASKED = "a request was given to it, and it may be a moment until bytes come"
    PINGED = "it was silent although it was asked, so a ping was sent"
    SUSPECTED = "it did not answer the ping: requests go to other tunnels, if there are any"
    GONE = "it is registered no longer"


class StreamCounts:
    """
    How many streams there are over all tunnels, counted as they come and go: a look through all would take too long.

    :ivar used: those that somebody uses.
    :ivar idle: those that wait for a request.
    """

    __slots__ = ("idle", "used")

    def __init__(self) -> None:
        self.used = 0
        self.idle = 0


class TunnelLoad:
    """
    How busy one tunnel is, over all its routes.

    :param watch: called when the tunnel is asked for something while it is TRUSTED; must not leave it so.
    :param counts: of the streams of all tunnels.
    :ivar is_remote: whether another edge has the tunnel.
    :ivar lent: streams in use.
    :ivar is_draining: no stream is kept after its use.
    :ivar is_asked: whether a stream was lent since `suspicion` looked last.
    """

    __slots__ = ("counts", "is_asked", "is_draining", "is_remote", "lent", "standing", "tunnel", "watch")

    def __init__(
        self,
        tunnel: ServingTunnel,
        watch: "Callable[[TunnelLoad], None] | None" = None,
        counts: StreamCounts | None = None,
    ) -> None:
        self.tunnel = tunnel
        self.is_remote = bool(tunnel.via)
        self.counts = counts or StreamCounts()
        self.lent: set[LentStream] = set()
        self.is_draining = False
        self.is_asked = False
        self.standing = Standing.TRUSTED
        self.watch = watch or _watch_nothing

    @property
    def active(self) -> int:
        """Streams in use."""
        return len(self.lent)

    def lend(self, stream: LentStream) -> None:
        """Somebody begins to use a stream."""
        self.lent.add(stream)
        self.counts.used += 1

    def take_back(self, stream: LentStream) -> None:
        """Somebody uses a stream no longer."""
        self.lent.discard(stream)
        self.counts.used -= 1


def _watch_nothing(load: TunnelLoad) -> None:
    load.standing = Standing.ASKED
