"""`benchmarks.targets`: which figures are enough."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import results as names
from benchmarks.results import Results
from benchmarks.targets import (
    DIRECT,
    FULL_HANDSHAKE,
    HAPROXY,
    NGINX,
    NO_POLICY,
    OTHERS_POLICY,
    RELAYED,
    RESUMED_HANDSHAKE,
    STEADY,
    TARGETS,
    WARP,
    WHOLE_POLICY,
    connections,
    flooded,
    judge,
    quiet,
    varied,
)


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
        for count, rate in ((32, 30_000), (128, 29_999)):
            results.add("keepalive", connections(count), HAPROXY, {names.REQUESTS: 100_000})
            results.add("keepalive", connections(count), WARP, {names.REQUESTS: rate})
        verdicts = _verdicts(results)
        self.assertEqual(verdicts["requests/s at 32 connections, x HAProxy's"], "met")
        self.assertEqual(verdicts["requests/s at 128 connections, x HAProxy's"], "**not met**")

    def test_peer_that_did_nothing(self) -> None:
        """A share of nothing is not a figure."""
        results = Results()
        results.add("keepalive", connections(32), HAPROXY, {names.REQUESTS: 0})
        results.add("keepalive", connections(32), WARP, {names.REQUESTS: 30_000})
        self.assertEqual(_verdicts(results)["requests/s at 32 connections, x HAProxy's"], "not measured")

    def test_relays(self) -> None:
        """Relayed and direct requests are compared round by round."""
        results = Results()
        for peer, cpu, late in (
            (DIRECT, (100.0, 200.0, 100.0), (1.0, 2.0, 1.0)),
            (RELAYED, (150.0, 260.0, 190.0), (1.2, 2.1, 1.6)),
        ):
            results.add("relays", connections(1), peer, {names.CPU_PER_REQUEST: cpu, names.P50: late})
        values = {judgement.target.sentence: judgement.value for judgement in judge(results)}
        self.assertEqual(values["relayed by another edge, 1 connection: CPU of all programs, x direct"], 1.5)
        self.assertAlmostEqual(values["relayed by another edge, 1 connection: p50 above direct, ms"] or 0.0, 0.2)

    def test_both_ends(self) -> None:
        """A request's CPU is that of edge and agent; what varied heads cost is about the edge alone."""
        results = Results()
        for variant, edge in ((varied(128), 40.0), (connections(128), 30.0)):
            results.add("keepalive", variant, HAPROXY, {}, {names.CPU_PER_REQUEST: {"haproxy": 20.0}})
            results.add("keepalive", variant, WARP, {}, {names.CPU_PER_REQUEST: {"edge": edge, "agent": 15.0}})
        values = {judgement.target.sentence: judgement.value for judgement in judge(results)}
        self.assertEqual(values["heads that vary, 128 connections: CPU of edge and agent, x HAProxy's"], 2.75)
        self.assertEqual(values["identical heads, 128 connections: CPU of edge and agent, x HAProxy's"], 2.25)
        self.assertAlmostEqual(values["edge's CPU with heads that vary, x that with identical ones"] or 0, 4 / 3)

    def test_resuming(self) -> None:
        """The edge has to save at least as much as HAProxy."""
        sentence = "µs that a resumed TLS handshake saves the edge, above what it saves HAProxy"
        for saved, verdict in ((100, "met"), (99, "**not met**")):
            results = Results()
            for variant, haproxy, edge in ((FULL_HANDSHAKE, 500, 900), (RESUMED_HANDSHAKE, 400, 900 - saved)):
                results.add("connections", variant, HAPROXY, {}, {names.CPU_PER_CONNECTION: {"haproxy": haproxy}})
                results.add("connections", variant, WARP, {}, {names.CPU_PER_CONNECTION: {"edge": edge, "agent": 9}})
            self.assertEqual(_verdicts(results)[sentence], verdict)

    def test_policy(self) -> None:
        """What a policy costs is the median of the differences within each round, so that slow rounds say nothing."""
        results = Results()
        for variant, samples in (
            (NO_POLICY, (30, 50, 31)),
            (WHOLE_POLICY, (36, 56, 40)),
            (OTHERS_POLICY, (30, 51, 31)),
        ):
            results.add("policy", variant, WARP, {}, {names.CPU_PER_REQUEST: {"edge": samples, "agent": (9, 9, 9)}})
        measured = {each.target.limit: each.value for each in judge(results) if each.value is not None}
        self.assertEqual(measured, {6: 6, 0.3: 0})

    def test_floods(self) -> None:
        """Of a rate the burst may be let in besides, and the origin sees just those; a flood is judged by rounds."""
        results = Results()
        results.add("rates", "connections", WARP, {names.LET_IN: 549, names.SEEN: 549})
        results.add("rates", "requests", WARP, {names.LET_IN: 551, names.SEEN: 550})
        results.add("flood", quiet(STEADY), WARP, {names.P50: (1.0, 2.0, 3.0)})
        results.add("flood", flooded(STEADY), WARP, {names.P50: (1.1, 2.6, 3.3)})
        judged = [(each.value, each.verdict) for each in judge(results) if each.value is not None]
        self.assertEqual([value for value, _ in judged[:4]], [49, 51, 0, 1])
        self.assertEqual([verdict for _, verdict in judged], ["met", "**not met**", "met", "**not met**", "met"])
        self.assertAlmostEqual(judged[4][0] or 0.0, 10)

    def test_median_of_runs(self) -> None:
        """Of several runs the median of their ratios is judged, whatever single runs say."""
        runs = []
        for rate in (10, 35, 90):
            run = Results()
            run.add("keepalive", connections(32), HAPROXY, {names.REQUESTS: 100})
            run.add("keepalive", connections(32), WARP, {names.REQUESTS: rate})
            runs.append(run)
        (judgement,) = [each for each in judge(*runs) if each.samples]
        self.assertEqual((judgement.samples, judgement.value, judgement.verdict), ((0.1, 0.35, 0.9), 0.35, "met"))

    def test_no_target_beside_ssh(self) -> None:
        """ssh -R stalls for 40 ms at a time: being faster is no merit, so nothing is promised."""
        self.assertEqual([target.sentence for target in TARGETS if "ssh" in target.sentence], [])

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

    def test_large(self) -> None:
        """What many tunnels do to a visitor is judged by the longest wait, and a registration by how its cost grows."""
        results = Results()
        results.add("large", names.LOSS, WARP, {names.WAIT_LONGEST: 501})
        results.add("large", names.REGISTRATION, WARP, {names.CPU_OF_FIRST: 2.0, names.CPU_OF_LAST: 2.1})
        verdicts = _verdicts(results)
        self.assertEqual(verdicts["all tunnels lost at one instant: longest wait of a visitor, ms"], "**not met**")
        growth = "edge's CPU for a registration: the last 1/16 of the tunnels, x the first 1/16"
        self.assertEqual(verdicts[growth], "met")
