"""Tests of the key with which an edge opens what is sealed for it."""

import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.acme.sealing import seal
from warp_twisted.edge.acme.sealing_key import FILE, SealingKey
from warp_twisted.errors import InvalidSettings
from warp_twisted.registry.acme.records import AcmeOrder, SealedCopy


class SealingKeyTests(SynchronousTestCase):
    """One state directory."""

    def setUp(self) -> None:
        self.state = Path(self.mktemp())
        self.state.mkdir()

    def test_made_once(self) -> None:
        """The file is the edge's own, and the next start finds the same key."""
        key = SealingKey(self.state)
        self.assertEqual(stat.S_IMODE((self.state / FILE).stat().st_mode), 0o600)
        self.assertEqual(SealingKey(self.state).public, key.public)
        self.assertNotIn(b"PRIVATE", repr(key).encode())

    def test_opened(self) -> None:
        """A copy for this edge and this key is opened, another is not looked at, a damaged one is an error."""
        key = SealingKey(self.state)
        about = "order a.example"
        copy = SealedCopy(key=key.public, text=seal("secret", key.public, about))
        order = AcmeOrder(name="a.example", state="", copies={"edge1": copy})
        self.assertEqual(key.open(order, "edge1"), "secret")
        self.assertIsNone(key.open(order, "edge2"))
        former = AcmeOrder(name="a.example", state="", copies={"edge1": SealedCopy(key="other", text=copy.text)})
        self.assertIsNone(key.open(former, "edge1"))
        moved = AcmeOrder(name="b.example", state="", copies={"edge1": copy})
        self.assertRaises(ValueError, key.open, moved, "edge1")

    def test_what_cannot_be_used(self) -> None:
        """A file that holds something else, or a place where there can be none, is refused with what to do."""
        (self.state / FILE).write_text("nonsense")
        error = self.assertRaises(InvalidSettings, SealingKey, self.state)
        self.assertIn("remove it", str(error))
        self.assertIn(FILE, str(self.assertRaises(InvalidSettings, SealingKey, self.state / "nowhere")))
