"""Tests of what other settings change in an agent that runs."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.changes import Changes, changes
from warp_twisted.agent.settings import parse_settings

RULES = "ingress: [{service: hello-world}]"
BEFORE = parse_settings(f"state: /a\n{RULES}")


def wanted(more: str) -> Changes:
    """Compare settings with some that say more."""
    return changes(BEFORE, parse_settings(f"{more}\n{RULES}" if "state" in more else f"state: /a\n{more}\n{RULES}"))


class ChangesTests(SynchronousTestCase):
    """Keys in, keys out."""

    def test_nothing(self) -> None:
        """The same settings change nothing."""
        self.assertEqual(wanted(""), Changes(settings=BEFORE, taken=(), waits=(), needs_tunnels=False))

    def test_taken(self) -> None:
        """What can be taken is named as the file spells it; labels, edges and zone need new tunnels."""
        for more, key, needs_tunnels in (
            ("drain: 3", "drain", False),
            ("spread: 3", "spread", False),
            ("log: {level: debug}", "log.level", False),
            ("labels: {a: b}", "labels", True),
            ("edges: ['192.0.2.1:7844']", "edges", True),
            ("zone: warp.example", "zone", True),
        ):
            found = wanted(more)
            self.assertEqual((found.taken, found.waits, found.needs_tunnels), ((key,), (), needs_tunnels))

    def test_waits(self) -> None:
        """What waits for a restart keeps its value until then, and so is named at each reload."""
        found = wanted("state: /b\ntunnels: 7\nmetrics: tcp:0\ndrain: 3")
        self.assertEqual((found.taken, found.waits), (("drain",), ("state", "tunnels", "metrics")))
        kept = found.settings
        self.assertEqual((kept.state, kept.tunnels, kept.metrics, kept.drain_seconds), ("/a", 4, None, 3.0))
