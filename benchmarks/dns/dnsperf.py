"""
One load by dnsperf, and what its report says.

The parsers are pure; `load` runs the program.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import ProgramFailed
from benchmarks.processes import DIE_WITH_PARENT, find_program

CLIENTS = 20  # sockets
OUTSTANDING = 200  # queries under way: enough to saturate, few enough that no socket buffer overflows

_COMPLETED = re.compile(r"Queries completed:\s+(\d+)")
_LOST = re.compile(r"Queries lost:\s+(\d+)")
_RATE = re.compile(r"Queries per second:\s+([\d.]+)")
_CODES = re.compile(r"Response codes:\s+(.*)")
_LATENCY = re.compile(r"^> \S+ \S+ \S+ ([\d.]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """
    What came of a load.

    :param codes: the response codes, as dnsperf writes them: "NOERROR 1500 (100.00%)".
    :param latencies: seconds, sorted; only of a load that was asked to tell them.
    """

    completed: int
    lost: int
    per_second: float
    codes: str
    latencies: Sequence[float]

    def percentile(self, percent: float) -> float:
        """Return the latency, in seconds, that so many percent of the queries did not exceed."""
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * percent / 100))]


def parse(report: str) -> Load:
    """
    Read dnsperf's report.

    :raises ProgramFailed: if a figure is missing.
    """
    found = [pattern.search(report) for pattern in (_COMPLETED, _LOST, _RATE, _CODES)]
    completed, lost, rate, codes = found
    if completed is None or lost is None or rate is None:
        raise ProgramFailed(f"dnsperf's report is not understood:\n{report[-2000:]}")
    return Load(
        completed=int(completed[1]),
        lost=int(lost[1]),
        per_second=float(rate[1]),
        codes=codes[1].strip() if codes else "",
        latencies=sorted(map(float, _LATENCY.findall(report))),
    )


def command(
    port: int, questions: Path, seconds: float, *, per_second: float | None = None, tells_latencies: bool = False
) -> list[str]:
    """Return dnsperf's command line."""
    arguments = ["-s", "127.0.0.1", "-p", str(port), "-d", str(questions), "-l", f"{seconds:g}"]
    arguments += ["-c", str(CLIENTS), "-q", str(OUTSTANDING), "-t", "1"]
    if per_second is not None:
        arguments += ["-Q", str(int(per_second))]
    if tells_latencies:
        arguments.append("-v")
    return [*DIE_WITH_PARENT, find_program("dnsperf"), *arguments]


def load(
    port: int, questions: Path, seconds: float, *, per_second: float | None = None, tells_latencies: bool = False
) -> Load:
    """
    Put a load on a server: as much as it takes, or so many queries a second.

    :raises ProgramFailed: if dnsperf fails.
    """
    arguments = command(port, questions, seconds, per_second=per_second, tells_latencies=tells_latencies)
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=seconds + 30)
    if done.returncode:
        raise ProgramFailed(f"dnsperf ended with {done.returncode}: {done.stderr[-2000:]}")
    return parse(done.stdout)
