"""
What edge and agent tell each other on the control stream, and the messages of enrollment and return.

Each message is a JSON object whose `type` names it, after its length in 4 bytes, big endian (spec.md §6). What is
read is checked against these structs: a missing key or a value out of bounds is a protocol error. A key that is not
known here is passed over: it is a newer peer's, in a fleet that is being upgraded.
"""

from collections.abc import Iterator
from struct import Struct as Layout
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from warp_twisted.wire.errors import BadControlMessage, ControlMessageTooLarge, MessageTooLarge

CONTROL_VERSION = 1
MAX_MESSAGE_BYTES = 1024 * 1024
MAX_ROUTES = 4096
MAX_REQUESTS = 100_000  # that an origin takes at once
_LENGTH = Layout(">L")
MAX_REASON_CHARACTERS = 300  # of a sentence for people, as an edge sends it and as an agent shows it
INFINITY = float("inf")
MAX_POLICY_CHARACTERS = 64 * 1024  # of what an agent asks for protection of its hostnames
MAX_ASKED = 100  # hostnames at enrollment, at their longest well below the 64 KiB that an edge reads then

Text = Annotated[str, Meta(max_length=1024)]
Name = Annotated[str, Meta(max_length=255)]
Pem = Annotated[str, Meta(max_length=64 * 1024)]
RouteId = Annotated[int, Meta(ge=0, lt=2**32)]
Instant = Annotated[float, Meta(ge=-1e11, le=1e11)]  # seconds since the epoch, by the sender's wall clock


class RouteOffer(msgspec.Struct, frozen=True, kw_only=True):
    """
    One route that an agent serves.

    :ivar id: the agent's number for it; the preamble of each stream names it.
    :ivar hostname: what it serves; empty asks the edge for a name of its choice.
    :ivar path: a regular expression that the path must match, or empty for every path.
    :ivar service: the origin as the agent's settings name it; for people to read, the edge does not use it.
    :ivar protocol: `http` if the edge parses requests, `tcp` if it splices bytes.
    :ivar max_requests: how many requests the origin takes at once; 0: as many as come.
    :ivar host_header: what the origin is told as Host; empty: what the visitor said. An agent that offers it requires
        `host-header`.
    :ivar own_scheme: under which the origin knows itself by that name, so that URLs and cookies of the site are mapped
        between that and what the visitor uses (spec.md §6); empty: only Host is changed.
    """

    id: RouteId
    hostname: Name
    path: Text = ""
    service: Text = ""
    protocol: Literal["http", "tcp"] = "http"
    max_requests: Annotated[int, Meta(ge=0, le=MAX_REQUESTS)] = 0
    host_header: Name = ""
    own_scheme: Literal["", "http", "https"] = ""


Words = Annotated[list[Name], Meta(max_length=64)]


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """A control message; the JSON key `type` says which."""


class Hello(Message, frozen=True, tag="hello"):
    """
    The agent's first message on a tunnel.

    :ivar version: of the control protocol, 1.
    :ivar software: name and version of the program, for logs.
    :ivar agent_id: as in the certificate.
    :ivar session: random for each start of the agent process; a new one replaces the dead tunnels of the old.
    :ivar slot: which of the agent's parallel tunnels this is; a new one in a slot replaces a dead one.
    :ivar time: what the agent's clock shows.
    :ivar knows: kinds of messages that the agent reads beyond those of the first release (`wire.releases`).
    :ivar requires: protections of its origins without which it does not want to serve.
    :ivar policy: what it asks the edge to enforce for its hostnames, as JSON (spec.md §6); empty: nothing.
    """

    version: int
    software: Name
    agent_id: Name
    session: Name
    slot: Annotated[int, Meta(ge=0, lt=1024)]
    labels: Annotated[dict[Name, Name], Meta(max_length=64)] = {}
    routes: Annotated[list[RouteOffer], Meta(max_length=MAX_ROUTES)] = []
    time: Instant | None = None
    knows: Words = []
    requires: Words = []
    policy: Annotated[str, Meta(max_length=MAX_POLICY_CHARACTERS)] = ""


