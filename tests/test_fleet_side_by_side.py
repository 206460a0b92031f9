"""Tests for the tests on hosts in two halves: what is shared out, shown, counted, and ended."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.fleet.images import once
from tests.fleet.place import FleetError
from tests.fleet.side_by_side import HERE, LOOK_AT_RUNS, SECONDS, Half, Pieces, halves, run

ROOT = Path(__file__).resolve().parent.parent
_TRIAL = """
import sys, time
for module, seconds in [{modules}]:
    print(f"tests.fleet.{{module}}\\n  ThingTests\\n    test_a ...", flush=True)
    time.sleep(seconds)
    print("    [OK]", flush=True)
print("{end}")
sys.exit({status})
"""
# A run as `python -m tests.fleet.side_by_side` has it, of two trials that do not end by themselves.
_ENDLESS = """
import sys
from tests.fleet.side_by_side import Half, run
trial = "import os, time; print('tests.fleet.fleet_' + str(os.getpid()), flush=True); time.sleep(300)"
def half(name):
    return Half(name=name, command=[sys.executable, "-c", trial], environment={}, take_down=lambda: print(name, "down"))
sys.exit(run([half("one"), half("two")], skips_fail=False))
"""


class HalvesTests(SynchronousTestCase):
    """Tests for what each half is given."""

    def test_balanced(self) -> None:
        """The longest module is alone until the others have caught up; a half has the order of the alphabet."""
        shares = halves(["b", "a", "d", "c"], {"a": 10, "b": 100, "c": 50, "d": 45})
        self.assertEqual(shares, (["b"], ["a", "c", "d"]))

    def test_together(self) -> None:
        """Modules that are to be together count as one, and those that nobody asked for are not run."""
        seconds = {"a": 30, "b": 25, "c": 40, "d": 20}
        self.assertEqual(halves("abcd", seconds, together=("a", "b", "e")), (["a", "b"], ["c", "d"]))

    def test_all_are_run(self) -> None:
        """Every module of the tree is in one half; those without a figure, too."""
        modules = sorted(path.stem for path in HERE.glob("fleet_*.py"))
        one, other = halves(modules, {})
        self.assertEqual(sorted(one + other), modules)
        self.assertLessEqual(abs(len(one) - len(other)), 1)

    def test_figures_are_of_modules_that_there_are(self) -> None:
        """The table names no module that is gone, and the halves that come of it differ by a tenth at most."""
        modules = {path.stem for path in HERE.glob("fleet_*.py")}
        self.assertEqual(SECONDS.keys() - modules, set())
        one, other = (sum(SECONDS.get(name, 0) for name in share) for share in halves(modules, SECONDS, LOOK_AT_RUNS))
        self.assertLess(abs(one - other), (one + other) / 20)


class PiecesTests(SynchronousTestCase):
    """Tests for the pieces of output."""

    def test_one_piece_a_module(self) -> None:
        """A module's lines stay together; what came before the first is a piece, and so is the end."""
        pieces = Pieces()
        lines = [
            "Running\n",
            "tests.fleet.fleet_a\n",
            "  tests.fleet.fleet_b is named\n",
            "tests.fleet.fleet_b\n",
            "end\n",
        ]
        found = [pieces.take(line) for line in lines]
        self.assertEqual(found[:3], [None, (None, "Running\n"), None])
        self.assertEqual(found[3], ("fleet_a", "".join(lines[1:3])))
        self.assertEqual(pieces.rest(), ("fleet_b", "".join(lines[3:])))


