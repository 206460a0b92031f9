"""
What a connection and the crowd of all of them need of one another, so that neither imports who uses it.

`crowd.Visitors` is the `VisitorSide` of connections, which it knows as `OpenConnection`. Nothing is decided here.
"""

from typing import Protocol

from warp_base.fair_queue import FairQueue, Waiting
from warp_twisted.edge.exchange.interfaces import Asker, Shared
from warp_twisted.edge.visitors.half_closed import HalfClosed
from warp_twisted.edge.visitors.http_proxies import HttpProxies
from warp_twisted.edge.visitors.states import VisitorState
from warp_twisted.http1.forwarding import Statements
from warp_twisted.http1.refusals import Refusal
from warp_twisted.http1.request import FirstSection
from warp_twisted.http1.shared_sections import SharedSections


class OpenConnection(Waiting, Protocol):
    """A visitor's connection, as far as all of them are looked after together."""

    state: VisitorState
    deadline: float
    unread_bytes: int

    def give_way(self) -> bool:
        """Close at once, unless there is a request or an answer that is not read; return whether it did."""

    @property
    def scheme(self) -> str:
        """`http` or `https`."""

    @property
    def asker(self) -> Asker | None:
        """Who has the connection now; None between two requests of a proxy."""

    @property
    def is_upgraded(self) -> bool:
        """Whether it is no longer HTTP, but a WebSocket or the like."""

    def abort(self) -> None:
        """Close now."""

    def timed_out(self) -> None:
        """The deadline has passed."""

    def close_if_idle(self, *, even_if_new: bool) -> None:
        """Close unless there is a request, or may be one on its way."""


class VisitorSide(Shared, Protocol):
    """What all connections share, as far as a connection uses it."""

    http_proxies: HttpProxies
    statements: Statements
    upgrades: frozenset[bytes]
    first_sections: SharedSections[FirstSection]
    queue: FairQueue
    half_closed: HalfClosed

    def is_piecemeal(self, network: str) -> bool:
        """Note a small read of a network's visitor; return whether there were too many, and they wait for turns."""

    def count_unread(self, count: int) -> None:
        """Note that bytes begin or cease to wait, for a visitor to read them or for what it sent to be served."""

    def connected(self, connection: OpenConnection) -> None:
        """A connection is ready for requests."""

    def disconnected(self, connection: OpenConnection) -> None:
        """A connection is gone."""

    def refuse_connection(self, connection: OpenConnection, refusal: Refusal) -> bytes:
        """Log and count something that was no request, and return the answer to it."""
