"""What a link needs of the agent that it belongs to; `agent.service` gives it, tests give something smaller."""

from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred

from warp_twisted.tunnel import TunnelDelegate, TunnelProtocol
from warp_twisted.wire.control import Accepted, ControlMessage, Hello, Refused
from warp_twisted.wire.streams import Stream

if TYPE_CHECKING:
    from warp_twisted.agent.links.link import Link


class Home(Protocol):
    """What a link needs of the agent that it belongs to."""

    def dial(self, link: "Link", delegate: TunnelDelegate) -> "Deferred[TunnelProtocol]":
        """Choose an edge, set `link.edge`, and dial it."""

    def hello(self, link: "Link") -> Hello:
        """The message that opens a tunnel now."""

    def stream_opened(self, stream: Stream, route_id: int) -> None:
        """The edge asks for an origin."""

    def control_received(self, link: "Link", message: ControlMessage) -> None:
        """The edge said something on a tunnel that is up."""

    def link_up(self, link: "Link", accepted: Accepted) -> None:
        """The edge took the tunnel."""

    def link_down(self, link: "Link", reason: str, retry_seconds: float | None) -> None:
        """The tunnel is gone or did not come about; the next attempt is in so many seconds, or never."""

    def is_served_elsewhere(self, link: "Link") -> bool:
        """Whether another link is up, so that what this link's edge refuses is not refused by all."""

    def link_refused(self, link: "Link", refused: Refused) -> None:
        """The edge will not take this agent, now or later."""

    def left_tunnel_lost(self) -> None:
        """A tunnel that a link had left has ended."""
