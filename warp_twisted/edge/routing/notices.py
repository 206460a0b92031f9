"""
Notices to a URL that the policy names: that a guard has found a share worse.

One after the other, a few times each, and never waited for: what is told holds already. The URL is a secret with many
receivers, so logs name its host only. It is the operator's, so it may be of a private network.
"""

from collections import deque
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import msgspec
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from warp_twisted.web_client import cause_of

ASK_SECONDS = 10.0
RETRY_SECONDS = (5.0, 30.0, 120.0)  # before each further attempt
MAX_WAITING = 100


class NoticeRefused(Exception):
    """The receiver answered something else than 2xx."""


@implementer(IBodyProducer)
class _Text:
    """A short body, written at once."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self.length = len(text)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write it."""
        consumer.write(self._text)
        return succeed(None)

    def stopProducing(self) -> None:
        """Nothing is left."""

    def pauseProducing(self) -> None:
        """Nothing is left."""

    def resumeProducing(self) -> None:
        """Nothing is left."""


class _Unread(Protocol):
    """Takes no body: hangs up, however long it is."""

    def connectionMade(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


class Notices:
    """
    Tells them.

    :param make_agent: makes what asks http and https servers and follows no redirects; called when it is needed.
    """

    _log = Logger()

    def __init__(self, make_agent: Callable[[], IAgent], clock: IReactorTime) -> None:
        self._make_agent = make_agent
        self._clock = clock
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._telling: Deferred[None] | None = None

    def tell(self, url: str, notice: Mapping[str, object]) -> None:
        """Post a notice as JSON, after those that wait; beyond `MAX_WAITING` the oldest of them is left out."""
        if len(self._waiting) >= MAX_WAITING:
            self._say_lost(self._waiting.popleft()[0], "too many wait")
        self._waiting.append((url, msgspec.json.encode(notice)))
        if self._telling is None:
            self._telling = telling = Deferred.fromCoroutine(self._tell_all())
            telling.addBoth(self._ended)
            if telling.called:
                self._telling = None

    def stop(self) -> None:
        """Tell nothing more."""
        self._waiting.clear()
        if self._telling is not None:
            self._telling.cancel()

    def _ended(self, result: object) -> None:
        self._telling = None

    async def _tell_all(self) -> None:
        while self._waiting:
            url, text = self._waiting.popleft()
            await self._tell(url, text)

    async def _tell(self, url: str, text: bytes) -> None:
        for wait in (*RETRY_SECONDS, None):
            asked = Deferred.fromCoroutine(self._ask(url, text))
            asked.addTimeout(ASK_SECONDS, self._clock)
            try:
                await asked
            except CancelledError:
                raise
            except Exception as error:
                if wait is None:
                    self._say_lost(url, cause_of(error))
                    return
            else:
                return
            await deferLater(self._clock, wait, lambda: None)

    async def _ask(self, url: str, text: bytes) -> None:
        headers = Headers({b"Content-Type": [b"application/json"], b"User-Agent": [b"warp-edge"]})
        agent = self._make_agent()
        response: IResponse = await agent.request(b"POST", url.encode("ascii"), headers, _Text(text))
        response.deliverBody(_Unread())
        if not 200 <= response.code < 300:
            raise NoticeRefused(f"the answer is {response.code}, expected 200 to 299")

    def _say_lost(self, url: str, reason: str) -> None:
        self._log.warn("a notice to {host} could not be told: {reason}", host=urlsplit(url).hostname, reason=reason)
