"""
What other web servers are asked with, and what went wrong there in words. Knows nobody who asks.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IAgent, IPolicyForHTTPS

from warp_base.reactor import Reactor

CONNECT_SECONDS = 10.0


def make_agent(reactor: Reactor, trust: IPolicyForHTTPS | None = None) -> IAgent:
    """
    Return what asks https servers, and follows no redirects: one could lead away from https.

    :param trust: which certificates are believed; None for those of the system's authorities.
    """
    agent: IAgent = Agent(reactor, trust or BrowserLikePolicyForHTTPS(), connectTimeout=CONNECT_SECONDS)
    return agent


def innermost(error: BaseException | None) -> BaseException | None:
    """Return what lies behind a failure to ask; Twisted wraps it in several layers."""
    while isinstance(error, ResponseFailed) and error.reasons:
        error = error.reasons[0].value
    return error


def cause_of(error: BaseException | None) -> str:
    """Return what lies behind a failure to ask, in words."""
    cause = innermost(error)
    return str(cause) or type(cause).__name__


class BoundedBody(Protocol):
    """
    Takes the body of an answer as it is sent: nothing is unpacked.

    :param max_bytes: more than that, and the connection is closed.
    :param failed: makes the error of a body that did not come whole, of the reason.
    :ivar done: the body; cancelling it closes the connection.
    """

    def __init__(self, max_bytes: int, failed: Callable[[str], Exception]) -> None:
        self.done: Deferred[bytes] = Deferred(lambda _: self._leave())
        self._max_bytes = max_bytes
        self._failed = failed
        self._pieces: list[bytes] = []
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        """Take a piece."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > self._max_bytes and not self.done.called:
            self._leave()
            self.done.errback(self._failed(f"the answer is longer than {self._max_bytes} bytes"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Give the body, or the reason why it is not whole."""
        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(b"".join(self._pieces))
        else:
            self.done.errback(self._failed(cause_of(reason.value)))

    def _leave(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
