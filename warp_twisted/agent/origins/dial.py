"""
From a stream that the edge opened to a connection with the origin, or to the reason why there is none.

`OriginDial` receives the stream while its origin is being connected to, keeps the bytes that arrive early (never
more than the stream's window, because their credit is not returned), and makes way for a splice. It does not know
routes, tunnels or settings; the caller hears how the dial went.
"""

from collections.abc import Callable
from dataclasses import dataclass

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    ConnectError,
    ConnectionClosed,
    ConnectionRefusedError,
    DNSLookupError,
    TCPTimedOutError,
    TimeoutError,
    UnknownHostError,
)
from twisted.internet.interfaces import IDelayedCall, IProtocol, IReactorTime
from twisted.python.failure import Failure

from warp_twisted.agent.origins import Dial
from warp_twisted.agent.origins.splice import PlainSplice, TlsSplice, Traffic
from warp_twisted.agent.origins.tls import OriginNotVerified
from warp_twisted.tunnel.endpoints import OneProtocol
from warp_twisted.wire.errors import WireError
from warp_twisted.wire.preamble import OpeningCode, encode_opening
from warp_twisted.wire.streams import DISCARD, Stream

_OPENED = encode_opening(OpeningCode.OPENED)


@dataclass(frozen=True, slots=True)
class DialResult:
    """
    How one attempt to reach an origin ended.

    :ivar detail: for people, empty when the origin answered.
    :ivar seconds: how long it took.
    """

    code: OpeningCode
    detail: str
    seconds: float

    @property
    def is_connected(self) -> bool:
        """Whether the origin answered."""
        return self.code is OpeningCode.OPENED


def explain(failure: Failure) -> tuple[OpeningCode, str] | None:
    """
    Say why an origin could not be reached, in the words of the opening reply.

    :returns: the code and a detail, or None if the failure is a bug in Warp rather than a problem with the origin.
    """
    error = failure.value
    if isinstance(error, ConnectionRefusedError):
        return OpeningCode.ORIGIN_REFUSED, "connection refused"
    if isinstance(error, TimeoutError | TCPTimedOutError):
        return OpeningCode.ORIGIN_TIMED_OUT, "no answer within the connect time-out"
    if isinstance(error, DNSLookupError | UnknownHostError):
        return OpeningCode.NAME_NOT_FOUND, "its name cannot be resolved"
    if isinstance(error, OriginNotVerified):
        return OpeningCode.TLS_FAILED, str(error)
    if isinstance(error, SSL.Error):
        return OpeningCode.TLS_FAILED, _openssl_reason(error)
    if isinstance(error, ConnectionClosed):
        return OpeningCode.TLS_FAILED, "the origin closed the connection during the TLS handshake"
    if isinstance(error, ConnectError):
        return OpeningCode.ORIGIN_UNREACHABLE, failure.getErrorMessage().rstrip(".")
    return None


def _openssl_reason(error: SSL.Error) -> str:
    reasons = [str(entry[-1]) for entry in error.args[0] if entry[-1]] if error.args and error.args[0] else []
    if "wrong version number" in reasons or "packet length too long" in reasons:
        return "the origin does not speak TLS; is it http?"
    return ", ".join(reasons) or "the TLS handshake failed"


