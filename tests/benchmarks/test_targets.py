"""`benchmarks.targets`: which figures are enough."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import results as names
from benchmarks.results import Results
from benchmarks.targets import HAPROXY, NGINX, SSH, WARP, connections, judge


def _verdicts(results: Results) -> dict[str, str]:
    return {judgement.target.sentence: judgement.verdict for judgement in judge(results)}


class JudgeTests(SynchronousTestCase):
    """Verdicts on results."""

    def test_nothing_measured(self) -> None:
        """Without figures no target is met or missed."""
        self.assertEqual(set(_verdicts(Results()).values()), {"not measured"})

    def test_ratios(self) -> None:
        """A share is judged against the peer of the same load; the limit itself is enough."""
        results = Results()
        for peer, rate in ((HAPROXY, 100_000), (SSH, 10_001), (WARP, 30_000)):
            results.add("keepalive", connections(32), peer, {names.REQUESTS: rate})
        verdicts = _verdicts(results)
        self.assertEqual(verdicts["requests/s at 32 connections, as a share of HAProxy's"], "met")
        self.assertEqual(verdicts["requests/s at 32 connections, as a share of ssh -R's"], "**not met**")
        self.assertEqual(verdicts["requests/s at 128 connections, as a share of HAProxy's"], "not measured")

    def test_peer_that_did_nothing(self) -> None:
        """A share of nothing is not a figure."""
        results = Results()
        results.add("keepalive", connections(32), SSH, {names.REQUESTS: 0})
        results.add("keepalive", connections(32), WARP, {names.REQUESTS: 30_000})
        self.assertEqual(_verdicts(results)["requests/s at 32 connections, as a share of ssh -R's"], "not measured")

    def test_added_latency(self) -> None:
        """Latency is what Warp adds to nginx's own."""
        results = Results()
        results.add("keepalive", connections(1), NGINX, {names.P50: 0.055})
        results.add("keepalive", connections(1), WARP, {names.P50: 0.406})
        self.assertEqual(_verdicts(results)["median latency at 1 connection above nginx direct, ms"], "**not met**")

    def test_moved_median(self) -> None:
        """The crowd's effect is in per cent of the median without it."""
        results = Results()
        results.add("slow-crowd", "alone", WARP, {names.P50: 1.0})
        results.add("slow-crowd", "beside slow visitors", WARP, {names.P50: 1.19})
        self.assertEqual(_verdicts(results)["the others' median moved by slow visitors, %"], "met")
