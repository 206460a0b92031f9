"""
The admin interface: HTTP and JSON, for operators on this machine and for `warp`, `warp-dns` and Ansible.

It is served on a unix socket whose mode is the only access control, so it is never put on a TCP listener; what may be
there (`/live`, `/ready`, `/metrics`) is in `Observation`. Errors are `{"error": "a sentence"}` with a 4xx or 5xx.
Nothing is decided here: `Operations` is the edge.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Annotated, Any, Protocol

import msgspec
from klein import Klein
from twisted.logger import Logger
from twisted.web.http import Request

from warp_base.answer_stream import Pieces, send_in_slices
from warp_base.slices import Slices
from warp_twisted.edge.errors import (
    AgentUnknown,
    EdgeError,
    EdgeUnknown,
    NameNotHeld,
    NotShifted,
    PolicyVersionUnknown,
    TokenNotFound,
)
from warp_twisted.edge.operators.bodies import read_body
from warp_twisted.edge.operators.json_pieces import ended
from warp_twisted.edge.operators.observation import Observation
from warp_twisted.edge.operators.published import PublishedRecords
from warp_twisted.edge.operators.sites import AdminFactory, answer, make_site
from warp_twisted.errors import InvalidSettings, WarpError
from warp_twisted.policy.errors import InvalidPolicy
from warp_twisted.registry.errors import PolicyChanged, RegistryError


class TokenWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/tokens`."""

    hostnames: Annotated[list[str], msgspec.Meta(min_length=1, max_length=100)]
    labels: dict[str, str] = {}
    ttl_seconds: Annotated[float, msgspec.Meta(gt=0, le=366 * 86400)] = 3600.0
    uses: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    share: str = ""
    policy: bool = True


class ServiceTokenWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/service-tokens`."""

    name: str
    ttl_seconds: Annotated[float, msgspec.Meta(gt=0, le=366 * 86400)] = 365 * 86400.0


class RevocationWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `DELETE /v1/agents/ID`, which may be left out."""

    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class ShareWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/agents/ID/share`."""

    share: str


class BanWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/bans`."""

    network: Annotated[str, msgspec.Meta(max_length=64)]
    seconds: Annotated[float, msgspec.Meta(gt=0, le=366 * 86400)] = 3600.0
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""


class Operations(Protocol):
    """What an operator may ask of an edge; see `edge.node`."""

    def status(self) -> Pieces:
        """Describe edges, tunnels, routes and agents, in JSON."""

    def list_tokens(self) -> Pieces:
        """Describe the join tokens, in JSON."""

    def list_agents(self) -> Pieces:
        """Describe the enrolled agents, in JSON."""

    def create_token(self, wish: TokenWish) -> Awaitable[object]:
        """Make a join token; the answer is the only place where its text appears."""

    def list_service_tokens(self) -> Pieces:
        """Describe the service tokens, in JSON."""

    def create_service_token(self, wish: ServiceTokenWish) -> Awaitable[object]:
        """Make a service token; the answer is the only place where its secret appears."""

    def revoke_service_token(self, token: str) -> Awaitable[object]:
        """Let nobody prove anything with a service token any more; the answer says why that is not kept yet, if so."""

    def revoke_token(self, token: str) -> Awaitable[object]:
        """Let nobody in with a token any more; the answer is as before."""

    def revoke_agent(self, agent: str, reason: str) -> Awaitable[object]:
        """Cut an agent off; the answer says whether it was known, and why that is not kept yet, if so."""

    def share_agent(self, agent: str, word: str) -> Awaitable[object]:
        """Give the group of an agent a share word; the answer says whether that has changed anything."""

    def list_peers(self) -> object:
        """Describe the other edges of the fleet, and the links with them."""

    def remove_edge(self, edge: str) -> Awaitable[object]:
        """Take the record of an edge that is gone out of the registry."""

    def list_hostnames(self) -> Pieces:
        """Describe the hostnames that belong to a group of agents, in JSON."""

    def release_hostname(self, hostname: str) -> Awaitable[object]:
        """Let a hostname belong to nobody; the answer says whose it was."""

    def list_bans(self) -> Pieces:
        """Describe who is turned away when it connects, in JSON."""

    def ban(self, wish: BanWish) -> Awaitable[object]:
        """Turn a network away; the answer says which, and why that ends with this edge, if it does."""

    def end_ban(self, network: str) -> Awaitable[object]:
        """Let a network in again; the answer says whether it was banned."""

    def begin_drain(self) -> object:
        """Take nothing new."""

    def reload(self) -> Awaitable[object]:
        """Read the configuration again."""


class Calls(Protocol):
    """Calls about one thing."""

    def calls(self) -> Sequence[tuple[str, str, Callable[..., Any]]]:
        """Return method, path and function of each."""


