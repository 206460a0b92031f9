"""`benchmarks.merge`: several runs as one."""

import contextlib
import io
import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import results as names
from benchmarks.merge import main, merge, read
from benchmarks.readme import BEGIN, END
from benchmarks.report import Circumstances, as_json
from benchmarks.results import Results
from benchmarks.targets import connections, judge


def _run(warp: list[float], haproxy: float) -> Results:
    results = Results()
    results.add("keepalive", connections(128), "Warp", {names.REQUESTS: warp})
    results.add("keepalive", connections(128), "HAProxy", {names.REQUESTS: haproxy})
    return results


def _written(results: Results) -> str:
    circumstances = Circumstances(
        began="2026-11-22T18:00:00+00:00",
        seconds=1,
        command="python -m benchmarks",
        revision="c8f",
        machine={},
        versions={},
    )
    return as_json(circumstances, results, judge(results))


class MergeTests(SynchronousTestCase):
    """Joined runs."""

    def test_medians_of_runs(self) -> None:
        """Each run counts once, with the median of its rounds."""
        merged = merge([_run([1, 2, 90], 10), _run([4], 10), _run([6, 6], 30)])
        figure = merged.figure("keepalive", connections(128), "Warp", names.REQUESTS)
        self.assertEqual((figure.samples, figure.value), ((2, 4, 6), 4))

    def test_read_what_was_written(self) -> None:
        """A file has everything that its run measured."""
        results = _run([1, 2, 90], 10)
        results.failures["tls"] = ["why"]
        self.assertEqual(read(_written(results)).results, results)

    def test_other_files(self) -> None:
        """A file of the DNS benchmark is known as such; anything else is refused."""
        self.assertEqual(read('{"servers": {"Knot": {}}}').dns, {"servers": {"Knot": {}}})
        self.assertRaises(ValueError, read, '{"hello": 1}')


class CommandTests(SynchronousTestCase):
    """The command on files."""

    def setUp(self) -> None:
        """Write three runs."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.files = []
        for number, (warp, haproxy) in enumerate(((30, 100), (90, 100), (50, 100))):
            path = self.directory / f"{number}.json"
            path.write_text(_written(_run([warp], haproxy)))
            self.files.append(str(path))

    def _call(self, *arguments: str) -> tuple[int, str, str]:
        with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(io.StringIO()) as errors:
            status = main([*arguments, *self.files])
        return status, output.getvalue(), errors.getvalue()

    def test_printed(self) -> None:
        """The report names the runs and has medians with their spread, for targets and cases."""
        status, printed, _ = self._call()
        self.assertEqual(status, 0)
        self.assertEqual(printed.count("- `python -m benchmarks` at c8f"), 3)
        self.assertIn("| 0.500 | 0.300 to 0.900 |", " ".join(printed.split()))
        self.assertIn("| 50 ±60% |", " ".join(printed.split()))

    def test_readme(self) -> None:
        """The table between the marks is replaced, and nothing else."""
        readme = self.directory / "README.md"
        readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
        status, _, _ = self._call("--readme", str(readme), "--output", str(self.directory / "out.md"))
        text = readme.read_text()
        self.assertEqual(status, 0)
        self.assertTrue(text.startswith(f"before\n{BEGIN}\n\n| what"))
        self.assertTrue(text.endswith(f"|\n\n{END}\nafter\n"))
        self.assertIn("| 50/s (30 to 90) |", text)
        self.assertNotIn("old", text)
        self.assertIn("# Benchmarks, several runs", (self.directory / "out.md").read_text())

    def test_no_place(self) -> None:
        """A file without the marks stays as it is, and the command fails with one line."""
        readme = self.directory / "README.md"
        readme.write_text("nothing here\n")
        status, _, error = self._call("--readme", str(readme))
        self.assertEqual((status, readme.read_text()), (1, "nothing here\n"))
        self.assertEqual(len(error.splitlines()), 1)

    def test_bad_file(self) -> None:
        """A file that is no run is refused with one line."""
        (self.directory / "0.json").write_text(json.dumps({"figures": [{"odd": 1}], "circumstances": {}}))
        status, _, error = self._call()
        self.assertEqual((status, len(error.splitlines())), (1, 1))
