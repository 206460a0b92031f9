"""
Join tokens: the text that an operator hands to a new agent, and the judgement whether one lets an agent in.

The text is `warp1-` and base64url of a msgpack array [edges, fingerprint, id, secret] with four bytes of checksum, so
that a token that was not copied in full is told apart from one that is not known. It says where the edges are and
which root to trust before the secret is sent. The registry keeps only the SHA-256 of the secret: with 256 random bits
there is nothing that a slow hash would protect. Nothing here reads a clock; the time is handed in.
"""

import base64
import binascii
import codecs
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

import msgspec

from warp_twisted.ca.errors import BadJoinToken, TokenExpired, TokenUnknown, TokenUsedUp
from warp_twisted.names import HostnamePattern, check_labels, parse_share
from warp_twisted.registry.model import JoinToken

PREFIX = "warp1-"
SECRET_BYTES = 32
MAX_TEXT = 4096
MAX_FILE_BYTES = 3 * MAX_TEXT  # of a file with a token: twice as long in UTF-16, and some white space
MAX_USES = 1_000_000
_CHECKSUM_BYTES = 4
_ADDRESS = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
_NO_SUCH_SECRET = sha256(b"no token").hexdigest()


class _Payload(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    edges: Annotated[list[Annotated[str, msgspec.Meta(max_length=261)]], msgspec.Meta(min_length=1, max_length=32)]
    fingerprint: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]{1,32}\Z")]
    secret: Annotated[bytes, msgspec.Meta(min_length=SECRET_BYTES, max_length=SECRET_BYTES)]


_decoder = msgspec.msgpack.Decoder(_Payload)


@dataclass(frozen=True, slots=True)
class JoinTokenText:
    """
    What a join token says to the agent that holds it; the secret is masked in the repr.

    :param edges: `host:port` of tunnel listeners.
    :param fingerprint: SHA-256 of the root certificate to trust, 32 bytes.
    :param secret: as `EnrollRequest` carries it, hexadecimal.
    """

    edges: tuple[str, ...]
    fingerprint: bytes
    id: str
    secret: str

    def __repr__(self) -> str:
        return f"JoinTokenText(id={self.id!r}, edges={self.edges!r}, secret=****)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("id", self.id), ("edges", self.edges)]


def format_token(token: JoinTokenText) -> str:
    """Write the text that is handed to an agent."""
    payload = msgspec.msgpack.encode(
        _Payload(list(token.edges), token.fingerprint, token.id, bytes.fromhex(token.secret))
    )
    checksum = sha256(payload).digest()[:_CHECKSUM_BYTES]
    return PREFIX + base64.urlsafe_b64encode(payload + checksum).decode("ascii").rstrip("=")


def parse_token(text: str) -> JoinTokenText:
    """
    Read a join token; white space around it and in it is passed over, as are quotes and NULs around it.

    :raises BadJoinToken: if it is no join token, or not all of one.
    """
    text = "".join(text.split()).strip("\"'\0\ufeff")
    if not text.startswith(PREFIX):
        raise BadJoinToken(f"a join token starts with {PREFIX}; copy all of what warp token create printed")
    if len(text) > MAX_TEXT:
        raise BadJoinToken(f"a join token has at most {MAX_TEXT} characters")
    body = text.removeprefix(PREFIX)
    try:
        content = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadJoinToken() from error
    payload, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    if not hmac.compare_digest(sha256(payload).digest()[:_CHECKSUM_BYTES], checksum):
        raise BadJoinToken()
    try:
        said = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadJoinToken("the join token is of a kind that this program does not know") from error
    if not all(_ADDRESS.fullmatch(edge) for edge in said.edges):
        raise BadJoinToken("the join token names an edge that is no host:port")
    return JoinTokenText(tuple(said.edges), said.fingerprint, said.id, said.secret.hex())


def decode_token_file(content: bytes) -> str:
    """Return the text of a file with a join token: ASCII, or what an editor or shell on Windows makes of it."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    return content.decode("utf-8-sig", "replace")


def new_token(
    *,
    edges: Sequence[str],
    fingerprint: bytes,
    hostnames: Sequence[str],
    labels: Mapping[str, str],
    uses: int,
    ttl_seconds: float,
    now: float,
    share: str = "",
    policy: bool = True,
) -> tuple[JoinToken, JoinTokenText]:
    """
    Make a join token: what the registry keeps, and what the agent is handed.

    :param hostnames: patterns that the agents may serve.
    :param ttl_seconds: how long it lets agents in.
    :param share: a word for the group of the agents; empty: the token's id.
    :param policy: whether they may ask for a policy of their own.
    :raises InvalidName: if a pattern, label or share word is none.
    :raises ValueError: if there is no pattern, or `uses` or `ttl_seconds` is out of bounds.
    """
    patterns = tuple(dict.fromkeys(HostnamePattern.parse(text).text for text in hostnames))
    check_labels(labels)
    if not patterns:
        raise ValueError("hostnames: at least one pattern is expected")
    if not 1 <= uses <= MAX_USES:
        raise ValueError(f"uses: 1 to {MAX_USES} are expected")
    if not ttl_seconds > 0:
        raise ValueError("ttl_seconds: more than 0 is expected")
    identity, secret = secrets.token_hex(8), secrets.token_hex(SECRET_BYTES)
    kept = JoinToken(
        id=identity,
        secret_sha256=_hash(secret),
        hostnames=patterns,
        labels=dict(labels),
        uses_left=uses,
        created_at=now,
        expires_at=now + ttl_seconds,
        share=parse_share(share) if share else "",
        policy=policy,
    )
    return kept, JoinTokenText(tuple(edges), fingerprint, identity, secret)


def check_secret(token: JoinToken | None, secret: str) -> JoinToken:
    """
    Judge whether somebody holds a join token, whatever it is still good for.

    :raises TokenUnknown: if there is none or the secret is wrong; both take the same time.
    """
    expected = token.secret_sha256 if token else _NO_SUCH_SECRET
    is_right = hmac.compare_digest(_hash(secret), expected)
    if token is None or not is_right:
        raise TokenUnknown()
    return token


def check_token(token: JoinToken | None, secret: str, now: float) -> JoinToken:
    """
    Judge whether a join token lets an agent in now.

    Only who holds the secret hears that the token has expired or is used up.

    :param token: what the registry has under the id that the agent gave, if anything.
    :raises TokenUnknown: if there is none or the secret is wrong; both take the same time.
    :raises TokenExpired: if its time is over.
    :raises TokenUsedUp: if it let in as many agents as it may.
    """
    token = check_secret(token, secret)
    if now >= token.expires_at:
        raise TokenExpired()
    if token.uses_left < 1:
        raise TokenUsedUp()
    return token


def _hash(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
