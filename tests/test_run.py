"""Tests of `tests.run`: the last line of `make test` says what happened, whatever happened."""

from twisted.trial.unittest import SynchronousTestCase

from tests.run import Outcome, read_outcome, verdict

_RULE = "=" * 79 + "\n"
_TRIAL = f"""\
Running 4 tests.
tests.test_thing
  ThingTests
    test_a ...                                                             [OK]
    test_b ...                                                        [SKIPPED]

{_RULE}[SKIPPED]
knotd is not installed:
apt-get install knot

tests.test_thing.ThingTests.test_b
tests.test_thing.ThingTests.test_c
{_RULE}[ERROR]
Traceback (most recent call last):

builtins.ZeroDivisionError: division by zero

tests.test_thing.ThingTests.test_d
{"-" * 79}
Ran 4 tests in 0.103s

"""


class OutcomeTests(SynchronousTestCase):
    """What is read from trial's output."""

    def test_errors_and_failures_count_as_failed(self) -> None:
        """Failures, errors and unexpected successes add up to `failed`."""
        text = _TRIAL + "FAILED (skips=2, failures=1, errors=2, unexpectedSuccesses=1, successes=7)\n"
        outcome = read_outcome(text.splitlines(keepends=True))
        self.assertEqual(outcome.line(), "7 passed, 4 failed, 2 skipped")

    def test_each_skip_carries_its_reason(self) -> None:
        """A group of skips becomes one entry a test, the reason on one line."""
        outcome = read_outcome((_TRIAL + "PASSED (skips=2, successes=1)\n").splitlines(keepends=True))
        reason = "knotd is not installed: apt-get install knot"
        self.assertEqual(
            outcome.skips,
            [("tests.test_thing.ThingTests.test_b", reason), ("tests.test_thing.ThingTests.test_c", reason)],
        )

    def test_run_without_summary_is_a_failure(self) -> None:
        """A trial that died before its totals counts as one failed test."""
        self.assertEqual(read_outcome(["Running 4 tests.\n"]).line(), "0 passed, 1 failed, 0 skipped")

    def test_summary_without_counts_is_an_empty_run(self) -> None:
        """`PASSED` alone means that nothing ran."""
        self.assertEqual(read_outcome(["PASSED\n"]).line(), "0 passed, 0 failed, 0 skipped")


class VerdictTests(SynchronousTestCase):
    """When the run as a whole succeeds."""

    def test_skip_fails_only_in_ci(self) -> None:
        """A skip is allowed on a developer's machine and refused in CI."""
        outcome = Outcome(passed=3, skipped=1)
        self.assertEqual(verdict(outcome, 0, skips_fail=False), 0)
        self.assertEqual(verdict(outcome, 0, skips_fail=True), 1)

    def test_nothing_run_is_a_failure(self) -> None:
        """A run that found no test fails, for it proved nothing."""
        self.assertEqual(verdict(Outcome(), 0, skips_fail=False), 1)

    def test_failed_trial_is_a_failure(self) -> None:
        """Trial's own exit status is never hidden."""
        self.assertEqual(verdict(Outcome(passed=3), 1, skips_fail=False), 1)
        self.assertEqual(verdict(Outcome(passed=3), 0, skips_fail=False), 0)