class Accepted(Message, frozen=True, tag="accepted"):
    """
    The edge's answer to `Hello` or `RoutesChanged`: the tunnel is registered.

    :ivar hostnames: route id → the hostname it is published under.
    :ivar urls: route id → the URL to show people.
    :ivar plain_urls: route id → the URL without TLS, where visitors reach the route at that too.
    :ivar lease_seconds: how long the names stay published if the edge vanishes.
    :ivar edges: `host:port` of the fleet's tunnel listeners, for the agent's other tunnels.
    :ivar ping_seconds: after how much silence either end of this tunnel pings, and `silence_seconds`: after how much it
        gives the tunnel up. None if the edge does not say; then the defaults of spec.md §5 hold.
    :ivar time: what the edge's clock shows.
    :ivar zone: the fleet's zone, and `name_servers`: its name servers and at which `host:port` each answers. Both empty
        if the edge does not say.
    :ivar knows: kinds of messages that the edge reads beyond those of the first release (`wire.releases`).
    :ivar protects: those of the agent's `requires` that the edge meets.
    :ivar policy: digest of the agent's `policy`, which the edge enforces (`wire.releases.policy_digest`); empty: it
        asked for none, or the edge knows of none.
    :ivar group: of the agents that the agent shares hostnames with.
    :ivar others: route id → how many other agents serve its hostname through this edge now; none where it is alone.
    """

    edge: Name
    tunnel_id: Name
    hostnames: dict[RouteId, Name] = {}
    urls: dict[RouteId, Text] = {}
    plain_urls: dict[RouteId, Text] = {}
    lease_seconds: Annotated[float, Meta(ge=0)] = 30.0
    edges: Annotated[list[Name], Meta(max_length=1024)] = []
    ping_seconds: Annotated[float, Meta(ge=1, le=86400)] | None = None
    silence_seconds: Annotated[float, Meta(ge=1, le=86400)] | None = None
    time: Instant | None = None
    zone: Name = ""
    name_servers: Annotated[dict[Name, Annotated[list[Name], Meta(max_length=16)]], Meta(max_length=13)] = {}
    knows: Words = []
    protects: Words = []
    policy: Name = ""
    group: Name = ""
    others: dict[RouteId, Annotated[int, Meta(ge=1)]] = {}

    def __post_init__(self) -> None:
        if (self.silence_seconds or INFINITY) <= (self.ping_seconds or 0.0):
            raise ValueError("silence_seconds is not above ping_seconds")


class Refused(Message, frozen=True, tag="refused"):
    """
    The edge's answer to `Hello` or `RoutesChanged` that it does not serve.

    :ivar code: a word for programs: `version`, `not_allowed`, `revoked`, `overloaded`, `draining`, `conflict`,
        `copied`.
    :ivar reason: a sentence for people.
    :ivar retry: whether the same offer may succeed soon. If not, something has to change first, such as a limit of the
        edge; an agent tries again all the same, after a longer wait, unless it was `revoked`.
    """

    code: Name
    reason: Text
    retry: bool


class RoutesChanged(Message, frozen=True, tag="routes_changed"):
    """The agent's routes from now on; replaces the whole earlier offer."""

    routes: Annotated[list[RouteOffer], Meta(max_length=MAX_ROUTES)]


class OriginHealth(Message, frozen=True, tag="origin_health"):
    """
    Whether a route's origin answers, as the agent sees it.

    :ivar detail: why not.
    :ivar probed: whether that is the verdict of probes, by which an edge chooses; else it is only shown to people.
    """

    route_id: RouteId
    healthy: bool
    detail: Text = ""
    probed: bool = False


class Notice(Message, frozen=True, tag="notice"):
    """
    The edge tells the agent's operator something that needs no answer; sent to who knows `notice`.

    :ivar code: a word for programs, such as `copied`.
    :ivar text: a sentence for people.
    """

    code: Name
    text: Text


class Drain(Message, frozen=True, tag="drain"):
    """
    The sender takes no new streams and closes the tunnel when those it has are done, or at the deadline.

    :ivar successor: of an edge: another process of it takes tunnels at the same address, so that is to be dialed next.
    """

    reason: Text = ""
    deadline_seconds: Annotated[float, Meta(ge=0)] = 30.0
    successor: bool = False


class RenewRequest(Message, frozen=True, tag="renew_request"):
    """The agent asks for a new certificate for its key; `time` is what its clock shows."""

    csr_pem: Pem
    time: Instant | None = None


class Renewed(Message, frozen=True, tag="renewed"):
    """
    The agent's new certificate, followed by its issuers up to the root, without the root.

    :ivar time: what the edge's clock shows.
    """

    chain_pem: Pem
    time: Instant | None = None


class RenewRefused(Message, frozen=True, tag="renew_refused"):
    """The edge does not renew the certificate."""

    code: Name
    reason: Text


