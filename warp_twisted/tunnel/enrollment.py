"""
Enrollment on the wire: how an agent without a certificate that is good now exchanges messages with an edge.

On a TLS connection of ALPN `warp-enroll/1` the edge speaks first and sends its root and a nonce (`Authority`). A new
agent, which knows the root's fingerprint from its token, sends `EnrollRequest`; one that returns sends `ReturnRequest`
with the nonce signed. Each hears `Enrolled` or `EnrollRefused`. Who is let in is decided by the function that the edge
passes in. Sequence: spec.md §8.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.wall_clock import WallClock
from warp_twisted.tunnel.errors import EnrollmentFailed
from warp_twisted.wire.control import (
    Authority,
    ControlMessage,
    Enrolled,
    EnrollRefused,
    EnrollRequest,
    MessageReader,
    ReturnRequest,
    encode_message,
)
from warp_twisted.wire.errors import RemoteProtocolError


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """
    Who asks to be let in.

    :ivar nonce: that this connection was sent, and no other.
    :ivar address: where the request came from.
    """

    nonce: str
    address: str


Enroll = Callable[[EnrollRequest | ReturnRequest, Asker], Awaitable[Enrolled | EnrollRefused]]

NONCE_BYTES = 32
SILENCE_SECONDS = 3.0  # an agent sends its request at once
MAX_ENROLLMENT_BYTES = 64 * 1024  # a request is a key and a name; nothing unproven may make us hold more


class EnrollmentServer(Protocol):
    """
    The edge's end of one enrollment.

    :param root_pem: sent first, with the time.
    :param enroll: judges the request and makes the certificate.
    :param ended: called when the connection is gone.
    :param asked: called when the request has arrived.
    :param silence_seconds: how long the agent may take to say anything.
    :param seconds: how long the whole exchange may take, from then on.
    """

    _log = Logger()

    def __init__(
        self,
        root_pem: str,
        enroll: Enroll,
        *,
        clock: IReactorTime,
        wall: WallClock,
        ended: Callable[[], None],
        asked: Callable[[], object] | None = None,
        silence_seconds: float = SILENCE_SECONDS,
        seconds: float = 20.0,
    ) -> None:
        self._root_pem = root_pem
        self._enroll = enroll
        self._clock = clock
        self._wall = wall
        self._ended = ended
        self._asked = asked
        self._silence_seconds = silence_seconds
        self._has_spoken = False
        self._seconds = seconds
        self._reader = MessageReader(MAX_ENROLLMENT_BYTES)
        self._nonce = secrets.token_hex(NONCE_BYTES)
        self._deadline: IDelayedCall | None = None
        self._answering: Deferred[None] | None = None

    def connectionMade(self) -> None:
        self._deadline = self._clock.callLater(self._silence_seconds, self._timed_out)
        self._write(Authority(root_pem=self._root_pem, nonce=self._nonce, time=self._wall.now()))

    def dataReceived(self, data: bytes) -> None:
        if self._answering is not None:
            return
        if not self._has_spoken and self._deadline is not None:
            self._has_spoken = True
            self._deadline.reset(self._seconds)
        try:
            for message in self._reader.receive_data(data):
                if not isinstance(message, EnrollRequest | ReturnRequest):
                    raise EnrollmentFailed(f"{type(message).__name__} is not an enrollment request")
                if self._asked is not None:
                    self._asked()
                self._answering = Deferred.fromCoroutine(self._answer(message))
                return
        except (RemoteProtocolError, EnrollmentFailed) as error:
            self._finish(EnrollRefused(code="bad_request", reason=str(error)))

    async def _answer(self, request: EnrollRequest | ReturnRequest) -> None:
        address = "" if self.transport is None else getattr(self.transport.getPeer(), "host", "")
        try:
            answer = await self._enroll(request, Asker(nonce=self._nonce, address=address))
        except CancelledError:
            return
        except Exception:
            self._log.failure("a request of {address} to be let in failed", address=address)
            answer = EnrollRefused(code="internal_error", reason="the edge could not answer; its log says why")
        self._finish(answer)

    def give_way(self) -> None:
        """Hang up: others need the room."""
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]  # TCP and TLS transports have it

    def _finish(self, answer: ControlMessage) -> None:
        self._write(answer)
        if self.transport is not None:
            self.transport.loseConnection()

    def _write(self, message: ControlMessage) -> None:
        if self.transport is not None:
            self.transport.write(encode_message(message))

    def _timed_out(self) -> None:
        self._deadline = None
        if self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._answering is not None:
            self._answering.cancel()
        ended, self._ended, self._asked = self._ended, _ignore, None  # they may hold this object
        ended()


def _ignore() -> None:
    """Nobody listens any more."""


class EnrollmentClient(Protocol):
    """The agent's end: hears the root, and may then ask."""

    def __init__(self) -> None:
        self._reader = MessageReader()
        self._waiting: list[Deferred[ControlMessage]] = []
        self._heard: list[ControlMessage] = []
        self._lost: EnrollmentFailed | None = None
        self._disconnected: Deferred[None] = Deferred()

    def next_message(self) -> "Deferred[ControlMessage]":
        """
        Wait for the edge's next message.

        :raises EnrollmentFailed: if it cannot be read or the connection is lost first.
        """
        deferred: Deferred[ControlMessage] = Deferred()
        if self._heard:
            deferred.callback(self._heard.pop(0))
        elif self._lost is not None:
            deferred.errback(self._lost)
        else:
            self._waiting.append(deferred)
        return deferred

    def send(self, message: ControlMessage) -> None:
        """Send a message."""
        if self.transport is not None:
            self.transport.write(encode_message(message))

    def close(self) -> Deferred[None]:
        """Hang up; fires when the connection is gone. To be called once."""
        if self.transport is not None:
            self.transport.loseConnection()
        return self._disconnected

    def dataReceived(self, data: bytes) -> None:
        try:
            for message in self._reader.receive_data(data):
                if self._waiting:
                    self._waiting.pop(0).callback(message)
                elif len(self._heard) < 2:  # the edge sends two messages in all
                    self._heard.append(message)
        except RemoteProtocolError as error:
            self._end(EnrollmentFailed(f"the edge's answer cannot be read: {error}"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end(EnrollmentFailed(f"the edge hung up: {reason.getErrorMessage()}"))
        self._disconnected.callback(None)

    def _end(self, error: EnrollmentFailed) -> None:
        self._lost = self._lost or error
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.errback(error)
