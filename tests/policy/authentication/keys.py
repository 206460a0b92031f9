"""Keys, key sets and tokens, for the tests of checks; PyJWT makes them."""

import json
from base64 import urlsafe_b64encode
from typing import Any, cast

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.policy.authentication.requests import WALL
from warp_twisted.policy.authentication.key_sets import VerificationKeys, read_key_set
from warp_twisted.policy.authentication.tokens import Expected

RSA_KEY = rsa.generate_private_key(65_537, 2_048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
EC384_KEY = ec.generate_private_key(ec.SECP384R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
ALL = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
EXPECTED = Expected(issuer="https://id.example", audience=("app", "api"), algorithms=ALL)
CLAIMS = {"iss": "https://id.example", "aud": "app", "sub": "ann", "exp": WALL + 600, "email": "ann@example.org"}


def member(key: Any, key_id: str | None, **more: object) -> dict[str, object]:
    """Return a key as a member of a set."""
    public_key = key.public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        text = RSAAlgorithm.to_jwk(public_key)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        text = ECAlgorithm.to_jwk(public_key)
    else:
        text = OKPAlgorithm.to_jwk(public_key)
    public = cast("dict[str, object]", json.loads(text))
    public.pop("key_ops", None)
    return {**public, **({"kid": key_id} if key_id else {}), **more}


def key_set(*members: dict[str, object]) -> VerificationKeys:
    """Read a key set of these members."""
    return read_key_set(json.dumps({"keys": members}))


KEYS = key_set(member(RSA_KEY, "r"), member(EC_KEY, "e"), member(EC384_KEY, "e3"), member(ED_KEY, "d"))


def signed(key: Any = EC_KEY, algorithm: str = "ES256", key_id: str | None = "e", **changes: object) -> str:
    """Sign the usual claims, with changes; a claim that is None is left out."""
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    return jwt.encode(claims, key, algorithm, headers={"kid": key_id} if key_id else None)


def encoded(value: object) -> str:
    """Encode a part of a token."""
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
