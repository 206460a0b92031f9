"""Tests of counting the tunnels behind one hostname."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.registry.published.application import Application
from warp_twisted.registry.published.labels import NO_LABELS, PublishedLabels

STABLE = PublishedLabels.of({"release": "stable"})
CANARY = PublishedLabels.of({"release": "canary"})


class ApplicationTests(SynchronousTestCase):
    """Tunnels are counted on and off."""

    def setUp(self) -> None:
        """Begin with one tunnel."""
        self.application = Application()
        self.first = self.application.count("edge1", 1, STABLE)

    def test_first(self) -> None:
        """The first tunnel changes the hostname and its label's name."""
        self.assertEqual(self.first, {"", "stable.release"})
        self.assertEqual(self.application.values, {"release": {"stable": 1}})
        self.assertEqual(self.application.texts[0], ["release=stable"])

    def test_another_of_the_same(self) -> None:
        """A second tunnel to the same edge with the same labels changes nothing, nor does the end of one of both."""
        self.assertEqual(self.application.count("edge1", 1, STABLE), set())
        self.assertEqual(self.application.count("edge1", -1, STABLE), set())

    def test_another_edge(self) -> None:
        """One to another edge changes both names, as their addresses change."""
        self.assertEqual(self.application.count("edge2", 1, STABLE), {"", "stable.release"})

    def test_health(self) -> None:
        """A tunnel whose origin is not healthy is counted, but not as well; what becomes of it is counted alone."""
        self.assertEqual(self.application.count("edge2", 1, CANARY, is_well=False), {"", "canary.release"})
        self.assertEqual((set(self.application.edges), set(self.application.well)), ({"edge1", "edge2"}, {"edge1"}))
        self.assertEqual(self.application.count_well("edge1", -1, STABLE), {"", "stable.release"})
        self.assertEqual(self.application.count_well("edge2", 1, CANARY), {"", "canary.release"})
        self.assertEqual(self.application.labelled_well, {"canary.release": {"edge2": 1}})
        self.application.count("edge1", 1, STABLE)
        self.assertEqual(self.application.count_well("edge1", 1, STABLE), set())

    def test_another_label_set(self) -> None:
        """Another label set changes the hostname's texts and its own label's name."""
        self.assertEqual(self.application.count("edge1", 1, CANARY), {"", "canary.release"})
        self.assertEqual(self.application.values, {"release": {"stable": 1, "canary": 1}})

    def test_no_labels(self) -> None:
        """A tunnel without labels has no text."""
        self.application.count("edge1", 1, NO_LABELS)
        self.assertEqual(self.application.texts[0], ["release=stable"])

    def test_last(self) -> None:
        """With the last tunnel nothing is left."""
        self.application.count("edge1", -1, STABLE)
        self.assertEqual((self.application.edges, self.application.labelled, self.application.values), ({}, {}, {}))
        self.assertEqual((self.application.well, self.application.labelled_well), ({}, {}))
        self.assertEqual(len(self.application.texts), 0)
