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
MAX_KEEP_ALIVE = 32_767.0  # tcp(7)
Seconds = Annotated[float, msgspec.Meta(gt=0, le=MAX_CONNECT_TIMEOUT)]


class OriginRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    How an origin is connected to.

    `connect_timeout` covers name, TCP and TLS, in seconds; with `tls_timeout`, TLS has that in addition. With
    `tcp_keep_alive` the kernel asks after so many seconds of silence whether the origin is still there; 0: never.
    `no_happy_eyeballs` tries a name's addresses one after the other. `ca` is a file of PEM certificates that replaces
    the platform's trust store; `server_name` is the name to ask for and to expect in the certificate, and
    `match_sni_to_host` takes the one that the origin is asked under. `client_certificate` (with its chain) and
    `client_key` are files of PEM by which the agent says who it is; without `client_key` the first has both.

    `http_host_header` is what the edge tells the origin as Host, `host_header.REWRITE` for the origin's own name, with
    what follows from that mapped back; None: what the visitor said.
    """

    connect_timeout: Seconds = DEFAULT_CONNECT_TIMEOUT
    tls_timeout: Seconds | None = None
    tcp_keep_alive: Annotated[float, msgspec.Meta(ge=0, le=MAX_KEEP_ALIVE)] | None = None
    no_happy_eyeballs: bool = False
    no_tls_verify: bool = False
    ca: str | None = None
    server_name: str | None = None
    match_sni_to_host: bool = False
    client_certificate: str | None = None
    client_key: str | None = None
    http_host_header: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None

    @property
    def timeout(self) -> float:
        """How long connecting may take, TLS included."""
        return self.connect_timeout + (self.tls_timeout or 0.0)


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
