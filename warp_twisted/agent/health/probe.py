"""
One probe of an origin: connect, ask if there is something to ask, and say what came of it.

Everything has an end: the whole probe within its time-out, its answer within `answer`'s bounds. The connection is used
for nothing else, and is closed as soon as the verdict is there.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IProtocol,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from warp_twisted.agent.health.answer import GOOD, Answer
from warp_twisted.tunnel.endpoints import OneProtocol
from warp_twisted.tunnel.tls import forget_connector

Explain = Callable[[Failure], str | None]


class Probe:
    """
    One probe; it begins when made.

    :param tls: whether `endpoint` makes a TLS connection, which is there when the handshake is complete.
    :param request: what is sent; None: that it connects is all that is asked.
    :param answer: reads what comes back.
    :param explain: says why a connection failed; None: that is a bug of ours.
    :param done: called once, unless `cancel` comes first: with `GOOD`, or what is wrong.
    """

    _log = Logger()

    __slots__ = (
        "_answer",
        "_connecting",
        "_done",
        "_explain",
        "_is_tls",
        "_protocol",
        "_request",
        "_timeout",
        "_timer",
    )

    def __init__(
        self,
        clock: IReactorTime,
        endpoint: IStreamClientEndpoint,
        *,
        tls: bool,
        timeout: float,
        request: bytes | None,
        answer: Answer,
        explain: Explain,
        done: Callable[[str], None],
    ) -> None:
        self._request = request
        self._answer = answer
        self._explain = explain
        self._done: Callable[[str], None] | None = done
        self._timeout = timeout
        self._is_tls = tls
        self._protocol = _Asking(self)
        self._timer: IDelayedCall | None = clock.callLater(timeout, self._timed_out)
        self._connecting: Deferred[IProtocol] | None = None
        connecting: Deferred[IProtocol] = endpoint.connect(OneProtocol(self._protocol))
        self._connecting = connecting
        connecting.addCallbacks(self._connected, self._failed)

    @property
    def is_over(self) -> bool:
        """Whether the verdict is there, or nobody waits for it any more."""
        return self._done is None

    def cancel(self) -> None:
        """Ask no more, and tell nobody."""
        self._done = None
        self._hang_up()

    # What the connection says.

    def is_ready(self) -> None:
        """The origin is connected, its handshake complete."""
        if self._done is None:
            return
        if self._request is None:
            self._end(GOOD)
        elif self._protocol.transport is not None:
            self._protocol.transport.write(self._request)

    def received(self, data: bytes) -> None:
        """Bytes of the answer came."""
        self._answer.receive(data)
        if self._answer.verdict is not None:
            self._end(self._answer.verdict)

    def lost(self, reason: Failure, *, was_ready: bool) -> None:
        """The connection is over."""
        if self._done is None:
            return
        if not was_ready:
            self._failed(reason)
            return
        self._answer.ended()
        self._end(self._answer.verdict or GOOD)

    def _connected(self, _: IProtocol) -> None:
        if self._done is None:
            self._hang_up()
        elif not self._is_tls:
            self._protocol.is_ready = True
            self.is_ready()

    def _failed(self, failure: Failure) -> None:
        if self._done is None:
            return
        text = self._explain(failure)
        if text is None:
            self._log.failure("probing an origin failed", failure)
            text = "the agent failed to probe it; its log says how"
        self._end(text)

    def _timed_out(self) -> None:
        self._timer = None
        self._end(f"no answer within {self._timeout:g} seconds")

    def _end(self, verdict: str) -> None:
        done, self._done = self._done, None
        if done is not None:
            self._hang_up()
            done(verdict)

    def _hang_up(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        self._protocol.abort()


@implementer(IHandshakeListener)
class _Asking(Protocol):
    """
    The connection of a probe.

    :ivar is_ready: whether it is connected, its handshake complete.
    """

    transport: ITCPTransport

    def __init__(self, probe: Probe) -> None:
        self._probe: Probe | None = probe
        self.is_ready = False

    def connectionMade(self) -> None:
        """See `Protocol`."""
        if self._probe is None or self._probe.is_over:
            self.abort()

    def handshakeCompleted(self) -> None:
        """See `IHandshakeListener`."""
        self.is_ready = True
        if self._probe is not None:
            self._probe.is_ready()

    def abort(self) -> None:
        """Drop the connection, if there is one."""
        if self.transport is not None:
            self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """See `Protocol`."""
        if self._probe is not None and not self._probe.is_over:
            self._probe.received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See `Protocol`."""
        forget_connector(self.transport)
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.lost(reason, was_ready=self.is_ready)
