"""
Streams to origins, kept for the next request.

`Member` is one tunnel that may serve one route; it opens streams and keeps those that are idle, last used first.
`OriginStream` is one stream with what outlives a request on it: the reader of its responses, and whether the
origin was reached. It knows nothing of visitors; the borrower is the receiver of the stream until giving it
back with `release` or `discard`. An idle stream on which the origin speaks is cut: those bytes belong to nobody. Nor
do those of a used stream that left its agent before it had heard of the next request: `stream.peer_heard` is False.
"""

from collections.abc import Callable
from typing import Protocol

from warp_twisted.edge.routes.load import Standing, TunnelLoad
from warp_twisted.http1.host_rewriting import HostRewriting
from warp_twisted.http1.limits import ResponseRules
from warp_twisted.http1.response import ResponseReader
from warp_twisted.routing.outliers import Origin
from warp_twisted.wire.errors import WireError
from warp_twisted.wire.preamble import Opening, OpeningReceiver
from warp_twisted.wire.streams import DISCARD, Stream, StreamReceiver

_TRUSTED = Standing.TRUSTED  # found much faster than a member of an Enum


class Borrower(StreamReceiver, Protocol):
    """Who uses an origin stream for one exchange."""

    @property
    def network(self) -> str:
        """What counts as one visitor: whose request it is."""

    def origin_opened(self) -> None:
        """The origin was reached; called only if that was not known when the stream was borrowed."""

    def origin_refused(self, opening: Opening) -> None:
        """The agent did not reach the origin; the stream is gone and needs no `discard`."""

    def tunnel_suspected(self) -> None:
        """The tunnel is silent: what may be done on another should be, if there is one that is not."""


class Member:
    """
    One tunnel as a way to serve one route.

    :param route_id: the agent's number for the route.
    :param idle_streams: how many unused streams are kept.
    :param watch: called when there is an idle stream while `is_watched` is False.
    :ivar is_suspected: whether it is chosen only when there is no other: the tunnel is silent, the origin ejected, or
        not healthy by the agent's probes.
    :ivar is_silent: whether the tunnel is suspected of being dead.
    :ivar complaint: why the origin is not healthy by the agent's probes; None: it is.
    :ivar standing: what these were as it was put among its route's tunnels.
    :ivar origin: what is known of the agent's origin; of all members of an agent at a route the same.
    :ivar is_watched: whether somebody will come to close streams that have been idle for too long.
    :ivar rewriting: what the origin is told as Host; None: what the visitor said.
    """

    __slots__ = (
        "_idle",
        "_idle_streams",
        "_response_rules",
        "_watch",
        "complaint",
        "is_silent",
        "is_suspected",
        "is_watched",
        "load",
        "origin",
        "rewriting",
        "route_id",
        "standing",
    )

    def __init__(
        self,
        load: TunnelLoad,
        route_id: int,
        response_rules: ResponseRules,
        idle_streams: int,
        watch: "Callable[[Member], None] | None" = None,
    ) -> None:
        self.load = load
        self.route_id = route_id
        self._idle_streams = idle_streams
        self.is_suspected = self.is_silent = load.standing is Standing.SUSPECTED
        self.complaint: str | None = None
        self.standing = (self.is_suspected, self.is_silent, False)
        self.origin = Origin()
        self.rewriting: HostRewriting | None = None
        self.is_watched = watch is None
        self._watch = watch
        self._response_rules = response_rules
        self._idle: dict[OriginStream, None] = {}  # the one that was used last comes last

    @property
    def oldest_idle(self) -> float | None:
        """When the stream that has waited for the longest time was used last."""
        return next(iter(self._idle)).idle_since if self._idle else None

    @property
    def max_requests(self) -> int:
        """How many requests the origin takes at once; 0: nobody says."""
        return 0

    def has_room_for(self, network: str) -> bool:
        """Whether the origin takes another request of a network now."""
        return True

    def lend(self, receiver: Borrower, used_after: float) -> "OriginStream":
        """
        Lend the idle stream that was used last, or a new one.

        :param used_after: an instant; a stream that has been idle since before it is not good enough.
        :raises CannotOpenStream: if the tunnel, or the origin, takes none now.
        """
        origin = None
        if self._idle:
            origin, _ = self._idle.popitem()
            if origin.idle_since >= used_after:
                self.load.counts.idle -= 1
            else:
                self._idle[origin] = None
                origin = None
        if origin is None:
            origin = self.make_stream()
            origin.stream = self.load.tunnel.protocol.open_route(self.route_id, origin)
        origin.lend(receiver)
        return origin

    def make_stream(self) -> "OriginStream":
        """Return the stream that is to be opened."""
        return OriginStream(self, self.make_reader())

    def make_reader(self) -> ResponseReader:
        """Return what reads the origin's answers on one stream."""
        return ResponseReader(self._response_rules)

    def keep(self, origin: "OriginStream") -> bool:
        """Take a stream back that can be used again; False if there is no room for it."""
        self.load.take_back(origin)
        if self.load.is_draining or len(self._idle) >= self._idle_streams:
            return False
        self._idle[origin] = None
        self.load.counts.idle += 1
        if not self.is_watched and self._watch is not None:
            self.is_watched = True
            self._watch(self)
        return True

    def forget(self, origin: "OriginStream") -> None:
        """An idle stream is gone."""
        if origin in self._idle:
            del self._idle[origin]
            self.load.counts.idle -= 1

    def retire(self) -> None:
        """The tunnel no longer serves the route: keep nothing, now and when streams in use come back."""
        self._idle_streams = 0
        self.close_idle()

    def close_idle(self, used_before: float = float("inf")) -> None:
        """Close the streams that have been idle since before an instant."""
        for origin in list(self._idle):
            if origin.idle_since >= used_before:
                break
            self.forget(origin)
            origin.close()


