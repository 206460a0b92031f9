"""
The admin interface: HTTP and JSON, for operators on this machine and for `warp`, `warp-dns` and Ansible.

It is served on a unix socket whose mode is the only access control, so it is never put on a TCP listener; what may be
there (`/live`, `/ready`, `/metrics`) is in `Observation`. Errors are `{"error": "a sentence"}` with a 4xx or 5xx.
Nothing is decided here: `Operations` is the edge.
"""

import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec
from klein import Klein
from prometheus_client import CollectorRegistry, generate_latest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.server import Site
from zope.interface import implementer

from warp_twisted.edge.errors import AgentUnknown, EdgeError, TokenNotFound
from warp_twisted.errors import InvalidSettings, WarpError
from warp_twisted.registry.errors import RegistryError
from warp_twisted.registry.publish import Publication, Record

MAX_BODY_BYTES = 65536
MAX_SOCKET_PATH = 107  # bytes; sockaddr_un of Linux has 108 with the zero at the end
MAX_WATCHERS = 64
HEARTBEAT_SECONDS = 10.0
SOCKET_MODE = 0o660

Records = Mapping[str, Sequence[Record]]


class TokenWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/tokens`."""

    hostnames: Annotated[list[str], msgspec.Meta(min_length=1, max_length=100)]
    labels: dict[str, str] = {}
    ttl_seconds: Annotated[float, msgspec.Meta(gt=0, le=366 * 86400)] = 3600.0
    uses: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1


class RevocationWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `DELETE /v1/agents/ID`, which may be left out."""

    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class Operations(Protocol):
    """What an operator may ask of an edge; see `edge.node`."""

    @property
    def publication(self) -> Publication:
        """What DNS publishes."""

    @property
    def has_settled(self) -> bool:
        """Whether the agents of before a restart are back, or have been waited for long enough."""

    def status(self) -> object:
        """Describe edges, tunnels, routes and agents, as JSON can hold it."""

    def list_tokens(self) -> object:
        """Describe the join tokens."""

    def list_agents(self) -> object:
        """Describe the enrolled agents."""

    def readiness(self) -> Mapping[str, bool]:
        """Say of each part whether it serves."""

    def create_token(self, wish: TokenWish) -> Awaitable[object]:
        """Make a join token; the answer is the only place where its text appears."""

    def revoke_token(self, token: str) -> Awaitable[None]:
        """Let nobody in with a token any more."""

    def revoke_agent(self, agent: str, reason: str) -> Awaitable[None]:
        """Cut an agent off."""

    def begin_drain(self) -> object:
        """Take nothing new."""

    def reload(self) -> Awaitable[object]:
        """Read the configuration again."""


class Observation:
    """
    What monitoring may see.

    :param readiness: says of each part whether it serves.
    """

    def __init__(self, readiness: Callable[[], Mapping[str, bool]], metrics: CollectorRegistry) -> None:
        self._readiness = readiness
        self._metrics = metrics

    def add_to(self, app: Klein) -> None:
        """Serve `/live`, `/ready` and `/metrics`."""
        app.route("/live", methods=["GET"])(self._live)
        app.route("/ready", methods=["GET"])(self._ready)
        app.route("/metrics", methods=["GET"])(self._serve_metrics)

    def _live(self, request: Request) -> bytes:
        return _answer(request, {"live": True})

    def _ready(self, request: Request) -> bytes:
        parts = self._readiness()
        is_ready = all(parts.values())
        return _answer(request, {"ready": is_ready, "parts": dict(parts)}, 200 if is_ready else 503)

    def _serve_metrics(self, request: Request) -> bytes:
        request.setHeader(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
        return generate_latest(self._metrics)


class Admin:
    """
    The admin interface of one edge.

    :param clock: times the heartbeats of watched records.
    """

    _log = Logger()

    def __init__(self, operations: Operations, observation: Observation, clock: IReactorTime) -> None:
        self._operations = operations
        self._clock = clock
        self._watchers: set[_RecordWatcher] = set()
        app = self._app = Klein()
        observation.add_to(app)
        routes: list[tuple[str, str, Callable[..., Any]]] = [
            ("GET", "/v1/status", lambda request: self._operations.status()),
            ("GET", "/v1/tokens", lambda request: self._operations.list_tokens()),
            ("POST", "/v1/tokens", self._create_token),
            ("DELETE", "/v1/tokens/<token>", self._revoke_token),
            ("GET", "/v1/agents", lambda request: self._operations.list_agents()),
            ("DELETE", "/v1/agents/<agent>", self._revoke_agent),
            ("POST", "/v1/drain", lambda request: self._operations.begin_drain()),
            ("POST", "/v1/reload", lambda request: self._operations.reload()),
        ]
        for method, path, function in routes:
            app.route(path, methods=[method], endpoint=f"{method} {path}")(self._answering(function))
        app.route("/v1/records", methods=["GET"])(self._records)
        failed: Any = self._failed
        app.handle_errors(Exception)(failed)

    def site(self) -> "AdminFactory":
        """Return the factory to listen with."""
        return _factory(self._app)

    def close(self) -> None:
        """End the answers that go on for ever."""
        for watcher in tuple(self._watchers):
            watcher.stop()

    def _answering(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def answer(request: Request, **arguments: str) -> bytes:
            result = function(request, **arguments)
            if isinstance(result, Awaitable):
                result = await result
            return _answer(request, {} if result is None else result)

        return answer

    async def _create_token(self, request: Request) -> object:
        return await self._operations.create_token(_body(request, TokenWish))

    async def _revoke_token(self, request: Request, token: str) -> None:
        await self._operations.revoke_token(token)

    async def _revoke_agent(self, request: Request, agent: str) -> None:
        wish = _body(request, RevocationWish) if request.content and request.content.read(1) else RevocationWish()
        await self._operations.revoke_agent(agent, wish.reason)

    def _records(self, request: Request) -> Any:
        publication = self._operations.publication
        if not self._operations.has_settled:  # who follows would withdraw the names of agents that are about to come
            return _answer(request, {"error": "the edge has just started, and waits for its agents"}, 503)
        if request.args.get(b"watch", [b"0"])[-1] in (b"", b"0"):
            return _answer(request, publication.snapshot())
        if len(self._watchers) >= MAX_WATCHERS:
            return _answer(request, {"error": f"{MAX_WATCHERS} watchers are enough"}, 503)
        watcher = _RecordWatcher(request, publication, self._clock, self._watchers)
        request.notifyFinish().addErrback(watcher.hung_up)
        watcher.start()
        return watcher.done

    def _failed(self, request: Request, failure: Any) -> bytes:
        error = failure.value
        status = getattr(error, "code", None)  # of the errors by which klein says that it has no such route
        if isinstance(status, int) and 400 <= status < 500:
            return _answer(request, {"error": "no such call" if status == 404 else "no such method"}, status)
        if isinstance(error, AgentUnknown | TokenNotFound):
            return _answer(request, {"error": str(error)}, 404)
        if isinstance(error, RegistryError):
            return _answer(request, {"error": str(error)}, 503)
        if isinstance(error, InvalidSettings | EdgeError):
            return _answer(request, {"error": str(error)}, 409)
        if isinstance(error, WarpError | ValueError):
            return _answer(request, {"error": str(error)}, 400)
        self._log.failure("an admin call failed", failure=failure)
        return _answer(request, {"error": "the edge failed to answer; its log says why"}, 500)


@implementer(IPushProducer)
class _RecordWatcher:
    """One `GET /v1/records?watch=1`; changes that a slow reader has not taken yet are merged, so they stay bounded."""

    def __init__(
        self, request: Request, publication: Publication, clock: IReactorTime, watchers: set["_RecordWatcher"]
    ) -> None:
        self._watchers = watchers
        self._request = request
        self._publication = publication
        self._unsubscribe: Callable[[], None] | None = None
        self._heartbeat = LoopingCall(self._beat)
        self._heartbeat.clock = clock
        self._waiting: dict[str, Sequence[Record]] = {}
        self._is_paused = False
        self._is_hung_up = False
        self.done: Deferred[bytes] = Deferred()

    def start(self) -> None:
        self._watchers.add(self)
        request = self._request
        request.setHeader(b"content-type", b"application/x-ndjson")
        request.registerProducer(self, True)
        self._write(self._publication.snapshot())
        self._unsubscribe = self._publication.subscribe(self._changed)
        self._heartbeat.start(HEARTBEAT_SECONDS, now=False)

    def stop(self) -> None:
        if self._unsubscribe is None:
            return
        self._unsubscribe()
        self._unsubscribe = None
        self._heartbeat.stop()
        self._watchers.discard(self)
        if not self._is_hung_up:
            self._request.unregisterProducer()
        self.done.callback(b"")

    def hung_up(self, failure: Failure) -> None:
        self._is_hung_up = True
        self.stop()

    def _changed(self, changes: Records) -> None:
        if self._is_paused:
            self._waiting.update(changes)
        else:
            self._write(changes)

    def _beat(self) -> None:
        if not self._is_paused:
            self._write({})

    def _write(self, records: Records) -> None:
        self._request.write(msgspec.json.encode(records) + b"\n")

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        waiting, self._waiting = self._waiting, {}
        if waiting:
            self._write(waiting)

    def stopProducing(self) -> None:
        """The connection is gone; `hung_up` says so too."""


class _QuietSite(Site):
    """A `Site` that shows no tracebacks and logs no requests."""

    displayTracebacks = False
    noisy = False

    def log(self, request: Request) -> None:
        """Monitoring asks every few seconds; nobody wants to read that."""


class AdminFactory(WrappingFactory):
    """Serves a site, and can end its connections."""

    noisy = False

    def disconnect(self) -> None:
        """Hang up on everybody."""
        for protocol in tuple(self.protocols):
            protocol.abortConnection()


def observation_factory(observation: Observation) -> AdminFactory:
    """Return a factory that serves monitoring only."""
    app = Klein()
    observation.add_to(app)
    return _factory(app)


def check_socket_path(path: str) -> bool:
    """
    Refuse a path at which there can be no admin socket.

    :returns: whether there is a socket now.
    :raises InvalidSettings: saying why.
    """
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH:
        raise InvalidSettings(f"listen.admin: {path}: too long; expected at most {MAX_SOCKET_PATH} bytes, got {length}")
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InvalidSettings(f"listen.admin: {path}: {error.strerror or error}") from error
    if not stat.S_ISSOCK(mode):
        raise InvalidSettings(f"listen.admin: {path} exists and is no socket")
    return True


def prepare_socket_path(path: str) -> None:
    """
    Make the socket's directory if there is none, and remove a socket that a killed edge left behind.

    :raises InvalidSettings: if an edge answers on it, something else is in its place, or the directory cannot be made.
    """
    try:
        Path(path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidSettings(f"listen.admin: {error.filename}: {error.strerror or error}") from error
    if not check_socket_path(path):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:
            raise InvalidSettings(f"listen.admin: {path}: {error.strerror or error}") from error
    raise InvalidSettings(f"listen.admin: another edge answers on {path}")


def _factory(app: Klein) -> AdminFactory:
    return AdminFactory(_QuietSite(app.resource()))


def _body(request: Request, kind: type[Any]) -> Any:
    content = request.content
    text = b""
    if content is not None:
        content.seek(0)
        text = content.read(MAX_BODY_BYTES + 1)
    if len(text) > MAX_BODY_BYTES:
        raise ValueError(f"the body has more than {MAX_BODY_BYTES} bytes")
    try:
        return msgspec.json.decode(text or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise ValueError(f"body: {error}") from error


def _answer(request: Request, value: object, code: int = 200) -> bytes:
    request.setResponseCode(code)
    request.setHeader(b"content-type", b"application/json")
    return msgspec.json.encode(value) + b"\n"
