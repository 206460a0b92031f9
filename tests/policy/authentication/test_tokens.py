"""Tests for `warp_twisted.policy.authentication.tokens`; PyJWT makes the tokens."""

import json

import jwt
import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.policy.authentication.keys import CLAIMS, EC_KEY, EXPECTED, KEYS, signed
from tests.policy.authentication.requests import WALL
from warp_twisted.policy.authentication.tokens import MAX_SUBJECT, Expected, TokenError, read_token


def refusal_of(token: str, expected: Expected = EXPECTED) -> str:
    """Return why a token is not accepted; empty if it is."""
    try:
        claims = read_token(token.encode(), KEYS, expected, WALL)
    except TokenError as error:
        return str(error)
    return "" if claims["sub"] == CLAIMS["sub"] else "claims of somebody else"


class ReadTokenTests(SynchronousTestCase):
    """`read_token`."""

    def test_claims(self) -> None:
        """Issuer, audience, end and begin are compared, with the leeway for clocks."""
        for changes, reason in (
            ({"iss": "https://evil.example"}, "another issuer"),
            ({"iss": None}, "another issuer"),
            ({"iss": ["https://id.example"]}, "another issuer"),
            ({"aud": "other"}, "for another audience"),
            ({"aud": None}, "for another audience"),
            ({"exp": None}, "it never ends: exp is missing"),
            ({"exp": WALL - 30}, "it has ended"),
            ({"exp": True}, "exp is no instant"),
            ({"exp": 1e300}, "exp is no instant"),
            ({"nbf": WALL + 31}, "it is not valid yet: nbf"),
            ({"iat": WALL + 31}, "it is not valid yet: iat"),
            ({"sub": 7}, "sub is no name"),
            ({"sub": ["ann"]}, "sub is no name"),
            ({"sub": "ann\ud800"}, "sub is no name"),
            ({"sub": "a" * (MAX_SUBJECT + 1)}, "sub is no name"),
        ):
            payload = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
            token = jwt.PyJWS().encode(json.dumps(payload).encode(), EC_KEY, "ES256", {"kid": "e"})
            self.assertEqual(refusal_of(token), reason, changes)
        for changes in ({"aud": ["x", "api"]}, {"exp": WALL - 29}, {"nbf": WALL + 29}):
            self.assertEqual(refusal_of(signed(**changes)), "", changes)

    def test_claims_of_the_rule(self) -> None:
        """A claim must have one of the values: as a string, in a list, as a word of `scope`."""
        expected = msgspec.structs.replace(EXPECTED, claims={"scope": ("write",), "groups": ("a", "b")})
        self.assertEqual(refusal_of(signed(scope="read write", groups=["c", "b"]), expected), "")
        for changes in ({"scope": "read", "groups": "a"}, {"scope": "write"}, {"scope": {"write": 1}, "groups": "a"}):
            self.assertIn("none of the values", refusal_of(signed(**changes), expected), changes)

    def test_words_of_other_claims(self) -> None:
        """Nobody is let in by a word in a name that people may choose, nor for an audience that is one in another."""
        expected = msgspec.structs.replace(EXPECTED, claims={"name": ("admin",), "scp": ("write",)})
        self.assertEqual(refusal_of(signed(name="admin", scp="read write"), expected), "")
        for changes in ({"name": "no admin"}, {"name": ["no admin"]}, {"name": "admin "}):
            self.assertIn("name has none of the values", refusal_of(signed(scp="write", **changes), expected), changes)
        self.assertEqual(refusal_of(signed(aud="not the api")), "for another audience")
