"""
The visitors of `warp demo --canary`: a few dozen, each with a cookie of its own, at a steady and bounded rate.

They come in turns. One that has asked often enough leaves, and another one comes in its place, without a cookie. They
use a client that shares no code with the edge, and dial it on loopback whatever the hostname is.
"""

from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IReactorTCP, IStreamClientEndpoint
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool, readBody
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IResponse
from zope.interface import implementer

from warp_base.reactor import Reactor
from warp_twisted.demo.canary.application import HEADER
from warp_twisted.demo.canary.samples import Seen
from warp_twisted.demo.ports import ADDRESS

VISITORS = 40
REQUESTS_EACH = 25  # until another visitor comes in its place
MAX_UNDER_WAY = 64  # requests: an edge that is slow is not asked more
ANSWER_SECONDS = 10.0


@dataclass(slots=True, eq=False)
class _Visitor:
    """
    One visitor.

    :ivar left: how many requests it has left.
    :ivar release: that served it last.
    :ivar has_failed: whether that answer was an error.
    """

    left: int
    cookie: str = ""
    release: str = ""
    has_failed: bool = False


@implementer(IAgentEndpointFactory)
class _Loopback:
    def __init__(self, reactor: IReactorTCP) -> None:
        self._reactor = reactor

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return TCP4ClientEndpoint(self._reactor, ADDRESS, uri.port)


class Visitors:
    """
    All visitors.

    :param rate: requests a second.
    :ivar answers: how many there were.
    :ivar errors: how many of them were errors, with requests that got none.
    :ivar moved: by release, how many visitors another one served before.
    """

    def __init__(self, reactor: Reactor, rate: float) -> None:
        self._reactor = reactor
        self._rate = rate
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = MAX_UNDER_WAY
        self._agent = Agent.usingEndpointFactory(reactor, _Loopback(reactor), self._pool)
        # Of different ages, so that they do not all leave at once.
        self._visitors = [_Visitor(1 + at * REQUESTS_EACH // VISITORS) for at in range(VISITORS)]
        self._turn = 0
        self._under_way: set[Deferred[None]] = set()
        self._coming: LoopingCall | None = None
        self.answers = 0
        self.errors = 0
        self.moved: dict[str, int] = {}

    @property
    def seen(self) -> list[Seen]:
        """What each visitor saw last."""
        return [Seen(visitor.release, visitor.has_failed) for visitor in self._visitors]

    def start(self, url: str) -> None:
        """Begin to visit a page."""
        self._coming = LoopingCall(self._come, url.encode())
        self._coming.clock = self._reactor
        self._coming.start(1 / self._rate)

    async def stop(self) -> None:
        """Come no more."""
        if self._coming is not None and self._coming.running:
            self._coming.stop()
        for asking in list(self._under_way):
            asking.cancel()
        await self._pool.closeCachedConnections()

    def _come(self, url: bytes) -> None:
        if len(self._under_way) >= MAX_UNDER_WAY:
            return
        self._turn = (self._turn + 1) % VISITORS
        visitor = self._visitors[self._turn]
        if not visitor.left:
            visitor = self._visitors[self._turn] = _Visitor(REQUESTS_EACH)
        visitor.left -= 1
        asking = Deferred.fromCoroutine(self._ask(visitor, url))
        self._under_way.add(asking)
        asking.addTimeout(ANSWER_SECONDS, self._reactor)
        asking.addErrback(self._unanswered, visitor).addBoth(self._done, asking)

    async def _ask(self, visitor: _Visitor, url: bytes) -> None:
        headers = Headers({"user-agent": ["warp-demo"]})
        if visitor.cookie:
            headers.setRawHeaders("cookie", [visitor.cookie])
        response: IResponse = await self._agent.request(b"GET", url, headers)
        await readBody(response)
        for field in response.headers.getRawHeaders("set-cookie") or ():
            visitor.cookie = field.partition(";")[0]
        release = (response.headers.getRawHeaders(HEADER) or [""])[0]
        if release and visitor.release and release != visitor.release:
            self.moved[release] = self.moved.get(release, 0) + 1
        visitor.release = release or visitor.release
        visitor.has_failed = response.code >= 500
        self.answers += 1
        self.errors += visitor.has_failed

    def _unanswered(self, failure: Failure, visitor: _Visitor) -> None:
        """An edge that stops or stalls answers nobody; its own counts tell more than this would."""
        visitor.has_failed = True
        self.errors += 1

    def _done(self, result: object, asking: Deferred[None]) -> None:
        self._under_way.discard(asking)