class RunTests(SynchronousTestCase):
    """Tests for two trials beside each other."""

    def setUp(self) -> None:
        self.down: list[str] = []

    def half(self, name: str, modules: str, end: str, status: int = 0) -> Half:
        """Describe a half whose trial takes so long for each module."""
        program = _TRIAL.format(modules=modules, end=end, status=status)
        return Half(
            name=name,
            command=[sys.executable, "-c", program],
            environment={},
            take_down=lambda: self.down.append(name),
        )

    def run_both(self, *both: Half, skips_fail: bool = False) -> tuple[int, str]:
        """Run halves, and return the exit status and what was printed."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            status = run(both, skips_fail=skips_fail)
        return status, said.getvalue()

    def test_counts_are_added_up(self) -> None:
        """The last line has the counts of both, modules' lines are not mixed, and both fleets are taken down."""
        status, said = self.run_both(
            self.half("one", '("fleet_a", 0.2), ("fleet_b", 0.2)', "PASSED (successes=2)"),
            self.half("two", '("fleet_c", 0.3), ("fleet_d", 0.1)', "PASSED (successes=3)"),
        )
        self.assertEqual((status, said.splitlines()[-1]), (0, "5 passed, 0 failed, 0 skipped"))
        for module in ("fleet_a", "fleet_b", "fleet_c", "fleet_d"):
            self.assertIn(f"tests.fleet.{module}\n  ThingTests\n    test_a ...\n    [OK]\n", said)
        self.assertEqual(self.down, ["one", "two"])

    def test_failures_of_one_half(self) -> None:
        """A half that fails fails the run, with its output; the other half is run to its end."""
        status, said = self.run_both(
            self.half("one", '("fleet_a", 0)', "it broke here\\nFAILED (failures=1, successes=1)", 1),
            self.half("two", '("fleet_b", 0.3)', "PASSED (successes=1)"),
        )
        self.assertEqual((status, said.splitlines()[-1]), (1, "2 passed, 1 failed, 0 skipped"))
        self.assertIn("it broke here", said)

    def test_half_that_dies(self) -> None:
        """A half without a summary is a failure, and so is a half in which nothing passed."""
        good = self.half("two", '("fleet_b", 0)', "PASSED (successes=1)")
        status, said = self.run_both(self.half("one", '("fleet_a", 0)', "Killed", 137), good)
        self.assertEqual((status, said.splitlines()[-1]), (1, "1 passed, 1 failed, 0 skipped"))
        status, _ = self.run_both(self.half("one", '("fleet_a", 0)', "PASSED"), good)
        self.assertEqual(status, 1)

    def test_skips_fail_in_ci(self) -> None:
        """A skip fails the run where that is asked for."""
        both = (
            self.half("one", '("fleet_a", 0)', "PASSED (skips=1, successes=1)"),
            self.half("two", '("fleet_b", 0)', "PASSED (successes=1)"),
        )
        self.assertEqual(self.run_both(*both)[0], 0)
        self.assertEqual(self.run_both(*both, skips_fail=True)[0], 1)

    def test_fleet_that_cannot_be_taken_down(self) -> None:
        """It is said, and a failure; the other one is taken down all the same."""

        def stuck() -> None:
            raise FleetError("processes do not end")

        good = self.half("two", '("fleet_b", 0)', "PASSED (successes=1)")
        one = self.half("one", '("fleet_a", 0)', "PASSED (successes=1)")
        bad = Half(name=one.name, command=one.command, environment={}, take_down=stuck)
        status, said = self.run_both(bad, good)
        self.assertEqual((status, said.splitlines()[-1]), (1, "2 passed, 1 failed, 0 skipped"))
        self.assertIn("one was not taken down: processes do not end", said)
        self.assertEqual(self.down, ["two"])

    def test_interrupted(self) -> None:
        """An interrupt and a termination end both trials, take both fleets down, and leave a line of counts."""
        for number in (signal.SIGINT, signal.SIGTERM):
            program = subprocess.Popen(
                [sys.executable, "-u", "-c", _ENDLESS], cwd=ROOT, stdout=subprocess.PIPE, text=True
            )
            assert program.stdout is not None
            self.addCleanup(program.stdout.close)
            begun = [program.stdout.readline() for _ in range(2)]
            pids = [int(line.rsplit("_", 1)[1]) for line in begun]
            program.send_signal(number)
            rest = program.stdout.read()
            self.assertEqual(program.wait(), 1, rest)
            self.assertIn("one down\ntwo down\n", rest)
            self.assertRegex(rest.splitlines()[-1], r"0 passed, [1-9] failed, 0 skipped")
            for pid in pids:
                self.assertRaises(ProcessLookupError, os.kill, pid, 0)


class OnceTests(SynchronousTestCase):
    """Tests for what two fleets want at once."""

    def test_one_of_two_makes_it(self) -> None:
        """Whoever comes second waits for the first, and finds it made."""
        place = Path(self.mktemp())
        program = (
            "import sys, time; from pathlib import Path; from tests.fleet.images import once\n"
            "def build(scratch): (scratch / 'made').write_text('x'); time.sleep(0.3); print('built')\n"
            "once(Path(sys.argv[1]) / 'tree', build)"
        )
        both = [
            subprocess.Popen(
                [sys.executable, "-c", program, str(place.resolve())], cwd=ROOT, stdout=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        said = [one.communicate()[0] for one in both]
        self.assertEqual(sorted(said), ["", "built\n"])
        self.assertTrue(once(place / "tree", lambda scratch: None).joinpath("made").exists())
        self.assertEqual([path.name for path in place.iterdir()], ["tree"])
