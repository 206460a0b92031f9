"""Tests of the tree of names that exist."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.registry.published.enclosers import Enclosers

NAMES = st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map(lambda labels: ".".join([*labels, "zone"]))


class EnclosersTests(SynchronousTestCase):
    """Names come and go."""

    def setUp(self) -> None:
        """Begin with an empty zone."""
        self.tree = Enclosers("warp.example")

    def test_names_between(self) -> None:
        """With a name those between it and the zone exist, those above first."""
        appeared = self.tree.add("api.blue.warp.example")
        self.assertEqual(appeared, ["blue.warp.example", "api.blue.warp.example"])
        self.assertEqual(list(self.tree.below("warp.example")), ["blue.warp.example"])
        self.assertIn("blue.warp.example", self.tree)

    def test_with_the_last(self) -> None:
        """A name between is there as long as anything is below it, or is published there itself."""
        self.tree.add("api.blue.warp.example")
        self.assertEqual(self.tree.add("blue.warp.example"), [])
        self.assertEqual(self.tree.remove("api.blue.warp.example"), ["api.blue.warp.example"])
        self.assertEqual(self.tree.remove("blue.warp.example"), ["blue.warp.example"])

    def test_twice(self) -> None:
        """What two publish at one name, one of them may withdraw."""
        self.tree.add("edge3.warp.example")
        self.tree.add("edge3.warp.example")
        self.assertEqual(self.tree.remove("edge3.warp.example"), [])
        self.assertEqual(self.tree.remove("edge3.warp.example"), ["edge3.warp.example"])

    def test_apex(self) -> None:
        """The zone itself is always there."""
        self.assertIn("warp.example", self.tree)
        self.assertEqual(self.tree.add("warp.example"), [])
        self.assertEqual(self.tree.remove("warp.example"), [])

    def test_what_is_not_there(self) -> None:
        """Nothing is below a name that does not exist."""
        self.assertEqual(list(self.tree.below("nowhere.warp.example")), [])

    @given(st.lists(NAMES, max_size=8), st.integers(0, 8))
    def test_any_history(self, names: list[str], kept: int) -> None:
        """After any history exactly the names at and above what is published exist."""
        tree = Enclosers("zone")
        for name in names:
            tree.add(name)
        for name in names[kept:]:
            tree.remove(name)
        published = {*names[:kept], "zone"}
        for name in {".".join(text.split(".")[at:]) for text in names for at in range(text.count(".") + 1)}:
            exists = any(other == name or other.endswith(f".{name}") for other in published)
            self.assertEqual(name in tree, exists, name)
