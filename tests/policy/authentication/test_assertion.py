"""Tests for `warp_twisted.policy.authentication.assertion`; PyJWT reads what is signed."""

import json

import jwt
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.policy.authentication.requests import NOW, WALL
from warp_twisted.policy.authentication.assertion import (
    REUSED_SECONDS,
    SECONDS,
    Assertions,
    SigningKey,
    key_set,
    new_signing_key,
    plain_value,
)
from warp_twisted.policy.interfaces import Identity

KEY = SigningKey(new_signing_key())
ANN = Identity("jwt", "ann", {"email": "ann@example.org", "sub": "root", "iss": "x"})


def field(lines: bytes, name: bytes) -> bytes:
    """Return the value of a field."""
    return next(line.partition(b": ")[2] for line in lines.split(b"\r\n") if line.startswith(name + b":"))


class AssertionsTests(SynchronousTestCase):
    """`Assertions.lines`."""

    def test_read_by_somebody_else(self) -> None:
        """A library that takes the published key set accepts the token, for this hostname only, and not for long."""
        lines = Assertions(KEY, "edge1").lines((ANN,), "app.example", NOW, WALL)
        token = field(lines, b"Warp-Assertion").decode()
        keys = jwt.PyJWKSet.from_dict(json.loads(key_set([SigningKey(new_signing_key()).public, KEY.public])))
        claims = jwt.decode(
            token, keys[jwt.get_unverified_header(token)["kid"]], ["ES256"], audience="app.example", issuer="edge1",
            options={"verify_exp": False, "verify_iat": False},
        )  # fmt: skip
        self.assertEqual((claims["sub"], claims["kind"], claims["email"]), ("ann", "jwt", "ann@example.org"))
        self.assertEqual(claims["exp"] - claims["iat"], SECONDS)
        self.assertEqual(field(lines, b"Warp-Identity"), b"ann")
        self.assertEqual(field(lines, b"Warp-Identity-Kind"), b"jwt")
        with self.assertRaises(jwt.InvalidAudienceError):
            jwt.decode(token, keys[KEY.key_id], ["ES256"], audience="other.example",
                       options={"verify_exp": False, "verify_iat": False})  # fmt: skip

    def test_signed_once_for_many_requests(self) -> None:
        """The same identity and hostname have the same lines for a while; others never do."""
        assertions = Assertions(KEY, "edge1")
        first = assertions.lines((ANN,), "app.example", NOW, WALL)
        self.assertIs(assertions.lines((ANN,), "app.example", NOW + REUSED_SECONDS - 1, WALL), first)
        self.assertIsNot(assertions.lines((ANN,), "app.example", NOW + REUSED_SECONDS, WALL), first)
        self.assertNotEqual(assertions.lines((ANN,), "b.example", NOW, WALL), first)
        other = Identity("jwt", "ann", {"email": "other@example.org"})
        self.assertNotEqual(assertions.lines((other,), "app.example", NOW, WALL), first)

    def test_equal_identities_share(self) -> None:
        """What is proven anew for each request is signed once, as long as the time of day goes its way."""
        assertions = Assertions(KEY, "edge1")
        first = assertions.lines((Identity("service_token", "ci"),), "app.example", NOW, WALL)
        self.assertIs(assertions.lines((Identity("service_token", "ci"),), "app.example", NOW + 1, WALL + 1), first)
        for wall in (WALL - 3_600, WALL + 3_600):
            assertions = Assertions(KEY, "edge1")
            first = assertions.lines((ANN,), "app.example", NOW, WALL)
            self.assertIsNot(assertions.lines((ANN,), "app.example", NOW + 1, wall), first)

    def test_several_proofs(self) -> None:
        """The first is the subject; the others are told beside it."""
        certificate = Identity("client_certificate", "laptop", {"fingerprint": "ab"})
        lines = Assertions(KEY, "edge1").lines((ANN, certificate), "app.example", NOW, WALL)
        claims = jwt.decode(field(lines, b"Warp-Assertion"), options={"verify_signature": False})
        self.assertEqual(claims["sub"], "ann")
        self.assertEqual(claims["also"], [{"kind": "client_certificate", "sub": "laptop", "fingerprint": "ab"}])
        self.assertEqual(field(lines, b"Warp-Identity"), b"ann")

    def test_bounded(self) -> None:
        """Many identities do not stay in memory."""
        assertions = Assertions(KEY, "edge1")
        self.patch(Assertions, "MAX_REMEMBERED", 3)
        for number in range(10):
            assertions.lines((Identity("basic", str(number)),), "app.example", NOW, WALL)
            self.assertLessEqual(len(assertions._signed), 3)

    def test_no_private_part_is_published(self) -> None:
        """The published key has the public members only."""
        self.assertEqual(set(KEY.public), {"kty", "crv", "x", "y", "kid", "use", "alg"})
        with self.assertRaises(ValueError):
            SigningKey(b"-----BEGIN PRIVATE KEY-----\n")

    @given(st.text(max_size=50))
    def test_a_name_cannot_leave_its_line(self, subject: str) -> None:
        """No name puts a control character into a field."""
        self.assertNotRegex(plain_value(subject), rb"[\x00-\x1f\x7f]")