class Attempt:
    """
    One attempt to connect to an origin, TLS handshake included; it begins when made.

    :param dial: where to, and how long it may take.
    :param traffic: what the resulting splice counts into.
    :param ended: called once, unless `cancel` comes first: with the result, and the splice if the origin answered.
    """

    __slots__ = ("_began_at", "_clock", "_connecting", "_dial", "_ended", "_splice", "_timer")

    def __init__(
        self,
        clock: IReactorTime,
        dial: Dial,
        traffic: Traffic,
        ended: Callable[[DialResult, PlainSplice | TlsSplice | None], None],
    ) -> None:
        self._clock = clock
        self._dial = dial
        self._ended = ended
        self._began_at = clock.seconds()
        self._splice = TlsSplice(traffic, self._connected, self._failed) if dial.tls else PlainSplice(traffic)
        self._timer: IDelayedCall | None = clock.callLater(dial.timeout, self._timed_out)
        self._connecting: Deferred[IProtocol] = dial.endpoint.connect(OneProtocol(self._splice))
        self._connecting.addCallbacks(self._transport_connected, self._failed)

    @property
    def is_pending(self) -> bool:
        """Whether the attempt has not ended yet."""
        return self._timer is not None

    def cancel(self) -> None:
        """Stop connecting, or drop the connection whose handshake is still going on."""
        if self._finish():
            self._ended = _ignore
            self._hang_up()

    def _transport_connected(self, _: IProtocol) -> None:
        if self._timer is None:
            self._hang_up()
        elif not self._dial.tls:
            self._connected(self._splice)

    def _connected(self, splice: PlainSplice | TlsSplice) -> None:
        if self._finish():
            self._tell(self._result(OpeningCode.OPENED, ""), splice)

    def _failed(self, failure: Failure) -> None:
        if self._finish():
            reason = explain(failure)
            if reason is None:
                reason = OpeningCode.INTERNAL_ERROR, f"the agent failed: {failure.getErrorMessage()}"
            self._tell(self._result(*reason), None)

    def _timed_out(self) -> None:
        if self._finish():
            self._hang_up()
            detail = f"no answer within {self._dial.timeout:g} seconds"
            self._tell(self._result(OpeningCode.ORIGIN_TIMED_OUT, detail), None)

    def _tell(self, result: DialResult, splice: PlainSplice | TlsSplice | None) -> None:
        """Say how it went, once; what listens is let go, so that no reference cycle is left."""
        ended, self._ended = self._ended, _ignore
        ended(result, splice)

    def _result(self, code: OpeningCode, detail: str) -> DialResult:
        return DialResult(code, detail, self._clock.seconds() - self._began_at)

    def _finish(self) -> bool:
        """Note that the attempt has ended; returns False if it had before."""
        if self._timer is None:
            return False
        timer, self._timer = self._timer, None
        if timer.active():
            timer.cancel()
        return True

    def _hang_up(self) -> None:
        self._connecting.cancel()
        if self._splice.transport is not None:
            self._splice.transport.abortConnection()


def _ignore(result: DialResult, splice: PlainSplice | TlsSplice | None) -> None:
    """Nobody listens any more."""


class OriginDial:
    """
    Receiver of a stream whose origin is being connected to; answers the edge and makes way for the splice.

    :param done: called with the result, unless the stream is lost first.
    :param rejected: called with the reason if TLS fails later, while the stream needs it.
    """

    __slots__ = ("_attempt", "_done", "_early", "_has_ended", "_rejected", "_stream")

    def __init__(
        self,
        clock: IReactorTime,
        dial: Dial,
        stream: Stream,
        traffic: Traffic,
        done: Callable[[DialResult], None],
        rejected: Callable[[str], None] | None = None,
    ) -> None:
        self._stream = stream
        self._done = done
        self._rejected = rejected
        self._early: list[bytes] = []
        self._has_ended = False
        stream.receiver = self
        self._attempt = Attempt(clock, dial, traffic, self._ended)

    def data_received(self, data: bytes) -> None:
        """Keep request bytes until there is someone to take them."""
        self._early.append(data)

    def end_received(self) -> None:
        """The edge has sent all it will."""
        self._has_ended = True

    def credit_received(self) -> None:
        """Nothing is written before the opening reply."""

    def stream_lost(self, error: WireError) -> None:
        """The visitor did not wait, or the tunnel is gone."""
        self._attempt.cancel()

    def _ended(self, result: DialResult, splice: PlainSplice | TlsSplice | None) -> None:
        stream = self._stream
        if splice is None:
            refuse(stream, result.code, result.detail)
        else:
            stream.write(_OPENED)
            rejected = self._rejected
            if rejected is not None and isinstance(splice, TlsSplice):
                splice.rejected = lambda error: rejected(_openssl_reason(error))
            splice.start(stream)
            for data in self._early:
                splice.data_received(data)
            if self._has_ended:
                splice.end_received()
        self._done(result)


def refuse(stream: Stream, code: OpeningCode, detail: str) -> None:
    """Answer a stream with the reason why it leads nowhere, and end it."""
    stream.receiver = DISCARD
    stream.write(encode_opening(code, detail))
    stream.end()


def probe(clock: IReactorTime, dial: Dial, done: Callable[[DialResult], None]) -> Attempt:
    """Find out whether an origin answers: connect, and close at once."""

    def ended(result: DialResult, splice: PlainSplice | TlsSplice | None) -> None:
        if splice is not None:
            splice.close()
        done(result)

    return Attempt(clock, dial, Traffic(), ended)