class Admin:
    """
    The admin interface of one edge.

    :param groups: of calls that have modules of their own.
    :param slices: make long answers.
    """

    _log = Logger()

    def __init__(
        self,
        operations: Operations,
        groups: Sequence[Calls],
        observation: Observation,
        published: PublishedRecords,
        slices: Slices,
    ) -> None:
        self._operations = operations
        self._slices = slices
        self._published = published
        app = Klein()
        self._site = make_site(app)
        observation.add_to(app)
        published.add_to(app)
        routes: list[tuple[str, str, Callable[..., Any]]] = [
            ("GET", "/v1/status", lambda request: self._operations.status()),
            ("GET", "/v1/tokens", lambda request: self._operations.list_tokens()),
            ("POST", "/v1/tokens", self._create_token),
            ("DELETE", "/v1/tokens/<token>", self._revoke_token),
            ("GET", "/v1/service-tokens", lambda request: self._operations.list_service_tokens()),
            ("POST", "/v1/service-tokens", self._create_service_token),
            ("DELETE", "/v1/service-tokens/<token>", self._revoke_service_token),
            ("GET", "/v1/agents", lambda request: self._operations.list_agents()),
            ("DELETE", "/v1/agents/<agent>", self._revoke_agent),
            ("POST", "/v1/agents/<agent>/share", self._share_agent),
            ("GET", "/v1/peers", lambda request: self._operations.list_peers()),
            ("DELETE", "/v1/peers/<edge>", lambda request, edge: self._operations.remove_edge(edge)),
            ("GET", "/v1/hostnames", lambda request: self._operations.list_hostnames()),
            ("DELETE", "/v1/hostnames/<hostname>", self._release_hostname),
            ("GET", "/v1/bans", lambda request: self._operations.list_bans()),
            ("POST", "/v1/bans", lambda request: self._operations.ban(read_body(request, BanWish))),
            ("DELETE", "/v1/bans/<network>", lambda request, network: self._operations.end_ban(network)),
            *(call for group in groups for call in group.calls()),
            ("POST", "/v1/drain", lambda request: self._operations.begin_drain()),
            ("POST", "/v1/reload", lambda request: self._operations.reload()),
        ]
        for method, path, function in routes:
            app.route(path, methods=[method], endpoint=f"{method} {path}")(self._answering(function))
        failed: Any = self._failed
        app.handle_errors(Exception)(failed)

    def site(self) -> AdminFactory:
        """Return the factory to listen with."""
        return self._site

    def close(self) -> None:
        """End the answers that go on for ever."""
        self._published.close()

    def disconnect(self) -> None:
        """Hang up on everybody."""
        self._site.disconnect()

    def _answering(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def call(request: Request, **arguments: str) -> bytes:
            result = function(request, **arguments)
            if isinstance(result, Awaitable):
                result = await result
            if isinstance(result, Iterator):
                return await self._in_slices(request, result)
            return answer(request, {} if result is None else result)

        return call

    async def _in_slices(self, request: Request, pieces: Pieces) -> bytes:
        request.setHeader(b"content-type", b"application/json")
        return await send_in_slices(request, ended(pieces), self._slices)

    async def _create_token(self, request: Request) -> object:
        return await self._operations.create_token(read_body(request, TokenWish))

    async def _create_service_token(self, request: Request) -> object:
        return await self._operations.create_service_token(read_body(request, ServiceTokenWish))

    async def _revoke_service_token(self, request: Request, token: str) -> object:
        return await self._operations.revoke_service_token(token)

    async def _revoke_token(self, request: Request, token: str) -> object:
        return await self._operations.revoke_token(token)

    async def _revoke_agent(self, request: Request, agent: str) -> object:
        wish = read_body(request, RevocationWish) if request.content and request.content.read(1) else RevocationWish()
        return await self._operations.revoke_agent(agent, wish.reason)

    async def _share_agent(self, request: Request, agent: str) -> object:
        return await self._operations.share_agent(agent, read_body(request, ShareWish).share)

    async def _release_hostname(self, request: Request, hostname: str) -> object:
        return await self._operations.release_hostname(hostname)

    def _failed(self, request: Request, failure: Any) -> bytes:
        error = failure.value
        status = getattr(error, "code", None)  # of the errors by which klein says that it has no such route
        if isinstance(status, int) and 400 <= status < 500:
            return answer(request, {"error": "no such call" if status == 404 else "no such method"}, status)
        if isinstance(
            error, AgentUnknown | EdgeUnknown | NameNotHeld | NotShifted | TokenNotFound | PolicyVersionUnknown
        ):
            return answer(request, {"error": str(error)}, 404)
        if isinstance(error, PolicyChanged):
            return answer(request, {"error": str(error)}, 409)
        if isinstance(error, RegistryError):
            return answer(request, {"error": str(error)}, 503)
        if isinstance(error, InvalidPolicy):
            return answer(request, {"error": str(error)}, 400)
        if isinstance(error, InvalidSettings | EdgeError):
            return answer(request, {"error": str(error)}, 409)
        if isinstance(error, WarpError | ValueError):
            return answer(request, {"error": str(error)}, 400)
        self._log.failure("an admin call failed", failure=failure)
        return answer(request, {"error": "the edge failed to answer; its log says why"}, 500)
