"""Tests for .ci/run: every step is taken, and the last line adds up what they came to."""

import os
import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent


class CiTests(SynchronousTestCase):
    """The script, in a directory whose Makefile does what the test says."""

    def run_ci(self, limit: str = "1m", **targets: str) -> tuple[int, list[str]]:
        """
        Run CI.

        A fresh machine is not due, unless the targets say so.

        :param limit: of each step.
        :param targets: make target → its recipe.
        :returns: exit status and lines.
        """
        directory = Path(self.mktemp())
        (directory / ".ci").mkdir(parents=True)
        shutil.copy(ROOT / ".ci" / "run", directory / ".ci" / "run")
        targets = {"fresh_is_due": "false", "fresh": "echo fresh", **targets}
        recipes = "".join(f"{name.replace('_', '-')}:\n\t@{recipe}\n" for name, recipe in targets.items())
        (directory / "Makefile").write_text(f".PHONY: {' '.join(targets).replace('_', '-')}\n{recipes}")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
        environment["WARP_CI_LIMIT"] = limit
        done = subprocess.run([directory / ".ci" / "run"], env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines()

    def test_all_is_well(self) -> None:
        """The last line is that of the tests, with CI set for them, and the status is 0."""
        status, lines = self.run_ci(
            test='echo "CI=$$CI"; echo "5 passed, 0 failed, 0 skipped"',
            check="echo fine",
            test_fleet='echo "2 passed, 0 failed, 0 skipped"',
        )
        self.assertEqual((status, lines[-1]), (0, "7 passed, 0 failed, 0 skipped"))
        self.assertIn("CI=true", lines)
        self.assertIn("fine", lines)
        self.assertNotIn("fresh", lines)

    def test_fresh_takes_the_place_of_test_and_check(self) -> None:
        """When a fresh machine is due, it is tried instead, with CI set for it; its failures are counted once."""
        for status, counts in ((0, "5 passed, 0 failed, 0 skipped"), (1, "5 passed, 2 failed, 0 skipped")):
            code, lines = self.run_ci(
                fresh_is_due="true",
                fresh=f'echo "CI=$$CI"; echo "4 passed, 0 failed, 0 skipped"; echo "{counts}"; exit {status}',
                test="echo tested",
                check="echo checked",
                test_fleet='echo "2 passed, 0 failed, 0 skipped"',
            )
            self.assertEqual((code, lines[-1]), (status, counts.replace("5", "7")))
            self.assertIn("CI=true", lines)
            self.assertFalse({"tested", "checked"} & set(lines))

    def test_fleet_is_added(self) -> None:
        """The counts of the tests on hosts are added to those of the tests."""
        status, lines = self.run_ci(
            test='echo "5 passed, 0 failed, 1 skipped"; exit 1',
            check="true",
            test_fleet='echo "2 passed, 3 failed, 0 skipped"; exit 1',
        )
        self.assertEqual((status, lines[-1]), (1, "7 passed, 3 failed, 1 skipped"))

    def test_failure_does_not_hide_the_rest(self) -> None:
        """A step that fails without counts is one failure, and the steps after it are taken all the same."""
        status, lines = self.run_ci(
            test="exit 2", check="echo checked; exit 1", test_fleet='echo "1 passed, 0 failed, 0 skipped"'
        )
        self.assertEqual((status, lines[-1]), (1, "1 passed, 2 failed, 0 skipped"))
        self.assertIn("checked", lines)

    def test_a_step_that_hangs_is_ended(self) -> None:
        """A step above its limit is one failure, and those after it are taken."""
        status, lines = self.run_ci(
            limit="2s",
            test="echo begun; sleep 60",
            check="echo checked",
            test_fleet='echo "1 passed, 0 failed, 0 skipped"',
        )
        self.assertEqual((status, lines[-1]), (1, "1 passed, 1 failed, 0 skipped"))
        self.assertIn("begun", lines)
        self.assertIn("== not ended in 2s: make test", lines)
        self.assertIn("checked", lines)
