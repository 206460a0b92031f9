"""Tests for warp_twisted.acme.sealing."""

from twisted.trial.unittest import SynchronousTestCase

from tests.self_signed import self_signed
from warp_twisted.acme.sealing import MAX_SECRET_BYTES, new_private_key, open_sealed, public_key_of, seal


class SealingTests(SynchronousTestCase):
    """Secrets sealed to a key."""

    def setUp(self) -> None:
        self.private = new_private_key()
        self.public = public_key_of(self.private)

    def test_opened(self) -> None:
        """The key opens what was sealed to it, and two seals of one secret differ."""
        first, second = (seal("sécret", self.public, "order a") for _ in range(2))
        self.assertNotEqual(first, second)
        for sealed in (first, second):
            self.assertTrue(sealed.isascii())
            self.assertEqual(open_sealed(self.private, sealed, "order a"), "sécret")

    def test_another_key(self) -> None:
        """Another edge's key opens nothing."""
        with self.assertRaisesRegex(ValueError, "another key"):
            open_sealed(new_private_key(), seal("secret", self.public, "account"), "account")

    def test_another_record(self) -> None:
        """What is about one record is not taken for what another has."""
        with self.assertRaisesRegex(ValueError, "something else"):
            open_sealed(self.private, seal("secret", self.public, "order a"), "order b")

    def test_damaged(self) -> None:
        """Whichever character of it is another, or missing, it is not opened."""
        sealed = seal("secret", self.public, "account")
        for at in range(len(sealed)):
            other = "A" if sealed[at] != "A" else "B"
            for damaged in (sealed[:at] + other + sealed[at + 1 :], sealed[:at]):
                with self.assertRaises(ValueError, msg=f"{at}: {damaged}"):
                    # The last character has bits that no octet takes: one that differs in these alone is the same.
                    if open_sealed(self.private, damaged, "account") == "secret" and at == len(sealed) - 1:
                        raise ValueError("the same octets")

    def test_refused(self) -> None:
        """Keys that are none, and secrets that are too long, are refused."""
        _, _, key = self_signed("localhost", [])
        with self.assertRaisesRegex(ValueError, "X25519"):
            public_key_of(key)
        with self.assertRaises(ValueError):
            seal("secret", "AAAA", "account")
        with self.assertRaisesRegex(ValueError, "not sealed"):
            seal("x" * (MAX_SECRET_BYTES + 1), self.public, "account")
