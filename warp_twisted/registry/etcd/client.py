"""
Asking etcd's JSON gateway, over one kept connection for calls and one for the watch.

A call goes to the endpoint in use and is never sent twice: what failed may have been done, which only its caller can
judge. The endpoint is left as soon as one call to it fails. Names are resolved by the reactor for each connection, so
that a member that moved is found. Nothing is retried here.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS, IResponse

from warp_base.reactor import Reactor
from warp_twisted.registry.errors import RegistryError, StoreBroken, StoreClosed
from warp_twisted.registry.etcd.endpoints import Endpoints
from warp_twisted.registry.etcd.messages import WATCH_PATH, Heard, error_of, read_watch_line
from warp_twisted.web_client import BoundedBody, cause_of, innermost

CALL_SECONDS = 5.0
CONNECT_SECONDS = 2.0
MAX_ANSWER_BYTES = 32 * 1024 * 1024  # 250 keys of 64 KiB in base64, and a little more
MAX_LINE_BYTES = 4 * 1024 * 1024  # of a watch: one revision, so at most a transaction, for which etcd has 1.5 MiB

T = TypeVar("T")


class EtcdClient:
    """
    Calls and watches, one endpoint at a time.

    :param trust: makes the TLS connections of https endpoints; None: none of them is.
    :param call_seconds: that an answer may take.
    """

    def __init__(
        self,
        reactor: Reactor,
        endpoints: Endpoints,
        trust: IPolicyForHTTPS | None = None,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._reactor = reactor
        self._endpoints = endpoints
        self._call_seconds = call_seconds
        self._pool = HTTPConnectionPool(reactor)
        self._pool.retryAutomatically = False  # a call that may have been done is not done again
        options: dict[str, Any] = {"pool": self._pool, "connectTimeout": CONNECT_SECONDS}
        if trust is not None:
            options["contextFactory"] = trust
        self._http = HTTPClient(Agent(reactor, **options))
        self._is_closed = False
        self._running: set[Deferred[Any]] = set()

    @property
    def endpoint(self) -> str:
        """The member in use."""
        return self._endpoints.current

    async def call(self, path: str, body: bytes) -> bytes:
        """
        Make one call.

        :raises StoreBroken: if there is no answer, or it is an error. What was asked for may have been done.
        """
        url = self._endpoints.current
        code, answer = await self._in_time(url, Deferred.fromCoroutine(self._ask(url, path, body)))
        if code != 200:
            if code >= 500:  # it is up, but without a leader or out of time
                self.leave(url)
            raise StoreBroken(f"etcd at {url} refuses: {error_of(answer)}")
        return answer

    async def _ask(self, url: str, path: str, body: bytes) -> tuple[int, bytes]:
        response = await self._post(url, path, body)
        body_of_answer = BoundedBody(MAX_ANSWER_BYTES, StoreBroken)
        response.deliverBody(body_of_answer)
        return response.code, await body_of_answer.done

    async def watch(self, body: bytes, heard: Callable[[Heard], object]) -> "EtcdWatch":
        """
        Begin a watch.

        :param heard: told each message; the last has `ended`.
        :raises StoreBroken: if it cannot be begun.
        """
        url = self._endpoints.current
        response = await self._in_time(url, self._post(url, WATCH_PATH, body))
        watch = EtcdWatch(heard)
        self._reactor.callLater(0, response.deliverBody, watch)  # tells nothing before its caller has it
        return watch

    async def _in_time(self, url: str, asked: Deferred[T]) -> T:
        """
        Await an answer for as long as it may take.

        :raises CancelledError: if the caller gave up, which is no fault of the member's.
        """
        timer = self._reactor.callLater(self._call_seconds, asked.cancel)
        self._running.add(asked)
        try:
            return await asked
        except Exception as error:
            if self._is_closed:
                raise StoreClosed() from error
            if timer.active() and isinstance(innermost(error), CancelledError):
                raise CancelledError() from error
            self.leave(url)
            why = cause_of(error) if timer.active() else f"not in {self._call_seconds:g} s"
            raise StoreBroken(f"etcd at {url} does not answer: {why}") from error
        finally:
            self._running.discard(asked)
            if timer.active():
                timer.cancel()

    def leave(self, url: str) -> None:
        """Ask another member from now on."""
        self._endpoints.failed(url)

    async def close(self) -> None:
        """Let go of the connections; calls that wait for an answer fail."""
        self._is_closed = True
        for call in tuple(self._running):
            call.cancel()
        self._pool.cachedConnectionTimeout = 0  # of a connection that is given back from now on
        await deferLater(self._reactor, 0)
        await self._pool.closeCachedConnections()

    def _post(self, url: str, path: str, body: bytes) -> Deferred[IResponse]:
        if self._is_closed:
            raise StoreClosed()
        headers = Headers({b"Content-Type": [b"application/json"]})
        return cast("Deferred[IResponse]", self._http.post(url + path, headers=headers, data=body, unbuffered=True))


class EtcdWatch(Protocol):
    """Takes the lines of a watch as they come."""

    def __init__(self, heard: Callable[[Heard], object]) -> None:
        self._heard = heard
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_over = False

    def connectionMade(self) -> None:
        """Leave if it was cancelled meanwhile."""
        if self._is_over:
            self.cancel()

    def dataReceived(self, data: bytes) -> None:
        """Take what has come, and tell whole lines."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            whole = b"".join([*self._pieces, line])
            self._pieces, self._size = [], 0
            if whole:
                self._tell(whole)
        self._pieces.append(rest)
        self._size += len(rest)
        if self._size > MAX_LINE_BYTES:
            self._end(f"a message of etcd has more than {MAX_LINE_BYTES} bytes")

    def _tell(self, line: bytes) -> None:
        if self._is_over:
            return
        try:
            heard = read_watch_line(line)
        except RegistryError as error:
            self._end(str(error))
            return
        if heard.ended:
            self.cancel()
        self._heard(heard)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell that the watch is over."""
        self._end(f"the connection was closed: {cause_of(reason.value)}")

    def _end(self, why: str) -> None:
        if not self._is_over:
            self.cancel()
            self._heard(Heard(ended=why))

    def cancel(self) -> None:
        """Hear nothing more."""
        self._is_over = True
        abort = getattr(self.transport, "abortConnection", None) or getattr(self.transport, "loseConnection", None)
        if abort is not None:
            abort()
