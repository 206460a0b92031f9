"""
Who the visitor is, told to the origin: a short-lived token (JWT, ES256) signed by the edge, and plain fields beside it.

Pure. The token proves itself; the fields are for origins that cannot read tokens and are reached through the edge
alone. Visitors' own fields of these names are taken out of every request.
"""

import json
from collections.abc import Sequence

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey
from joserfc.jwt import encode

from warp_twisted.policy.interfaces import Identity

ASSERTION_FIELD = b"Warp-Assertion"
IDENTITY_FIELD = b"Warp-Identity"
IDENTITY_KIND_FIELD = b"Warp-Identity-Kind"
FIELDS = (ASSERTION_FIELD, IDENTITY_FIELD, IDENTITY_KIND_FIELD)
SECONDS = 60  # for which a token holds
REUSED_SECONDS = 20.0  # for which one token serves all requests with the same identity to one hostname


class SigningKey:
    """
    One edge's key.

    :ivar key_id: its thumbprint (RFC 7638).
    :ivar public: as a member of a JWK set.
    """

    def __init__(self, pem: bytes) -> None:
        """
        Read a private key on the curve P-256.

        :raises ValueError: it is none.
        """
        loaded = serialization.load_pem_private_key(pem, None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or loaded.curve.name != "secp256r1":
            raise ValueError("expected a private key on the curve P-256")
        self._key = ECKey.import_key(pem.decode("ascii"))
        self.key_id = self._key.thumbprint()
        self.public = {**self._key.as_dict(private=False), "kid": self.key_id, "use": "sig", "alg": "ES256"}

    def signed(self, identities: Sequence[Identity], *, issuer: str, audience: str, wall: float) -> bytes:
        """
        Return a token.

        :param identities: what was proven; the first is the subject, `also` names the others.
        :param issuer: the edge's or fleet's name.
        :param audience: the hostname that was asked.
        :param wall: seconds since the epoch.
        """
        now = int(wall)
        identity, *others = identities
        also = [{"kind": other.kind, "sub": other.subject, **other.claims} for other in others]
        claims = {
            **identity.claims,
            **({"also": also} if also else {}),
            "iss": issuer,
            "aud": audience,
            "sub": identity.subject,
            "kind": identity.kind,
            "iat": now,
            "exp": now + SECONDS,
        }
        return encode(
            {"alg": "ES256", "typ": "JWT", "kid": self.key_id}, claims, self._key, algorithms=["ES256"]
        ).encode()


def new_signing_key() -> bytes:
    """Return a new private key in PEM."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def key_set(public_keys: Sequence[object]) -> bytes:
    """Return the JWK set of several edges, as it is served."""
    return json.dumps({"keys": list(public_keys)}, separators=(",", ":")).encode()


class _Signed(msgspec.Struct, frozen=True):
    identities: Sequence[Identity]
    lines: bytes
    at: float
    wall: float


class Assertions:
    """
    The field lines for each identity, signed anew before they are old: a signature takes 100 µs, most requests none.

    :param issuer: as in `SigningKey.signed`.
    """

    MAX_REMEMBERED = 10_000

    def __init__(self, key: SigningKey, issuer: str) -> None:
        self._key = key
        self._issuer = issuer
        self._signed: dict[tuple[str, str, str], _Signed] = {}

    def use(self, key: SigningKey) -> None:
        """Sign with this key from now on; tokens by the one before are good until they end."""
        self._key = key

    def lines(self, identities: Sequence[Identity], hostname: str, now: float, wall: float) -> bytes:
        """
        Return the field lines for the origin, each with its CR LF.

        :param identities: as in `SigningKey.signed`.
        """
        identity = identities[0]
        place = hostname, identity.kind, identity.subject
        found = self._signed.get(place)
        if (
            found is not None
            and now - found.at < REUSED_SECONDS
            and 0 <= wall - found.wall < REUSED_SECONDS  # the time of day may jump
            and found.identities == identities
        ):
            return found.lines
        if len(self._signed) >= self.MAX_REMEMBERED:
            self._signed.clear()
        token = self._key.signed(identities, issuer=self._issuer, audience=hostname, wall=wall)
        lines = b"".join(
            b"%b: %b\r\n" % field
            for field in (
                (ASSERTION_FIELD, token),
                (IDENTITY_FIELD, plain_value(identity.subject)),
                (IDENTITY_KIND_FIELD, identity.kind.encode()),
            )
        )
        self._signed[place] = _Signed(identities, lines, now, wall)
        return lines


def plain_value(text: str) -> bytes:
    """Return text as a field's value: UTF-8 with controls, and percent signs, percent-encoded."""
    return b"".join(
        b"%%%02X" % octet if octet < 0x20 or octet in (0x25, 0x7F) else bytes([octet]) for octet in text.encode()
    )
