"""
Sets of public keys that sign tokens (JWK sets, RFC 7517).

Pure. Only keys that can verify a signature come in: a shared secret could be made from what is public (key confusion),
and a key for something else (`use`, `key_ops`) was not meant to sign.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key

MAX_TEXT = 512 * 1024
MAX_KEYS = 100
MIN_RSA_BITS, MAX_RSA_BITS = 2_048, 8_192  # the cost of a verification grows with the square
MAX_CANDIDATES = 4  # keys that a token without `kid` is tried with
_ALGORITHMS_OF_CURVE = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA", "Ed448": "EdDSA"}
_RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})


# joserfc warns of weak keys, which are left out here, and with each `EdDSA` token, which is what issuers say until
# they follow RFC 9864.
warnings.filterwarnings("ignore", category=SecurityWarning)


class KeySetError(ValueError):
    """A key set cannot be used; the text says what is wrong with it."""


class VerificationKey:
    """
    One key.

    :ivar key_id: its `kid`, or None.
    :ivar algorithms: that it may have signed with.
    """

    __slots__ = ("algorithms", "key", "key_id")

    def __init__(self, key: Key, key_id: str | None, algorithms: frozenset[str]) -> None:
        self.key = key
        self.key_id = key_id
        self.algorithms = algorithms


class VerificationKeys:
    """The keys of one set that can verify tokens; at least one."""

    def __init__(self, keys: Sequence[VerificationKey]) -> None:
        self._keys = keys

    def candidates(self, key_id: object, algorithm: str) -> list[VerificationKey]:
        """
        Return the keys that may have signed a token.

        :param key_id: what the token names as `kid`; None if it names none.
        """
        fitting = [key for key in self._keys if algorithm in key.algorithms]
        if key_id is not None:
            fitting = [key for key in fitting if key.key_id == key_id]
        return fitting[:MAX_CANDIDATES]

    def __len__(self) -> int:
        return len(self._keys)


def read_key_set(text: str) -> VerificationKeys:
    """
    Read a JWK set; keys for other ends are left out.

    :raises KeySetError: it is none, or holds no key that verifies signatures.
    """
    if len(text) > MAX_TEXT:
        raise KeySetError(f"the key set is longer than {MAX_TEXT} characters")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise KeySetError("the key set is not JSON") from None
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        raise KeySetError('expected a JWK set: {"keys": [...]}')
    if len(keys) > MAX_KEYS:
        raise KeySetError(f"the key set has more than {MAX_KEYS} keys")
    found = [key for key in map(_verification_key, keys) if key is not None]
    if not found:
        raise KeySetError("the key set holds no RSA, EC or OKP key that verifies signatures")
    return VerificationKeys(found)


def _verification_key(member: object) -> VerificationKey | None:
    if not isinstance(member, dict) or not _is_for_verifying(member):
        return None
    public = {name: value for name, value in member.items() if name in ("kty", "crv", "x", "y", "n", "e")}
    try:
        key = import_key(public)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    named = member.get("alg")
    algorithms = _algorithms_of(key, member)
    if named is not None:
        algorithms &= {str(named)}
    key_id = member.get("kid")
    if not algorithms or not (key_id is None or isinstance(key_id, str)):
        return None
    return VerificationKey(key, key_id, algorithms)


def _is_for_verifying(member: Mapping[str, Any]) -> bool:
    operations = member.get("key_ops")
    return member.get("use", "sig") == "sig" and (
        operations is None or (isinstance(operations, list) and "verify" in operations)
    )


def _algorithms_of(key: Key, member: Mapping[str, Any]) -> frozenset[str]:
    if isinstance(key, RSAKey):
        bits = key.public_key.key_size
        return _RSA_ALGORITHMS if MIN_RSA_BITS <= bits <= MAX_RSA_BITS else frozenset()
    if isinstance(key, ECKey | OKPKey):
        return frozenset({_ALGORITHMS_OF_CURVE.get(str(member.get("crv")), "")} - {""})
    return frozenset()
