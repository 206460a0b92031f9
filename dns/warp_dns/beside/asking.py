"""
Asking the edge beside this server for an answer without an end, and again whenever it ends.

An edge that is away is said once a minute for each reason, not at each try.
"""

import random
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseFailed
from twisted.web.iweb import IAgentEndpointFactory, IResponse
from zope.interface import implementer

from warp_base.reactor import Reactor
from warp_dns.errors import EdgeNotUnderstood

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 35.0  # until the head of an answer
FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = (
    1.0  # so long at most an edge that is back is not heard; a look at a socket that is not there is 0.1 ms
)
SAY_AGAIN_SECONDS = 60.0  # that it is away, for the same reason


class Asking:
    """
    One question to the edge.

    :param path: the edge's unix socket.
    :param target: what is asked, such as `/v1/records?watch=1`.
    :param take: reads one answer of status 200 to its end; what it raises is why it is asked again.
    :param broke: called when there is no answer any more.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        path: str,
        target: str,
        take: Callable[[IResponse], Awaitable[None]],
        broke: Callable[[], None] = lambda: None,
    ) -> None:
        self._reactor = reactor
        self._path = path
        self._target = target
        self._take = take
        self._broke = broke
        self._running: Deferred[None] | None = None
        self._is_wanted = False
        self._wait_seconds = FIRST_WAIT_SECONDS
        self._away_said: tuple[str, float] | None = None  # why the edge is away, and when that was logged

    def start(self) -> None:
        """Ask, and again as needed."""
        self._is_wanted = True
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(lambda failure: failure.trap(CancelledError))

    def stop(self) -> None:
        """Ask no more."""
        if self._running is not None:
            self._is_wanted = False
            self._running.cancel()
            self._running = None

    def understood(self) -> None:
        """Note that the answer is what was asked for: the next one is asked for soon after its end."""
        self._away_said = None
        self._wait_seconds = FIRST_WAIT_SECONDS

    async def _run(self) -> None:
        while self._is_wanted:
            problem = await self._ask()
            if not self._is_wanted:
                return  # cancelling may surface as another error
            self._broke()
            self._say_away(problem)
            wait = self._wait_seconds * random.uniform(0.5, 1.0)  # noqa: S311  # jitter
            self._wait_seconds = min(self._wait_seconds * 2, LONGEST_WAIT_SECONDS)
            await deferLater(self._reactor, wait)

    def _say_away(self, problem: str) -> None:
        now = self._reactor.seconds()
        if self._away_said is None or self._away_said[0] != problem or now - self._away_said[1] >= SAY_AGAIN_SECONDS:
            self._away_said = problem, now
            self._log.warn("the edge at {path} is away: {problem}", path=self._path, problem=problem)

    async def _ask(self) -> str:
        """Read one answer to its end, and say how it ended."""
        agent = Agent.usingEndpointFactory(self._reactor, _UnixEndpoint(self._reactor, self._path))
        try:
            asking = agent.request(b"GET", b"http://edge" + self._target.encode())
            response = await asking.addTimeout(ANSWER_SECONDS, self._reactor)
            if response.code != 200:
                return f"status {response.code} for {self._target.partition('?')[0]}"
            await self._take(response)
        except CancelledError:
            raise
        except ResponseFailed as error:
            return str(error.reasons[0].value) if error.reasons else str(error)
        except Exception as error:  # whatever connecting raises is a reason to retry
            return str(error) or type(error).__name__
        return "the stream ended"


class Body(Protocol, TimeoutMixin):
    """
    The body of an answer without an end; `ended` fires with its end, or fails with what was wrong with it.

    :param received: called with what comes; may raise `EdgeNotUnderstood`.
    :param silence_seconds: how long nothing may come; None: for ever.
    """

    def __init__(
        self, reactor: Reactor, received: Callable[[bytes], None], silence_seconds: float | None = None
    ) -> None:
        self._reactor = reactor
        self._received = received
        self._silence_seconds = silence_seconds
        self.ended: Deferred[None] = Deferred(self._cancel)

    def callLater(self, seconds: float, call: Callable[[], None]) -> Any:
        return self._reactor.callLater(seconds, call)

    def connectionMade(self) -> None:
        self.setTimeout(self._silence_seconds)

    def dataReceived(self, data: bytes) -> None:
        self.resetTimeout()
        if self.ended.called:
            return
        try:
            self._received(data)
        except EdgeNotUnderstood as error:
            self.fail(error)

    def timeoutConnection(self) -> None:
        self.fail(EdgeNotUnderstood(f"nothing was heard for {self._silence_seconds} s"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.setTimeout(None)
        if not self.ended.called:
            self.ended.callback(None)

    def fail(self, error: BaseException) -> None:
        """End the connection because of an error."""
        self._abort()
        if not self.ended.called:
            self.ended.errback(error)

    def pause(self) -> None:
        """Take nothing for now."""
        transport: Any = self.transport
        if transport is not None:
            transport.pauseProducing()

    def go_on(self) -> None:
        """Take on what comes."""
        transport: Any = self.transport
        if transport is not None:
            transport.resumeProducing()

    def _cancel(self, deferred: object) -> None:
        self._abort()

    def _abort(self) -> None:
        self.setTimeout(None)
        transport: Any = self.transport
        if transport is not None:
            getattr(transport, "abortConnection", transport.loseConnection)()


@implementer(IAgentEndpointFactory)
class _UnixEndpoint:
    """Every request of the agent goes to the one socket."""

    def __init__(self, reactor: Reactor, path: str) -> None:
        self._reactor = reactor
        self._path = path

    def endpointForURI(self, uri: object) -> UNIXClientEndpoint:
        return _QuietUnixEndpoint(self._reactor, self._path, timeout=CONNECT_SECONDS)


class _QuietUnixEndpoint(UNIXClientEndpoint):
    """Twisted's HTTP client logs each connection's factory; what operators have to know is said by `Asking`."""

    def connect(self, protocolFactory: Any) -> Any:
        protocolFactory.noisy = False
        return super().connect(protocolFactory)
