"""
What edges tell each other on the state stream: JSON objects after their length in 4 bytes, big endian.

Each side sends a `greeting`, then `told` messages with everything that it has, `complete`, and from then on `told`
messages with what has changed. Values are those of the registry. A key that is not known is passed over, as it is a
newer release's; a message that breaks its schema ends the link. Pure.
"""

from collections.abc import Iterable, Mapping
from struct import Struct as Layout
from typing import Annotated

import msgspec
from msgspec import Meta

from warp_twisted.edge.errors import BadPeerMessage
from warp_twisted.edge.peers.notices import Renewal
from warp_twisted.registry.acme.challenges import EdgeChallenges
from warp_twisted.registry.ban_records import KeptBan
from warp_twisted.registry.edge_records import EdgePolicy
from warp_twisted.registry.model import Edge, Revocation, Tunnel
from warp_twisted.registry.store import MAX_LIVE_VALUE_BYTES

PEER_VERSION = 1
BATCH_BYTES = 32 * 1024  # of values in one message, unless one alone has more: read and applied in some 2 ms
BATCH_VALUES = 64
MAX_MESSAGE_BYTES = MAX_LIVE_VALUE_BYTES + 2 * BATCH_BYTES
_LENGTH = Layout(">L")

Name = Annotated[str, Meta(max_length=512)]


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """A message; the JSON key `type` says which."""


class Greeting(Message, frozen=True, tag="greeting"):
    """
    The first message.

    :ivar version: of these messages.
    :ivar run: random for each start of the edge's process.
    :ivar region: where it is, for operators; empty: it does not say.
    """

    version: Annotated[int, Meta(ge=1)]
    run: Name
    software: Name = ""
    region: Name = ""


class Told(Message, frozen=True, tag="told"):
    """
    What the sender has, or has no more.

    :ivar gone: keys of its tunnels that are no more.
    :ivar lifted: networks that an operator has let in again.
    :ivar renewals: what its intermediate has issued to agents, and their records do not say yet.
    :ivar policy_version: of the fleet's policy, as the sender has read it.
    """

    edge: Edge | None = None
    edge_policy: EdgePolicy | None = None
    challenges: EdgeChallenges | None = None
    tunnels: Annotated[list[Tunnel], Meta(max_length=BATCH_VALUES)] = []
    gone: Annotated[list[Name], Meta(max_length=BATCH_VALUES)] = []
    revocations: Annotated[list[Revocation], Meta(max_length=BATCH_VALUES)] = []
    bans: Annotated[list[KeptBan], Meta(max_length=BATCH_VALUES)] = []
    lifted: Annotated[list[Name], Meta(max_length=BATCH_VALUES)] = []
    renewals: Annotated[list[Renewal], Meta(max_length=BATCH_VALUES)] = []
    policy_version: Annotated[int, Meta(ge=0, lt=2**53)] = 0


class Complete(Message, frozen=True, tag="complete"):
    """Everything has been told; what follows are changes."""


PeerMessage = Greeting | Told | Complete

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[PeerMessage] = msgspec.json.Decoder(PeerMessage)


def encode_message(message: PeerMessage | Mapping[str, object]) -> bytes:
    """Build a message with its length before it; a mapping is one whose values are encoded already."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


def encode_value(value: object) -> bytes:
    """Write one value as it stands in a message."""
    return _encoder.encode(value)


def encode_told(lists: Mapping[str, Iterable[bytes]], single: Mapping[str, bytes]) -> bytes:
    """
    Build a `Told` of values that are encoded.

    :param lists: key of `Told` → its values.
    :param single: key of `Told` → its one value.
    """
    fields: dict[str, object] = {"type": "told"}
    fields.update((key, [msgspec.Raw(each) for each in values]) for key, values in lists.items())
    fields.update((key, msgspec.Raw(value)) for key, value in single.items())
    return encode_message(fields)


class MessageReader:
    """Cuts a byte stream into messages, whatever the chunks; what it holds is for its owner to bound by credit."""

    __slots__ = ("_at", "_buffer")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0  # where the next message begins

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += data

    def next_message(self) -> PeerMessage | None:
        """
        Return the next message; None while it is not complete.

        :raises BadPeerMessage: if it is too long, cannot be read, or breaks its schema.
        """
        begin = self._at + _LENGTH.size
        if len(self._buffer) < begin:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer, self._at)
        if length > MAX_MESSAGE_BYTES:
            raise BadPeerMessage(f"a message of {length} bytes; {MAX_MESSAGE_BYTES} is most")
        if len(self._buffer) < begin + length:
            return None
        body = bytes(self._buffer[begin : begin + length])
        self._at = begin + length
        try:
            return _decoder.decode(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise BadPeerMessage(f"a message cannot be read: {error}") from error
