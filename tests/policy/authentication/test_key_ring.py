"""Tests for `warp_twisted.policy.authentication.key_ring`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.policy.authentication.requests import WALL
from warp_twisted.policy.authentication.key_ring import (
    AFTER_SECONDS,
    AHEAD_SECONDS,
    LIFETIME_SECONDS,
    KeyRing,
    read_key_ring,
)

HOUR = 3_600.0


class KeyRingTests(SynchronousTestCase):
    """`KeyRing`."""

    def setUp(self) -> None:
        """Make the first key."""
        self.ring = KeyRing().renewed(WALL)

    def test_first(self) -> None:
        """The first key signs at once, and nothing is due before it is old."""
        self.assertEqual(len(self.ring.public), 1)
        self.assertEqual(self.ring.signing(WALL).key_id, self.ring.public[0]["kid"])
        self.assertIs(self.ring.renewed(WALL + LIFETIME_SECONDS - 1), self.ring)

    def test_rotation(self) -> None:
        """The next key is published before it signs, and the one before after that."""
        first = self.ring.signing(WALL)
        made = WALL + LIFETIME_SECONDS
        ring = self.ring.renewed(made)
        self.assertEqual(ring.public[0]["kid"], first.key_id)
        self.assertEqual(len(ring.public), 2)
        self.assertIs(ring.signing(made + AHEAD_SECONDS - 1), first)
        second = ring.signing(made + AHEAD_SECONDS)
        self.assertEqual(second.key_id, ring.public[1]["kid"])
        self.assertIs(ring.renewed(made + AHEAD_SECONDS + AFTER_SECONDS - 1), ring)
        left = ring.renewed(made + AHEAD_SECONDS + AFTER_SECONDS)
        self.assertEqual([key["kid"] for key in left.public], [second.key_id])

    def test_kept(self) -> None:
        """What was written is read again; what is something else is refused, and nothing shows a secret."""
        again = read_key_ring(self.ring.encoded())
        self.assertEqual(again.public, self.ring.public)
        self.assertIs(again.renewed(WALL + HOUR), again)
        for text in (b"", self.ring.encoded()[:-20], b"{}", b'{"keys": [{"pem": "x", "made_at": 1}]}'):
            with self.assertRaises(ValueError):
                read_key_ring(text)
        self.assertNotIn("PRIVATE", repr(self.ring))

    @given(st.lists(st.floats(-400 * 24 * HOUR, 400 * 24 * HOUR), max_size=8))
    def test_a_clock_that_jumps(self, jumps: list[float]) -> None:
        """Wherever the clock goes, a published key signs, few are kept, and the next is made in time."""
        ring, wall = self.ring, WALL
        for jump in jumps:
            wall += jump
            ring = ring.renewed(wall)
            self.assertIn(ring.signing(wall).key_id, [key["kid"] for key in ring.public])
            self.assertLessEqual(len(ring.keys), 2)
        self.assertLessEqual(ring.keys[-1].made_at, wall)
        self.assertEqual(len(ring.renewed(wall + LIFETIME_SECONDS).keys), len(ring.keys[-1:]) + 1)
