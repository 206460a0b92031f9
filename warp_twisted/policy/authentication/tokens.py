"""
Signed tokens (JWT, RFC 7519), read as RFC 8725 asks: the algorithm is one that the rule allows and the key is for,
issuer and audience are compared, a token without an end is refused.

Pure: keys are handed in, the calendar is an argument. A verification takes 30 to 150 µs.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry, deserialize_compact, extract_compact

from warp_twisted.policy.authentication.key_sets import VerificationKeys

MAX_TOKEN = 16_384  # octets
MAX_SUBJECT = 1_024  # characters; it becomes the value of a field
MAX_KEY_ID = 256  # characters that tell unknown keys apart
MAX_LIFETIME = 400 * 86400.0  # for the arithmetic on instants; nobody signs tokens for longer
# RFC 8693 §4.2, and what Microsoft calls the same. The words of no other claim count: people choose their names.
_LISTS_OF_WORDS = frozenset({"scope", "scp"})
_SURROGATE = re.compile("[\ud800-\udfff]")


class TokenError(ValueError):
    """A token is not accepted; the text says why and quotes nothing of it."""


class UnknownKeyError(TokenError):
    """
    The token names a key that is not in the set: the set may have been renewed.

    :ivar key_id: the key, in bounds; a token's own word, and for no log.
    """

    def __init__(self, key_id: object) -> None:
        super().__init__("signed with a key that is not in the set")
        self.key_id = str(key_id)[:MAX_KEY_ID]


class _Registry(JWSRegistry):
    max_header_length = 4_096
    max_payload_length = MAX_TOKEN


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a token must say.

    :ivar issuer: `iss`.
    :ivar audience: one of which `aud` must have.
    :ivar algorithms: that may sign.
    :ivar leeway: seconds by which clocks may differ.
    :ivar claims: claim → strings of which it must have one.
    """

    issuer: str
    audience: tuple[str, ...]
    algorithms: tuple[str, ...]
    leeway: float = 30.0
    claims: Mapping[str, tuple[str, ...]] = {}


def read_token(token: bytes, keys: VerificationKeys, expected: Expected, wall: float) -> Mapping[str, Any]:
    """
    Verify a token.

    :param wall: seconds since the epoch.
    :returns: its claims; `exp` is a number.
    :raises TokenError: why it is not accepted.
    """
    payload = _verified_payload(token, keys, expected.algorithms)
    try:
        claims = json.loads(payload)
    except (ValueError, RecursionError):
        raise TokenError("the claims are not JSON") from None
    if not isinstance(claims, dict):
        raise TokenError("the claims are no object")
    if claims.get("iss") != expected.issuer:
        raise TokenError("another issuer")
    if not set(_strings(claims.get("aud"))) & set(expected.audience):
        raise TokenError("for another audience")
    end = _instant(claims, "exp")
    if end is None:
        raise TokenError("it never ends: exp is missing")
    if end <= wall - expected.leeway:
        raise TokenError("it has ended")
    for name in ("nbf", "iat"):
        begin = _instant(claims, name)
        if begin is not None and begin > wall + expected.leeway:
            raise TokenError(f"it is not valid yet: {name}")
    subject = claims.get("sub", "")
    # A string (RFC 7519 §4.1.2). JSON has strings with halves of surrogate pairs, which no field or log could carry.
    if not isinstance(subject, str) or len(subject) > MAX_SUBJECT or _SURROGATE.search(subject):
        raise TokenError("sub is no name")
    for name, wanted in expected.claims.items():
        found = _strings(claims.get(name))
        if name in _LISTS_OF_WORDS:
            found = [word for each in found for word in (each, *each.split(" "))]
        if not set(found) & set(wanted):
            raise TokenError(f"the claim {name} has none of the values that are asked for")
    return claims


def _verified_payload(token: bytes, keys: VerificationKeys, algorithms: Sequence[str]) -> bytes:
    if len(token) > MAX_TOKEN:
        raise TokenError(f"longer than {MAX_TOKEN} octets")
    registry = _Registry(algorithms=algorithms, strict_check_header=False)
    try:
        header = extract_compact(token, registry=registry).headers()
    except (JoseError, ValueError, RecursionError):
        raise TokenError("malformed") from None
    algorithm = header.get("alg")
    if algorithm not in algorithms:
        raise TokenError("signed with an algorithm that is not allowed")
    if "b64" in header or "crit" in header:
        raise TokenError("it asks for extensions")
    candidates = keys.candidates(header.get("kid"), str(algorithm))
    if not candidates:
        raise UnknownKeyError(header.get("kid"))
    for candidate in candidates:
        try:
            return bytes(
                deserialize_compact(token, candidate.key, algorithms=[str(algorithm)], registry=registry).payload
            )
        except (JoseError, ValueError):
            continue
    raise TokenError("the signature is wrong")


def _strings(value: object) -> list[str]:
    """Return a claim that is a string or a list of them."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [each for each in value if isinstance(each, str)]
    return []


def _instant(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise TokenError(f"{name} is no instant")
    return float(value)
