"""Tests of `warp_twisted.edge.routing.elsewhere`."""

from types import SimpleNamespace
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from tests.operations import count_operations
from warp_twisted.edge.routing.elsewhere import KEPT_SECONDS, LOOKED_AT, MAX_KEPT, Elsewhere
from warp_twisted.names import Hostname
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Tunnel
from warp_twisted.routing.split import Split
from warp_twisted.routing.table import RoutingTable

A = Hostname("a.example")
CANARY = 1


def split_of(hostname: str = "a.example", weight: int = 9) -> Split:
    """Return a split with a canary."""
    text = f"routing: [{{hostname: '{hostname}', split: [{{selector: r=stable, weight: {weight}}}, "
    return RoutingTable(parse_policy(text + "{selector: r=canary, weight: 1}]}]", "p").routing).splits[0]


def tunnel(**changes: Any) -> Tunnel:
    """Return a tunnel of the canary at another edge."""
    wanted = {"edge": "edge2", "hostnames": (A,), "labels": {"r": "canary"}, **changes}
    return Tunnel(id="t", agent="a", slot=0, **wanted)


class ElsewhereTests(SynchronousTestCase):
    """What other edges have."""

    def setUp(self) -> None:
        self.tunnels: dict[str, Tunnel] = {}
        self.elsewhere = Elsewhere(cast(Mirror, SimpleNamespace(tunnels=self.tunnels)), "edge1")

    def answer(self, value: Tunnel, split: Split | None = None) -> bool:
        """Ask of a fleet with one tunnel."""
        self.tunnels["t"] = value
        self.elsewhere = Elsewhere(cast(Mirror, SimpleNamespace(tunnels=self.tunnels)), "edge1")
        return self.ask(split)

    def ask(self, split: Split | None = None, now: float = 0.0, share: int = CANARY) -> bool:
        """Look, if that is due, and return the answer."""
        split = split or split_of()
        for _ in self.elsewhere.look(split, share, now):
            pass
        return self.elsewhere.is_healthy(split, share)

    def test_what_counts(self) -> None:
        """A tunnel of the share counts, at another edge, that takes requests and whose origin is healthy."""
        self.assertFalse(self.ask())
        self.assertTrue(self.answer(tunnel()))
        self.assertTrue(self.answer(tunnel(hostnames=(Hostname("x.example"), A))))
        self.assertTrue(self.answer(tunnel(), split_of("*.example")))
        for changes in (
            {"edge": "edge1"}, {"draining": True}, {"failing": (A,)}, {"labels": {"r": "stable"}},
            {"hostnames": (Hostname("x.example"),)},
        ):  # fmt: skip
            self.assertFalse(self.answer(tunnel(**changes)), changes)

    def test_kept(self) -> None:
        """An answer is kept for some seconds, of each split by itself, and there are not too many."""
        self.assertTrue(self.answer(tunnel()))
        self.tunnels.clear()
        self.assertTrue(self.ask(now=KEPT_SECONDS - 1))
        self.assertFalse(self.ask(split_of(weight=8), KEPT_SECONDS - 1))
        self.assertFalse(self.ask(now=KEPT_SECONDS))
        split = split_of()
        for number in range(2 * MAX_KEPT):
            self.ask(split, share=number)
        self.assertLessEqual(len(self.elsewhere._kept), MAX_KEPT)

    def test_many_tunnels(self) -> None:
        """Thousands of tunnels are looked at in steps, and not again for some seconds."""
        self.tunnels.update({str(number): tunnel(labels={"r": "stable"}) for number in range(1_000)})
        split = split_of()
        looking = self.elsewhere.look(split, CANARY, 0.0)
        found: list[object] = []
        while "over" not in found:
            self.assertLess(count_operations(lambda: found.append(next(looking, "over"))), LOOKED_AT * 120)
        steps = len(found) - 1
        self.assertEqual(steps, -(-1_000 // LOOKED_AT))
        self.assertEqual(list(self.elsewhere.look(split, CANARY, 1.0)), [])
