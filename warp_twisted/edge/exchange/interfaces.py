"""
What an exchange and a visitor's connection need of one another, so that neither imports who uses it.

A connection serves conversations: an `Exchange`, or the `Splice` that follows it. Those know their connection as a
`Visitor`, and what all connections share as `Shared`. Nothing is decided here.
"""

from collections.abc import Mapping
from typing import Protocol

from warp_base.wall_clock import WallClock
from warp_twisted.edge.exchange.access_log import AccessLog
from warp_twisted.edge.exchange.mirroring import Mirroring
from warp_twisted.edge.exchange.schedule import Schedule
from warp_twisted.edge.exchange.states import Ending
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.edge.policy.passage import Passage
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.limits import VisitorLimits, VisitorTimeouts
from warp_twisted.edge.routes.pool import OriginStream
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.http1.request_fields import FieldRules
from warp_twisted.policy.visitor import Visitor as Source
from warp_twisted.tunnel.step_queue import StepQueue


class Conversation(Protocol):
    """Who a connection's bytes are for: an `Exchange`, or the `Splice` that follows it."""

    @property
    def wants_data(self) -> bool:
        """Whether the next bytes belong to it, rather than to the next request."""

    @property
    def is_blocked(self) -> bool:
        """Whether it can pass nothing on now."""

    def request_received(self, data: bytes) -> bytes:
        """
        Bytes of the visitor came.

        :returns: what is left: more of the body, to be given in another turn, while `wants_data`; else what follows.
        """

    @property
    def has_more(self) -> bool:
        """Whether it goes on in turns: `take_turn` is called as long as the visitor reads."""

    def take_turn(self) -> None:
        """Do one small piece of what is left."""

    def visitor_drained(self) -> None:
        """Everything written has gone out, after `is_clogged` was set; now credit may be returned."""

    def visitor_ended(self) -> bool:
        """The visitor sends no more, and nothing of it waits; returns whether it may wait for what is left to come."""

    def visitor_lost(self) -> None:
        """The connection is gone."""

    def timed_out(self) -> None:
        """The deadline has passed."""


class Shared(Protocol):
    """
    What all connections share, as far as an exchange, its answer and a splice use it.

    :ivar schedule: when those go on that a limit of bytes holds back.
    :ivar losses: where streams that died are obeyed; with a tunnel a thousand die at once.
    :ivar mirroring: copies of requests that shadows get.
    :ivar challenge_answers: what ACME's http-01 is answered with: hostname and path → body.
    """

    routes: RouteTable
    metrics: DataPathMetrics
    access_log: AccessLog | None
    limits: VisitorLimits
    timeouts: VisitorTimeouts
    rules: FieldRules
    policy: PolicyInForce
    wall: WallClock
    now: float
    is_draining: bool
    losses: StepQueue
    schedule: Schedule
    mirroring: Mirroring
    challenge_answers: Mapping[tuple[str, bytes], bytes]

    def seconds(self) -> float:
        """Return the present instant of a monotonic clock; `now` is at most a sweep's interval later."""

    def next_request_id(self) -> bytes:
        """Return an id that no other request of any edge has."""

    def date(self) -> bytes:
        """Return the value of Date."""

    def refused_seconds(self, network: str, now: float) -> float:
        """Count a request of a network; return for how long it has asked too often, or 0."""

    def let_end(self, origin: OriginStream) -> None:
        """End a stream in order, and cut it if the origin does not end as well."""


class Asker(Protocol):
    """
    Who asks one request: whose connection it is, or whom the proxy speaks for whose connection it is.

    :ivar address: for logs and for the origin.
    :ivar network: what counts as one visitor.
    """

    address: str
    network: str

    @property
    def scheme(self) -> str:
        """`http` or `https`: how the visitor came."""

    @property
    def source(self) -> Source:
        """The visitor, as the policy knows it."""

    @property
    def passage(self) -> Passage | None:
        """The connection's way through the limits of connections; None if it is not the visitor's."""

    def chain_for(self, authorities: frozenset[bytes]) -> tuple[bytes, ...]:
        """
        Return the certificate that the visitor proved, and others that came with it, in DER; nothing if it has none.

        Raises `MessageRefused` if the connection was not made for a certificate of these authorities.
        """


class Visitor(Asker, Protocol):
    """
    The visitor's connection, as far as an exchange, its answer and a splice use it.

    :ivar spoken_for: who asks the next request, if it is not whose connection it is.
    :ivar is_clogged: whether bytes wait because the visitor does not read them.
    :ivar is_paused: whether the visitor is not read.
    :ivar has_ended: whether the visitor sends no more.
    :ivar kept_bytes: of request and answer, as `count_kept` was told last.
    :ivar deadline: an instant of the visitors' clock; `wait` sets it.
    :ivar hostname: for which the connection was used last, or empty.
    """

    spoken_for: Asker | None
    hostname: str
    is_clogged: bool
    is_paused: bool
    has_ended: bool
    kept_bytes: int
    deadline: float

    @property
    def visitors(self) -> Shared:
        """What all connections share."""

    def check_hostname(self, hostname: str) -> None:
        """Use the connection for another hostname; raises `MessageRefused` if it was not made for that."""

    def write(self, data: bytes) -> None:
        """Send bytes now, or when the visitor reads."""

    def wait(self, seconds: float) -> None:
        """Set the deadline."""

    def pause_reading(self) -> None:
        """Read the visitor no more, because the stream takes no more."""

    def resume_reading(self) -> None:
        """Read the visitor again, as far as it is the conversation's to say."""

    def end_sending(self) -> None:
        """Close our sending side, behind what was written and has left; the visitor may go on sending."""

    def take_held(self) -> bytes:
        """Give away the bytes that followed the request."""

    def count_kept(self, count: int) -> None:
        """Count the bytes kept now: of the request, without credit or to be sent again; of the answer, for a turn."""

    def wait_for_turn(self) -> None:
        """Let the conversation go on in a turn, as it `has_more`."""

    def hand_over(self, conversation: Conversation) -> None:
        """Serve another conversation from now on, in the exchange's place."""

    def conversation_ended(self, ending: Ending) -> None:
        """The conversation is at its end; called once, and last."""

    def abort(self) -> None:
        """Close now."""
