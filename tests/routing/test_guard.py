"""Tests of `warp_twisted.routing.guard`."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.routing.guard import REMEMBERED_WINDOWS, Finding, Guard, Limits, Verdict, compare
from warp_twisted.routing.latencies import BUCKETS, bucket_of
from warp_twisted.routing.window import Counts, Moment

LIMITS = Limits(error_ratio=0.02, p99=1.5, seconds=60.0, minimum=100)


class Share:
    """Counters that grow."""

    def __init__(self) -> None:
        self.requests = self.errors = 0
        self.latencies = [0] * BUCKETS

    def answer(self, count: int, errors: int = 0, seconds: float = 0.01, slow: int = 0) -> "Share":
        """Count some requests; of them some errors, and some that took ten times as long."""
        self.requests += count
        self.errors += errors
        self.latencies[bucket_of(seconds)] += count - slow
        self.latencies[bucket_of(10 * seconds)] += slow
        return self

    @property
    def counts(self) -> Counts:
        """What is counted until now."""
        return Counts(self.requests, self.errors, list(self.latencies))


def judged(share: Share, others: Share, limits: Limits = LIMITS) -> Verdict:
    """Return what is said of a window."""
    return compare(limits, share.counts, others.counts).verdict


class CompareTests(SynchronousTestCase):
    """Two shares in one window."""

    def setUp(self) -> None:
        self.others = Share().answer(900, errors=9)

    def test_minimum(self) -> None:
        """With fewer requests than the minimum, on either side, nothing is known, whatever they came to."""
        few = Share().answer(99, errors=99)
        self.assertEqual(judged(few, self.others), Verdict.UNDECIDED)
        self.assertEqual(compare(LIMITS, few.counts, self.others.counts).reason, "it had 99 of 100 requests in 60 s")
        self.assertEqual(judged(Share().answer(900), few), Verdict.UNDECIDED)
        self.assertEqual(judged(Share().answer(100), self.others), Verdict.BETTER)

    def test_errors(self) -> None:
        """Errors within the limit are as good; beyond it and beyond chance they are worse; between is undecided."""
        for errors, expected in ((0, "better"), (3, "better"), (5, "undecided"), (12, "worse"), (100, "worse")):
            self.assertEqual(judged(Share().answer(100, errors), self.others).value, expected, errors)
        self.assertEqual(judged(Share().answer(10_000, 500), self.others), Verdict.WORSE)  # 5 % of many is no chance
        reason = compare(LIMITS, Share().answer(100, 12).counts, self.others.counts).reason
        self.assertEqual(reason, "errors 12.0%, of the others 1.0%")

    def test_all_fail(self) -> None:
        """Where the others fail as well, the release is not to blame."""
        self.assertEqual(judged(Share().answer(100, 50), Share().answer(900, 460)), Verdict.BETTER)

    def test_latency(self) -> None:
        """Slowness within the limit is as good, beyond it worse; one slow request of a hundred may be chance."""
        for seconds, expected in ((0.005, "better"), (0.011, "better"), (0.014, "better"), (0.02, "worse")):
            self.assertEqual(judged(Share().answer(300, 0, seconds), self.others).value, expected, seconds)
        for slow, expected in ((1, "better"), (3, "undecided"), (6, "worse")):
            self.assertEqual(judged(Share().answer(100, 0, 0.01, slow), self.others).value, expected, slow)
        unasked = Limits(error_ratio=0.02, p99=None, seconds=60.0, minimum=100)
        self.assertEqual(judged(Share().answer(300, 0, 5.0), self.others, unasked), Verdict.BETTER)

    def test_upgrades(self) -> None:
        """Upgrades have no length of time, so a few others beside them say nothing."""
        upgrades = Counts(500, 0, Share().answer(5, 0, 9.0).latencies)
        self.assertEqual(compare(LIMITS, upgrades, self.others.counts).verdict, Verdict.BETTER)

    def test_false_alarms(self) -> None:
        """Two equal shares, with errors at the limit's height, are judged worse less than once in 1,000 windows."""
        random = Random(7)
        worse = 0
        for _ in range(2_000):
            share, others = ([random.random() < 0.02 for _ in range(count)] for count in (100, 900))
            verdict = judged(Share().answer(100, sum(share)), Share().answer(900, sum(others)))
            worse += verdict is Verdict.WORSE
        self.assertLess(worse, 2)

    @given(st.integers(100, 10_000), st.floats(0, 1), st.floats(0, 1), st.integers(100, 10_000))
    def test_any(self, requests: int, bad: float, slow: float, others: int) -> None:
        """Of shares alike in errors and slowness none is worse; and more errors never make a verdict milder."""

        def share(of: int, part: float) -> Share:
            return Share().answer(of, int(of * part), 0.01, int(of * slow))

        alike = share(requests * others, 0.0), share(requests, 0.0)
        self.assertIsNot(judged(*alike), Verdict.WORSE)
        order = [Verdict.BETTER, Verdict.UNDECIDED, Verdict.WORSE]
        found = [order.index(judged(share(requests, part), share(others, 0.0))) for part in (bad / 2, bad)]
        self.assertEqual(found, sorted(found))


