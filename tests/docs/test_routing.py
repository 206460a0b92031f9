"""Tests that docs/routing.md shows splits that can be used, and says what the code does."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.docs.test_yaml_examples import blocks
from warp_twisted.edge.exchange import mirroring
from warp_twisted.edge.routes.mirror_counters import MirrorMetrics, Unanswered
from warp_twisted.edge.routes.share_counters import MAX_SHARES, ShareMetrics
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.routing.table import RoutingTable

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "routing.md"


class RoutingDocumentTests(SynchronousTestCase):
    """docs/routing.md; its commands are run by tests.docs.test_examples."""

    def setUp(self) -> None:
        self.text = _DOCUMENT.read_text()

    def test_splits(self) -> None:
        """Each example is a policy that edges can use."""
        found = [RoutingTable(parse_policy(text, "docs/routing.md").routing) for text in blocks(_DOCUMENT)]
        self.assertEqual([len(each.splits) for each in found], [1, 1, 1, 1, 1, 1])
        first = found[0].splits[0]
        assert first.cookie is not None
        self.assertEqual((first.layout(0).parts, first.cookie.name), ([0.9, 0.1], b"warp_route"))
        self.assertEqual(found[1].splits[0].tier([1, 2], [4, 2]), 1)
        whole, testing, mirrored, guarded = (each.splits[0] for each in found[2:])
        self.assertEqual((whole.needs_health, whole.names), (True, ("",)))
        assert testing.testers is not None
        assert mirrored.mirror is not None
        self.assertEqual(guarded.guarded, 1)

    def test_cookie(self) -> None:
        """The attributes are those that are sent."""
        (split, *_) = RoutingTable(parse_policy(next(iter(blocks(_DOCUMENT))), "docs/routing.md").routing).splits
        assert split.cookie is not None
        told = split.cookie.plain.decode().replace(str(split.cookie.ttl_seconds), "TTL")
        self.assertIn(f"`Set-Cookie: NAME=…{told}`", self.text)

    def test_metrics(self) -> None:
        """The metrics have these names, and this bound."""
        for family in ShareMetrics().collect():
            self.assertIn(f"`{family.name}{'_total' if family.type == 'counter' else ''}`", self.text)
        for family in MirrorMetrics().collect():
            self.assertIn(f"`{family.name}{'_total' if family.type == 'counter' else ''}`", self.text)
        mirror = self.text.split("## A mirror")[1].split("\n## ")[0]
        for reason in Unanswered:
            self.assertIn(f"`{reason.value}`", mirror)
        for bound in (
            f"has {mirroring.SECONDS:.0f} s",
            f"{mirroring.COPIES} copies",
            f"{mirroring.COPIES_OF_ALL:,} on",
        ):
            self.assertIn(bound, mirror)
        self.assertIn(f"{MAX_SHARES} shares", self.text)
        for name in ("warp_edge_guard_verdict", "warp_edge_guard_worse_total"):
            self.assertIn(f"`{name}`", self.text)
