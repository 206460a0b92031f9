"""Tests for `warp_twisted.policy.authentication.jwt`; PyJWT makes the tokens."""

from base64 import urlsafe_b64encode

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import HMACAlgorithm
from twisted.trial.unittest import SynchronousTestCase

from tests.policy.authentication.keys import (
    CLAIMS,
    EC384_KEY,
    EC_KEY,
    ED_KEY,
    EXPECTED,
    KEYS,
    RSA_KEY,
    encoded,
    key_set,
    member,
    signed,
)
from tests.policy.authentication.requests import NOW, WALL, request
from warp_twisted.policy.authentication import jwt as check
from warp_twisted.policy.authentication.jwt import JwtCheck
from warp_twisted.policy.authentication.tokens import MAX_TOKEN, UnknownKeyError
from warp_twisted.policy.interfaces import ABSENT, Answer, Outcome

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


class LookTests(SynchronousTestCase):
    """`JwtCheck.look`."""

    def setUp(self) -> None:
        self.renewed = 0
        self.check = JwtCheck(EXPECTED)
        self.check.renew_keys = self.renew
        self.check.use(KEYS)

    def renew(self, key_id: str) -> bool:
        """Count, and say that the key is not in the newest set."""
        self.renewed += 1
        self.key_id = key_id
        return False

    def look(self, token: str, now: float = NOW, wall: float = WALL) -> Answer:
        """Send a token."""
        return self.check.look(request("Authorization: Bearer " + token), now, wall)

    def test_each_algorithm(self) -> None:
        """Tokens of each kind of key prove their subject."""
        for key, algorithm, key_id in (
            (RSA_KEY, "RS256", "r"), (RSA_KEY, "PS256", "r"), (EC_KEY, "ES256", "e"), (EC384_KEY, "ES384", "e3"),
            (ED_KEY, "EdDSA", "d"), (EC_KEY, "ES256", None), (RSA_KEY, "RS256", None),
        ):  # fmt: skip
            answer = self.look(signed(key, algorithm, key_id))
            assert answer.identity is not None, (algorithm, answer)
            self.assertEqual((answer.identity.subject, answer.identity.claims), ("ann", {"email": "ann@example.org"}))

    def test_forged(self) -> None:
        """`none`, a public key as a secret, other algorithms and keys, and a changed body are refused."""
        header, body, signature = signed().split(".")
        pem = EC_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        confused = f"{encoded({'alg': 'HS256', 'kid': 'e'})}.{body}"
        mac = urlsafe_b64encode(HMACAlgorithm(HMACAlgorithm.SHA256).sign(confused.encode(), pem)).rstrip(b"=").decode()
        other = ec.generate_private_key(ec.SECP256R1())
        for token in (
            f"{encoded({'alg': 'none'})}.{body}.",
            f"{encoded({'alg': 'None', 'kid': 'e'})}.{body}.{signature}",
            f"{confused}.{mac}",
            signed(other),
            signed(RSA_KEY, "RS384", "r"),
            signed(RSA_KEY, "RS256", "e"),
            f"{header}.{encoded({**CLAIMS, 'sub': 'root'})}.{signature}",
            f"{header}.{body}.{signature[:-4]}AAAA",
            f"{header}.{body}.",
            f"{header}.{body}",
            jwt.encode(CLAIMS, EC_KEY, "ES256", {"kid": "e", "crit": ["x"], "x": 1}),
            jwt.encode(CLAIMS, EC_KEY, "ES256", {"kid": "e", "jwk": member(other, None)}).replace(".", "..", 1),
            "A" * (MAX_TOKEN + 1),
        ):
            answer = self.look(token)
            self.assertEqual(answer.outcome, Outcome.REFUSED, token)

    def test_a_key_that_comes_with_the_token_is_not_used(self) -> None:
        """`jwk` and `jku` in a header say nothing."""
        other = ec.generate_private_key(ec.SECP256R1())
        token = jwt.encode(
            CLAIMS, other, "ES256", {"kid": "e", "jwk": member(other, "e"), "jku": "https://evil.example"}
        )
        self.assertEqual(self.look(token).reason, "the signature is wrong")

    def test_keys_are_renewed(self) -> None:
        """An unknown key asks for newer ones; with them it is accepted; without any nothing can be said."""
        other = ec.generate_private_key(ec.SECP256R1())
        token = signed(other, key_id="new")
        self.assertEqual(self.look(token).outcome, Outcome.REFUSED)
        self.assertEqual((self.renewed, self.key_id), (1, "new"))
        self.check.renew_keys = lambda key_id: True
        self.assertEqual(self.look(token).outcome, Outcome.BUSY)
        self.check.renew_keys = self.renew
        for key_id in ("x" * 5_000, None):  # bounded, and a text in any case
            with self.assertRaises(UnknownKeyError) as caught:
                raise UnknownKeyError(key_id)
            self.assertLessEqual(len(caught.exception.key_id), 256)
        old = signed()
        self.assertEqual(self.look(old).outcome, Outcome.PROVEN)
        self.check.use(key_set(member(other, "new")))
        self.assertEqual(self.look(token).outcome, Outcome.PROVEN)
        self.assertEqual(self.look(old).outcome, Outcome.REFUSED)
        self.check = JwtCheck(EXPECTED)
        self.check.renew_keys = self.renew
        self.assertEqual(self.look(token).outcome, Outcome.BUSY)

    def test_remembered_until_its_end(self) -> None:
        """A token is verified once, and holds as long as it says by the calendar, whatever the other clock says."""
        token = signed(nbf=WALL - 100, exp=WALL + 100_000)
        first = self.look(token)
        self.patch(check, "read_token", lambda *_: self.fail("it was verified again"))
        for now, wall in ((NOW + 1, WALL + 1), (NOW + 90_000, WALL + 90_000), (NOW, WALL - 130)):
            self.assertIs(self.look(token, now, wall), first)

    def test_clocks_that_jump(self) -> None:
        """A clock that is set back or ahead ends a token that was good before, if it says so itself."""
        token = signed(iat=WALL - 100, exp=WALL + 10)
        for wall in (WALL + 41, WALL - 131):
            self.assertEqual(self.look(token).outcome, Outcome.PROVEN)
            self.assertEqual(self.look(token, NOW + 1, wall).outcome, Outcome.REFUSED)
            self.check.use(KEYS)

    def test_spelling_of_a_known_one(self) -> None:
        """A token that was verified before is looked for as carefully as one that is new."""
        token = signed()
        self.assertEqual(self.look(token).outcome, Outcome.PROVEN)
        for lines, expected in (
            ([f"authorization:   bearer {token}\t"], Outcome.PROVEN),
            ([f"Authorization: Bearer {token}", "AUTHORIZATION: Bearer x"], Outcome.REFUSED),
            (["authorization: Basic x", f"Authorization: Bearer {token}"], Outcome.REFUSED),
            ([f"X-Authorization: Bearer {token}"], Outcome.ABSENT),
            ([f"Authorization: Bearer {token}x"], Outcome.REFUSED),
        ):
            self.assertEqual(self.check.look(request(*lines), NOW, WALL).outcome, expected, lines)

    def test_where_it_stands(self) -> None:
        """In a field or a cookie, if the rule says so; two of them are refused."""
        token = signed()
        self.check = JwtCheck(EXPECTED, cookie=b"session")
        self.check.use(KEYS)
        self.assertEqual(self.look(token), ABSENT)
        self.assertEqual(self.check.carriers, (b"cookie=session",))
        line = f"Cookie: a=b; session={token}"
        self.assertEqual(self.check.look(request(line), NOW, WALL).outcome, Outcome.PROVEN)
        self.assertEqual(self.check.look(request(line, line), NOW, WALL).outcome, Outcome.REFUSED)
        self.check = JwtCheck(EXPECTED, header=b"x-token")
        self.check.use(KEYS)
        self.assertEqual(self.check.look(request(f"X-Token: {token}"), NOW, WALL).outcome, Outcome.PROVEN)
        self.assertEqual(self.check.look(request(f"X_Token: {token}", f"X-Token: {token}"), NOW, WALL).outcome,
                         Outcome.REFUSED)  # fmt: skip

    @given(st.text(alphabet=st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=200))
    def test_any_text(self, text: str) -> None:
        """Whatever comes is answered, and proves nothing."""
        self.assertNotEqual(self.look(text).outcome, Outcome.PROVEN)

    @given(JSON_VALUES, st.sampled_from(["alg", "kid", "crit", "b64", "typ", "zip", "x5c"]))
    def test_any_header(self, value: object, name: str) -> None:
        """Whatever a header holds is answered, and nothing but the right one proves anything."""
        _, body, signature = signed().split(".")
        answer = self.look(f"{encoded({'alg': 'ES256', 'kid': 'e', name: value})}.{body}.{signature}")
        self.assertEqual(answer.outcome, Outcome.REFUSED)
