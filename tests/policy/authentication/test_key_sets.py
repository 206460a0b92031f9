"""Tests for `warp_twisted.policy.authentication.key_sets`."""

import json
from typing import cast

from cryptography.hazmat.primitives.asymmetric import rsa
from twisted.trial.unittest import SynchronousTestCase

from tests.policy.authentication.keys import EC_KEY, RSA_KEY, key_set, member
from warp_twisted.policy.authentication.key_sets import KeySetError, read_key_set


class ReadKeySetTests(SynchronousTestCase):
    """`read_key_set`."""

    def test_only_keys_that_verify(self) -> None:
        """Secrets, keys for encryption, weak ones and unknown kinds are left out; private parts are not read."""
        good = member(EC_KEY, "e")
        for other in (
            {"kty": "oct", "k": "c2VjcmV0", "kid": "o", "alg": "HS256"},
            member(RSA_KEY, "r", use="enc"),
            member(RSA_KEY, "r", key_ops=["encrypt"]),
            member(RSA_KEY, "r", key_ops="verify"),
            member(RSA_KEY, "r", alg="HS256"),
            member(rsa.generate_private_key(65_537, 1_024), "weak"),
            {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
            {"kty": "new"},
            "text",
        ):
            self.assertEqual(len(key_set(good, cast("dict[str, object]", other))), 1, other)
            with self.assertRaisesRegex(KeySetError, "holds no RSA, EC or OKP key"):
                key_set(cast("dict[str, object]", other))

    def test_alg_of_a_key(self) -> None:
        """A key that names its algorithm verifies no other."""
        keys = key_set(member(RSA_KEY, "r", alg="PS256"))
        self.assertEqual([len(keys.candidates("r", algorithm)) for algorithm in ("PS256", "RS256")], [1, 0])

    def test_refused(self) -> None:
        """What is no key set says so."""
        for text, reason in {
            "": "not JSON",
            "[]": "expected a JWK set",
            '{"keys": {}}': "expected a JWK set",
            json.dumps({"keys": [{}] * 101}): "more than 100 keys",
            "[" * 100_000: "not JSON",
            " " * 600_000: "longer than",
        }.items():
            with self.assertRaisesRegex(KeySetError, reason):
                read_key_set(text)
