"""
What every kind of origin offers: the words that kinds share.

A kind decides only how a new connection to its origin is made. It must not know who asks for one.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import msgspec
from twisted.internet.interfaces import IProtocolFactory, IReactorTime, IStreamClientEndpoint

DEFAULT_CONNECT_TIMEOUT = 10.0
MAX_CONNECT_TIMEOUT = 300.0


class OriginRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    How an origin is connected to.

    `connect_timeout` covers name, TCP and TLS, in seconds. `ca` is a file of PEM certificates that replaces
    the platform's trust store; `server_name` is the name to ask for and to expect in the certificate.

    `http_host_header` is what the edge tells the origin as Host, `host_header.REWRITE` for the origin's own name, with
    what follows from that mapped back; None: what the visitor said.
    """

    connect_timeout: Annotated[float, msgspec.Meta(gt=0, le=MAX_CONNECT_TIMEOUT)] = DEFAULT_CONNECT_TIMEOUT
    no_tls_verify: bool = False
    ca: str | None = None
    server_name: str | None = None
    http_host_header: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None


@dataclass(frozen=True, slots=True)
class Dial:
    """
    The origin is somewhere else: connect to `endpoint`.

    With `tls`, the connection is ready only when the handshake is complete, and `endpoint` adds TLS itself.
    """

    endpoint: IStreamClientEndpoint
    tls: bool
    timeout: float


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """The origin is inside the agent: run a protocol of this factory on the stream itself."""

    factory: IProtocolFactory


class Origin(Protocol):
    """One service that the agent can reach."""

    @property
    def text(self) -> str:
        """The service in its normal form, for people: status lines, logs, metrics."""

    @property
    def protocol(self) -> Literal["http", "tcp"]:
        """What the edge does with the bytes: parse requests, or splice."""

    def access(self, reactor: IReactorTime) -> Dial | BuiltIn:
        """
        Say how to reach the origin; called once per configuration, used for every connection.

        :raises InvalidSettings: if a file that the settings name cannot be used.
        """