class GuardTests(SynchronousTestCase):
    """One share over time."""

    def setUp(self) -> None:
        self.guard = Guard(LIMITS)
        self.share, self.others = Share(), Share()
        self.now = 0.0

    def look(self, *, is_healthy: bool = True, is_awaited: bool = True, is_ejected: bool = False) -> Finding:
        """Look at what is counted."""
        moment = Moment(self.now, self.share.counts, self.others.counts)
        return self.guard.look(moment, is_healthy=is_healthy, is_awaited=is_awaited, is_ejected=is_ejected)

    def run_for(self, seconds: int, share: tuple[int, int], others: tuple[int, int]) -> list[str]:
        """Let each second bring requests and errors; return the verdicts in the order in which they came."""
        found: list[str] = []
        for _ in range(seconds):
            self.share.answer(*share)
            self.others.answer(*others)
            self.now += 1.0
            verdict = self.look().verdict.value
            if not found or found[-1] != verdict:
                found.append(verdict)
        return found

    def test_within_its_window(self) -> None:
        """A release that begins to fail is found out within its window, whatever it did before."""
        self.look()
        self.assertEqual(self.run_for(600, (5, 0), (45, 0)), ["undecided", "better"])
        self.assertEqual(self.run_for(60, (5, 1), (45, 0))[-1], "worse")

    def test_forgotten(self) -> None:
        """What was before the window does not count: a release that is repaired is better again."""
        self.look()
        self.assertEqual(self.run_for(120, (5, 2), (45, 0))[-1], "worse")
        self.assertEqual(self.run_for(70, (5, 0), (45, 0))[-1], "better")

    def test_counted_before(self) -> None:
        """What the counters had when the guard began is not held against a share."""
        self.share.answer(1_000, 1_000)
        self.assertEqual(self.look().verdict, Verdict.UNDECIDED)
        self.assertEqual(self.run_for(120, (5, 0), (45, 0))[-1], "better")

    def test_after_all_of_it(self) -> None:
        """With all requests a share is judged by what the others did last, for a while; then nothing is known."""
        self.look()
        self.run_for(120, (5, 0), (45, 0))
        self.assertEqual(self.run_for(120, (50, 0), (0, 0)), ["better"])
        self.assertEqual(self.run_for(60, (50, 5), (0, 0))[-1], "worse")
        self.assertEqual(
            self.run_for(REMEMBERED_WINDOWS * 60, (50, 0), (0, 0)), ["worse", "undecided", "better", "undecided"]
        )

    def test_next_shift(self) -> None:
        """The guard of the next shift knows what the others did in the last one, and nothing of the share."""
        self.look()
        self.run_for(120, (5, 2), (45, 0))
        before, self.guard = self.guard, Guard(LIMITS)
        self.guard.remember_others_of(before)
        self.assertEqual(self.look().verdict, Verdict.UNDECIDED)
        self.assertEqual(self.run_for(60, (50, 0), (0, 0)), ["undecided", "better"])
        self.assertEqual(self.run_for(60, (50, 5), (0, 0))[-1], "worse")

    def test_counters_anew(self) -> None:
        """Counters that begin anew are a new beginning: nothing is held against the share, or for it."""
        self.look()
        self.run_for(120, (5, 0), (45, 0))
        self.share, self.others = Share(), Share()
        self.assertEqual(self.look().verdict, Verdict.UNDECIDED)

    def test_never_healthy(self) -> None:
        """A share that should be healthy and never was, for a whole window, is worse."""
        for self.now in range(60):
            self.assertEqual(self.look(is_healthy=False).verdict, Verdict.UNDECIDED)
        self.now = 60.0
        found = self.look(is_healthy=False)
        self.assertEqual(found, Finding(Verdict.WORSE, "none of its tunnels became healthy in 60 s"))

    def test_ejected(self) -> None:
        """A share whose origins all fail is worse after a window without a good answer, however few requests it had."""
        for limits, seconds in ((LIMITS, 60), (structs.replace(LIMITS, seconds=10.0), 15)):
            self.guard, self.now = Guard(limits), 0.0
            self.look()
            for _ in range(2):
                for _ in range(seconds):
                    self.now += 1.0
                    self.assertEqual(self.look(is_ejected=True).verdict, Verdict.UNDECIDED)
                self.now += 1.0
                self.assertEqual(self.look().verdict, Verdict.UNDECIDED)  # a good answer: it begins anew
            for _ in range(seconds + 1):
                self.now += 1.0
                found = self.look(is_ejected=True)
            reason = f"all of its origins fail, and none has given a good answer in {seconds} s"
            self.assertEqual(found, Finding(Verdict.WORSE, reason))

    def test_ejected_before_the_first_look(self) -> None:
        """A share whose origins failed before anybody looked was healthy once: it is judged by that they fail."""
        for _ in range(61):
            found = self.look(is_healthy=False, is_ejected=True)
            self.now += 1.0
        self.assertIn("all of its origins fail", found.reason)

    def test_healthy_once(self) -> None:
        """One that was healthy is judged by its answers, and one that nobody waits for not by its absence."""
        self.look()
        for self.now in range(600):
            self.assertEqual(self.look(is_healthy=False).verdict, Verdict.UNDECIDED)
        self.guard = Guard(LIMITS)
        for self.now in range(600):
            self.assertEqual(self.look(is_healthy=False, is_awaited=False).verdict, Verdict.UNDECIDED)
