"""Tests of which hostname or pattern stands for a name."""

from collections.abc import Collection

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.coverage import is_reserved, nearest_pattern, stands_for, suffixes

ZONE = "warp.example"


class ReservedTests(SynchronousTestCase):
    """Which hostnames agents may never have."""

    def test_reserved(self) -> None:
        """Names of edges and name servers directly under the zone, and underscore names, are reserved."""
        for name in ("ns1.warp.example", "edge1.warp.example", "_dmarc.x.example", "a._label.b.example"):
            self.assertTrue(is_reserved(name, ZONE, ["ns1", "edge1"]), name)
        for name in ("a.ns1.warp.example", "ns1.other.example", "warp.example", "*.warp.example", "a_b.example"):
            self.assertFalse(is_reserved(name, ZONE, ["ns1", "edge1"]), name)


class StandsForTests(SynchronousTestCase):
    """What stands for a name."""

    def find(self, hostname: str, *served: str, reserved: Collection[str] = ()) -> str | None:
        """Return which of some hostnames and patterns stands for a name."""
        exact = {name: name for name in served if not name.startswith("*.")}
        patterns = {name[1:]: name for name in served if name.startswith("*.")}
        return stands_for(hostname, exact, patterns, lambda name: name in reserved)

    def test_the_name_itself_first(self) -> None:
        """A hostname wins over every pattern, also one that is reserved."""
        self.assertEqual(self.find("a.b.example", "*.b.example", "a.b.example"), "a.b.example")
        self.assertEqual(self.find("a.b.example", "a.b.example", reserved=["a.b.example"]), "a.b.example")

    def test_the_longest_suffix_first(self) -> None:
        """Of patterns the most specific wins, and covers names of any depth."""
        served = ("*.example", "*.b.example", "c.b.example")
        self.assertEqual(self.find("x.y.c.b.example", *served), "*.b.example")
        self.assertEqual(self.find("b.example", *served), "*.example")

    def test_never_itself(self) -> None:
        """A pattern does not stand for the name after its `*.`."""
        self.assertIsNone(self.find("b.example", "*.b.example"))
        self.assertIsNone(self.find("xb.example", "*.b.example"))

    def test_reserved(self) -> None:
        """No pattern stands for a reserved name, but for the names below it."""
        self.assertIsNone(self.find("ns1.example", "*.example", reserved=["ns1.example"]))
        self.assertEqual(self.find("x.ns1.example", "*.example", reserved=["ns1.example"]), "*.example")

    def test_of_a_pattern(self) -> None:
        """A pattern stands for itself, or else the next above it does."""
        patterns = {".example": 1, ".b.example": 2}
        self.assertEqual(nearest_pattern("*.b.example", patterns), 2)
        self.assertEqual(nearest_pattern("*.c.b.example", patterns), 2)
        self.assertEqual(nearest_pattern("*.c.example", patterns), 1)

    def test_suffixes(self) -> None:
        """They come in the order in which patterns are tried."""
        self.assertEqual(list(suffixes("a.b.example")), [".b.example", ".example"])
        self.assertEqual(list(suffixes("example")), [])

    @given(st.lists(st.sampled_from("ab"), min_size=1, max_size=5), st.sets(st.text("ab.", max_size=5), max_size=6))
    def test_one_at_a_time(self, labels: list[str], patterns: set[str]) -> None:
        """The look-up finds what trying each suffix in turn finds."""
        hostname = ".".join(labels)
        table = {f".{pattern}": f".{pattern}" for pattern in patterns}
        expected = next((suffix for suffix in suffixes(hostname) if suffix in table), None)
        self.assertEqual(nearest_pattern(hostname, table), expected)
