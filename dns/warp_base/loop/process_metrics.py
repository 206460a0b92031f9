"""
What a process takes of its machine, as Prometheus' own client libraries name it: `process_*`, from /proc.

`prometheus_client.ProcessCollector` was rejected: it lists the file descriptors in one piece, 15 ms of 20,000, which
everybody would wait for.
"""

import os
import resource
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import process_time

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

COUNTED_IN_A_STEP = 500  # file descriptors, 0.4 ms
_PROC = Path("/proc")
_START_FIELD = 22  # of proc_pid_stat(5), counted from 1


class ProcessCollector(Collector):
    """
    Describes this process; where there is no /proc, what it would say is left out.

    :param proc: where /proc is.
    """

    def __init__(self, proc: Path = _PROC) -> None:
        self._proc = proc
        self._own = proc / "self"

    def collect(self) -> Iterable[Metric]:
        """Return all metrics as they are now."""
        return (family for family in self.collect_in_parts() if family.samples)

    def collect_in_parts(self) -> Iterator[Metric]:
        """Return the same, and now and then an empty family: what has been counted so far took a while."""
        yield CounterMetricFamily(
            "process_cpu_seconds", "Processor time of this process, of user and system together.", value=process_time()
        )
        try:
            pages = (self._own / "statm").read_bytes().split()
            size = os.sysconf("SC_PAGE_SIZE")
            yield _gauge("process_virtual_memory_bytes", "Memory that is mapped.", int(pages[0]) * size)
            yield _gauge("process_resident_memory_bytes", "Memory that is in RAM.", int(pages[1]) * size)
            yield _gauge("process_start_time_seconds", "When it was started, since 1970.", self._started_at())
            yield _gauge("process_max_fds", "File descriptors at most.", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
            yield from self._open_descriptors()
        except OSError:
            return

    def _open_descriptors(self) -> Iterator[Metric]:
        sentence = "File descriptors that are open."
        count = -1  # the one that lists them
        with os.scandir(self._own / "fd") as descriptors:
            for _ in descriptors:
                count += 1
                if not count % COUNTED_IN_A_STEP:
                    yield GaugeMetricFamily("process_open_fds", sentence)
        yield _gauge("process_open_fds", sentence, count)

    def _started_at(self) -> float:
        """Return the start of the process in seconds since 1970, as the kernel knows it."""
        # The second field is the program's name, in parentheses, which may hold spaces.
        fields = (self._own / "stat").read_bytes().rpartition(b")")[2].split()
        ticks = int(fields[_START_FIELD - 3])
        lines = (self._proc / "stat").read_bytes().splitlines()
        booted = next(int(line.split()[1]) for line in lines if line.startswith(b"btime "))
        return booted + ticks / os.sysconf("SC_CLK_TCK")


def _gauge(name: str, sentence: str, value: float) -> Metric:
    return GaugeMetricFamily(name, sentence, value=value)
