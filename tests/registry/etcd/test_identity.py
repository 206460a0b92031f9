"""Tests of `warp_twisted.registry.etcd.identity`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.registry.errors import BadValue, StoreBroken
from warp_twisted.registry.etcd.identity import About, check_about, decode_about, encode_about


class IdentityTests(SynchronousTestCase):
    """`check_about` and the text."""

    def test_followed(self) -> None:
        """The registry that is known is followed, and by an edge that knows none any that is whole."""
        for about, known in ((About(registry="a"), "a"), (About(registry="a"), ""), (None, "")):
            for is_empty in (False, True):
                check_about(about, known, is_empty=is_empty, copy="copy")

    def test_refused(self) -> None:
        """Half a copy, an etcd that lost everything, and another registry are not followed; it is said what to do."""
        half = About(registry="a", is_complete=False)
        for about, known, is_empty, why in (
            (half, "a", False, "half a copy of a registry; run `warp registry copy` again, with --replace"),
            (half, "", False, "half a copy"),
            (None, "a", True, "holds nothing, and this edge.*stop the edge and remove /state/copy"),
            (None, "a", False, "holds another registry"),
            (About(registry="b"), "a", False, "holds another registry.*remove /state/copy"),
        ):
            with self.assertRaisesRegex(StoreBroken, why):
                check_about(about, known, is_empty=is_empty, copy="/state/copy")

    def test_text(self) -> None:
        """What is written is read."""
        for about in (About(registry="a"), About(registry="b", is_complete=False)):
            self.assertEqual(decode_about(encode_about(about)), about)

    @given(st.binary(max_size=64) | st.binary(min_size=2000, max_size=2100))
    def test_anything_else(self, text: bytes) -> None:
        """Anything else is refused as such."""
        with self.assertRaises(BadValue):
            decode_about(text)