class OriginStream(OpeningReceiver):
    """
    One stream to an origin; made by `Member.open`.

    :ivar stream: the stream; its receiver is the borrower once the origin is reached, this object while it is idle.
    :ivar borrower: who uses it now.
    :ivar is_opened: whether the agent has reached the origin.
    :ivar was_used: whether it has served a request before.
    :ivar idle_since: when it was last given back.
    """

    __slots__ = ("borrower", "idle_since", "is_opened", "member", "reader", "stream", "was_used")

    stream: Stream

    def __init__(self, member: Member, reader: ResponseReader) -> None:
        self.member = member
        self.reader = reader
        self.borrower: Borrower | None = None
        self.is_opened = False
        self.was_used = False
        self.idle_since = 0.0

    def lend(self, borrower: Borrower) -> None:
        """Give the stream to who will use it for one exchange."""
        self.borrower = borrower
        load = self.member.load
        load.lend(self)
        load.is_asked = True
        if load.standing is _TRUSTED:
            load.watch(load)
        if self.is_opened:
            self.stream.peer_heard = False
            self.stream.receiver = borrower

    def release(self, now: float) -> None:
        """Take the stream back after a whole exchange, for the next one."""
        if not self.stream.peer_heard:
            # Of an agent that never says what it heard, an answer could not be told from what came before the request.
            self.discard()
            return
        self.borrower = None
        self.was_used = True
        self.idle_since = now
        self.stream.receiver = self
        if not self.member.keep(self):
            self.close()

    def discard(self) -> None:
        """Take the stream back in a state that nobody can use: cut it."""
        if self.borrower is not None:
            self.take_back()
        self.close()

    def end(self) -> None:
        """Take the stream back and half-close it: what was written still reaches the origin, nothing comes back."""
        if self.borrower is not None:
            self.take_back()
        self.stream.receiver = DISCARD
        self.stream.end()

    def take_back(self) -> None:
        """Nobody uses the stream any more."""
        self.borrower = None
        self.member.load.take_back(self)

    def leave_place(self) -> None:
        """Let others have the place at the origin, where places are counted; the stream stays with who has it."""

    def close(self) -> None:
        """Cut the stream; nobody uses it."""
        self.stream.receiver = DISCARD
        self.stream.reset()

    def tunnel_suspected(self) -> None:
        """Tell the borrower that the tunnel is silent, unless it was heard meanwhile."""
        if self.borrower is not None and self.member.load.standing is Standing.SUSPECTED:
            self.borrower.tunnel_suspected()

    # What the stream says, until the origin is reached and while nobody uses it.

    def opening_received(self, opening: Opening) -> None:
        """Let the borrower go on with the origin, or without."""
        borrower = self.borrower
        if borrower is None:
            return
        if opening.is_opened:
            self.is_opened = True
            self.stream.receiver = borrower
            borrower.origin_opened()
            return
        self.take_back()
        borrower.origin_refused(opening)

    def data_received(self, data: bytes) -> None:
        """The origin speaks out of turn."""
        self._gone()
        self.close()

    def end_received(self) -> None:
        """The origin closed an idle connection, as it may."""
        self._gone()
        self.close()

    def credit_received(self) -> None:
        """Request bytes may be written before the origin is reached."""
        if self.borrower is not None:
            self.borrower.credit_received()

    def stream_lost(self, error: WireError) -> None:
        """The stream died, before its origin was reached or while it was idle."""
        if self.borrower is not None:
            self.borrower.stream_lost(error)
        else:
            self._gone()

    def _gone(self) -> None:
        self.member.forget(self)
