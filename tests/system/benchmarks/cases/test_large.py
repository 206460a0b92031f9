"""`benchmarks.cases.large` with sixteen tunnels."""

import dataclasses
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import results as names
from benchmarks.bench import QUICK, Bench
from benchmarks.cases import large
from benchmarks.errors import ProgramFailed
from benchmarks.processes import raise_file_limit
from benchmarks.targets import WARP

_SCALE = dataclasses.replace(QUICK, large_tunnels=16, large_hostnames=6, large_idle_seconds=0.3)


class LargeTests(SynchronousTestCase):
    """The phases, on an edge and agents of their own."""

    def _bench(self, file_limit: int) -> Bench:
        # trial's own directories are too deep for the path of a unix socket.
        directory = tempfile.TemporaryDirectory(prefix="warp-test-")
        self.addCleanup(directory.cleanup)
        return Bench(
            directory=Path(directory.name), scale=_SCALE, file_limit=file_limit, peers=[WARP], tell=lambda text: None
        )

    def test_phases(self) -> None:
        """Each phase has its figures, and nobody waits for an answer in vain."""
        self.patch(large, "_PAUSE_SECONDS", 0.1)
        bench = self._bench(raise_file_limit())
        large.measure(bench)

        def value(phase: str, metric: str) -> float:
            return bench.results.value("large", phase, WARP, metric)

        self.assertEqual(value(names.REGISTRATION, names.TUNNELS), 16)
        self.assertGreater(value(names.REGISTRATION, names.REGISTERED_P99), 0)
        self.assertGreater(value(names.REGISTRATION, names.CPU_OF_LAST), 0)
        self.assertGreaterEqual(value(names.REST, names.IDLE_EDGE), 0)
        self.assertGreater(value("/v1/status", "answer KiB"), 1)
        self.assertGreater(value("/v1/records", "answer KiB"), 0.5)
        self.assertGreater(value("/v1/status", names.HELD), 0)
        self.assertGreaterEqual(value(names.LOSS, names.QUIET), 0)
        for phase in (names.REGISTRATION, names.REST, "/v1/status", "/v1/records", names.LOSS):
            self.assertEqual(value(phase, names.WAIT_ERRORS), 0)
            self.assertGreater(value(phase, names.WAIT_LONGEST), 0)

    def test_too_few_files(self) -> None:
        """Where not enough files may be open it is said before anything is started."""
        bench = self._bench(file_limit=100)
        self.assertIn("open files are needed", str(self.assertRaises(ProgramFailed, large.measure, bench)))
        self.assertEqual(list(bench.directory.iterdir()), [])