class Authority(Message, frozen=True, tag="authority"):
    """
    The edge's first message on an enrollment connection: the CA's root, for the agent to compare with its pin.

    :ivar nonce: made for this connection, for an agent that returns to sign; empty from an edge that lets none return.
    :ivar time: what the edge's clock shows; to an agent that has not verified the edge, a hint for people and no more.
    """

    root_pem: Pem
    nonce: Name = ""
    time: Instant | None = None


class EnrollRequest(Message, frozen=True, tag="enroll_request"):
    """
    A new agent asks for its first certificate; `secret` is the join token's and is masked in the repr.

    :ivar hostnames: what it is going to offer, the empty one for a name of the edge's choice; so a token that does not
        permit them is not used up in vain.
    :ivar routes: how many routes it is going to offer, for the same reason.
    :ivar time: what the agent's clock shows.
    """

    token_id: Name
    secret: Name
    csr_pem: Pem
    software: Name = ""
    labels: Annotated[dict[Name, Name], Meta(max_length=64)] = {}
    hostnames: Annotated[list[Name], Meta(max_length=MAX_ASKED)] = []
    routes: Annotated[int, Meta(ge=0)] = 0
    time: Instant | None = None

    def __repr__(self) -> str:
        return f"EnrollRequest(token_id={self.token_id!r}, secret=****)"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("token_id", self.token_id)]


class ReturnRequest(Message, frozen=True, tag="return_request"):
    """
    An agent whose certificate has ended asks for the next one.

    :ivar chain_pem: the ended certificate and its issuers, leaf first.
    :ivar signature: over the edge's nonce, by the certificate's key (spec.md §8), hexadecimal.
    :ivar time: what the agent's clock shows.
    """

    chain_pem: Pem
    signature: Name
    software: Name = ""
    time: Instant | None = None


class Enrolled(Message, frozen=True, tag="enrolled"):
    """
    The identity of an agent that is new, or has returned.

    :ivar hostnames: the patterns it may serve.
    """

    agent_id: Name
    chain_pem: Pem
    root_pem: Pem
    hostnames: Annotated[list[Name], Meta(max_length=MAX_ROUTES)] = []


class EnrollRefused(Message, frozen=True, tag="enroll_refused"):
    """
    The agent is not let in.

    :ivar code: a word for programs; `revoked` is final for the identity of an agent that wants to return.
    :ivar reason: a sentence for people.
    :ivar retry_seconds: after which the same request may succeed; 0: not before something has changed.
    """

    code: Name
    reason: Text
    retry_seconds: Annotated[float, Meta(ge=0)] = 0.0


ControlMessage = (
    Hello
    | Accepted
    | Refused
    | RoutesChanged
    | OriginHealth
    | Notice
    | Drain
    | RenewRequest
    | Renewed
    | RenewRefused
    | Authority
    | EnrollRequest
    | ReturnRequest
    | Enrolled
    | EnrollRefused
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[ControlMessage] = msgspec.json.Decoder(ControlMessage)


def encode_message(message: ControlMessage) -> bytes:
    """
    Build a message with its length before it.

    :raises MessageTooLarge: if it is above `MAX_MESSAGE_BYTES`.
    """
    body = _encoder.encode(message)
    if len(body) > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(f"a control message of {len(body)} bytes; {MAX_MESSAGE_BYTES} is most")
    return _LENGTH.pack(len(body)) + body


class MessageReader:
    """
    Cuts a byte stream into control messages, whatever the chunks.

    :param max_bytes: the largest message accepted; at most that and one read are held.
    """

    __slots__ = ("_buffer", "_max_bytes")

    def __init__(self, max_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._buffer = bytearray()
        self._max_bytes = max_bytes

    @property
    def is_between_messages(self) -> bool:
        """Whether no message has been received in part."""
        return not self._buffer

    def receive_data(self, data: bytes) -> Iterator[ControlMessage]:
        """
        Take bytes and yield each message that is now complete.

        :raises BadControlMessage: if one cannot be read or breaks its schema.
        :raises ControlMessageTooLarge: as soon as a length above the limit is seen.
        """
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer)
            if length > self._max_bytes:
                raise ControlMessageTooLarge(f"a control message of {length} bytes; {self._max_bytes} is most")
            end = _LENGTH.size + length
            if len(buffer) < end:
                return
            body = bytes(buffer[_LENGTH.size : end])
            del buffer[:end]
            try:
                message = _decoder.decode(body)
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                raise BadControlMessage(f"a control message cannot be read: {error}") from error
            yield message
