"""
`python -m benchmarks.profile`: where edge and agent spend their time under the load of the keep-alive case.

The CPU time per request, in user code and in the kernel, is measured undisturbed. Then py-spy samples both programs
under the same load whenever they hold the interpreter's lock, and the shares of the samples are applied to the user
time. (Sampled at any time instead, most stacks would end in send and recv, where a process is stopped most easily.)
With --calls both run under twistd's cProfile, which tells how often each function is called per request.
"""

from __future__ import annotations

import argparse
import contextlib
import pstats
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import proc
from benchmarks.certificates import write_certificate
from benchmarks.errors import BenchmarkError, ProgramMissing
from benchmarks.load import visitors, wrk
from benchmarks.peers.origins import DOWNLOAD_BYTES, open_origins
from benchmarks.peers.peer import WEB_HOSTNAME, Peer
from benchmarks.peers.warp import open_warp
from benchmarks.processes import raise_file_limit, running
from benchmarks.report import format_value, table

_WARM_UP_SECONDS = 1.0
_SAMPLES_PER_SECOND = 200
_FILES = 15

_PYTHON_FRAME = re.compile(r"^(?P<function>.+) \((?P<file>[^()]*\.py):(?P<line>\d+)\)$")
_DIRECTORY = re.compile(r"^.*/(?:site-packages/|lib/python3\.\d+/|(?=warp_twisted/|warp_dns/|warp_base/))")

_EXAMPLES = """\
examples:
  python -m benchmarks.profile                        functions by own time
  python -m benchmarks.profile --lines --top 50       the same by line
  python -m benchmarks.profile --native               time in C told apart: OpenSSL, system calls, the interpreter
  python -m benchmarks.profile --calls                calls per request
  python -m benchmarks.profile --load download --native
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What Warp did under a load: so many requests, or so many megabytes in one direction."""

    unit: str
    count: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.count / self.seconds:,.0f} {self.unit}s/s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one function takes: share of all samples in it, and in it or what it calls (0 to 1)."""

    own: float
    all: float


def costs(folded: str, *, by_line: bool) -> dict[str, Cost]:
    """
    Condense folded stacks, "frame;frame;frame COUNT" a line, outermost first, as py-spy's raw format has them.

    :param by_line: tell lines of one function apart.
    """
    own: Counter[str] = Counter()
    everywhere: Counter[str] = Counter()
    total = 0
    for line in folded.splitlines():
        stack, _, count_text = line.rpartition(" ")
        count = int(count_text)
        frames = [_frame(frame, by_line=by_line) for frame in stack.split(";")]
        own[frames[-1]] += count
        for frame in set(frames):
            everywhere[frame] += count
        total += count
    return {frame: Cost(own=own[frame] / total, all=everywhere[frame] / total) for frame in everywhere}


def _frame(text: str, *, by_line: bool) -> str:
    match = _PYTHON_FRAME.match(text)
    if match is None:
        return re.sub(r"^0x[0-9a-f]+ ", "? ", text)
    file = _DIRECTORY.sub("", match["file"])
    return f"{match['function']} ({file}{':' + match['line'] if by_line else ''})"


def by_file(found: Mapping[str, Cost]) -> dict[str, Cost]:
    """Add up own time by source file; time in callees has no meaning for a file and is left at 0."""
    own: dict[str, float] = {}
    for frame, cost in found.items():
        file = frame[frame.rindex("(") + 1 : -1].partition(":")[0] if frame.endswith(")") else frame
        own[file] = own.get(file, 0) + cost.own
    return {file: Cost(own=share, all=0) for file, share in own.items()}


def costs_table(found: Mapping[str, Cost], microseconds: float, unit: str, top: int) -> str:
    """Lay out the most expensive functions, with what is left over in the last row."""
    ordered = sorted(found.items(), key=lambda item: item[1].own, reverse=True)
    rows = [["function", f"own µs/{unit}", "own %", "with callees µs"]]
    for function, cost in ordered[:top]:
        if not cost.own:
            break
        rows.append(
            [
                function,
                format_value(cost.own * microseconds),
                f"{100 * cost.own:.1f}",
                format_value(cost.all * microseconds) if cost.all else "",
            ]
        )
    rest = sum(cost.own for _, cost in ordered[top:])
    rows.append(["everything else", format_value(rest * microseconds), f"{100 * rest:.1f}", ""])
    return table(rows)


def calls_table(stats: Path, work: Work, top: int) -> str:
    """Lay out the most called functions of a cProfile file."""
    rows = [["function", f"calls/{work.unit}", f"own µs/{work.unit}"]]
    entries = pstats.Stats(str(stats)).stats  # type: ignore[attr-defined]  # missing in typeshed
    for (file, line, name), (_, calls, own, _, _) in sorted(entries.items(), key=lambda item: item[1][2], reverse=True)[
        :top
    ]:
        where = "" if file == "~" else f" ({_DIRECTORY.sub('', file)}:{line})"
        rows.append([name + where, format_value(calls / work.count), format_value(own / work.count * 1e6)])
    return table(rows)


def _by_sampling(options: argparse.Namespace, directory: Path) -> None:
    """Load Warp twice, once undisturbed for the CPU time per request and once sampled for the shares of it."""
    py_spy = Path(sys.executable).parent / "py-spy"
    if not py_spy.exists():
        raise ProgramMissing("py-spy: try `pip install py-spy` in the virtual environment")
    certificate = write_certificate(directory, [WEB_HOSTNAME])
    with contextlib.ExitStack() as stack:
        origins = stack.enter_context(open_origins(directory, raise_file_limit()))
        warp = stack.enter_context(open_warp(origins, directory, certificate))
        _load(warp, options, _WARM_UP_SECONDS)
        before = {name: proc.cpu_times(process.pid) for name, process in warp.programs.items()}
        work = _load(warp, options, options.seconds)
        used = {
            name: [
                1e6 * (now - then) / work.count
                for now, then in zip(proc.cpu_times(process.pid), before[name], strict=True)
            ]
            for name, process in warp.programs.items()
        }
        print(f"{options.load}: {work} undisturbed\n")
        samplers = []
        for name, process in warp.programs.items():
            target = directory / f"{name}.folded"
            command = [str(py_spy), "record", "--format", "raw", "--output", str(target), "--pid", str(process.pid)]
            command += ["--duration", str(round(options.seconds)), "--rate", str(_SAMPLES_PER_SECOND)]
            command += ["--native"] if options.native else ["--gil"]
            samplers.append((name, target, stack.enter_context(running(f"py-spy-{name}", command, directory))))
        # The load outlasts the samplers, which need a moment to find the interpreter's structures.
        _load(warp, options, options.seconds + 2)
        for name, target, sampler in samplers:
            sampler.wait_for_end(30)
            user, system = used[name]
            print(f"{name}: {user:.1f} µs in user code and {system:.1f} µs in the kernel per {work.unit}\n")
            shared = user + system if options.native else user
            found = costs(target.read_text(), by_line=options.lines)
            print(costs_table(found, shared, work.unit, options.top), end="\n\n")
            print(costs_table(by_file(found), shared, work.unit, _FILES), end="\n\n")


def _by_counting(options: argparse.Namespace, directory: Path) -> None:
    """Load Warp while both programs run under cProfile, end them, and read what they leave."""
    certificate = write_certificate(directory, [WEB_HOSTNAME])
    stats = {name: directory / f"{name}.profile" for name in ("edge", "agent")}
    profiling = {
        name: ["--savestats", "--profiler", "cprofile", "--profile", str(file)] for name, file in stats.items()
    }
    with (
        open_origins(directory, raise_file_limit()) as origins,
        open_warp(origins, directory, certificate, profiling["edge"], profiling["agent"]) as warp,
    ):
        work = _load(warp, options, options.seconds)
        print(f"{options.load}: {work} under cProfile\n")
    for name, file in stats.items():
        print(f"{name}\n\n{calls_table(file, work, options.top)}\n")


def _load(warp: Peer, options: argparse.Namespace, seconds: float) -> Work:
    """Put the chosen load on Warp."""
    if options.load == "requests":
        url = f"http://{warp.web.host}:{warp.web.port}/1k"
        load = wrk.run(url, options.connections, seconds, warp.web.hostname)
        return Work(unit="request", count=load.requests, seconds=load.seconds)
    began = time.monotonic()
    turns = 0
    while time.monotonic() - began < seconds:
        if options.load == "download":
            visitors.download(warp.web, "/100m")
        else:
            visitors.upload(warp.tools, "/sink", DOWNLOAD_BYTES)
        turns += 1
    return Work(unit="MB", count=turns * DOWNLOAD_BYTES / 1e6, seconds=time.monotonic() - began)


def main(arguments: Sequence[str]) -> int:
    """
    Profile.

    :returns: the exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.profile",
        description="Show where Warp's edge and agent spend their time.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the load (default 5)")
    parser.add_argument("--load", choices=("requests", "download", "upload"), default="requests", help="what to do")
    parser.add_argument("--connections", type=int, default=128, help="connections of the load (default 128)")
    parser.add_argument("--top", type=int, default=30, help="how many functions to show (default 30)")
    parser.add_argument("--lines", action="store_true", help="tell the lines of a function apart")
    parser.add_argument("--native", action="store_true", help="sample at any time, and look into C code too")
    parser.add_argument("--calls", action="store_true", help="count calls with cProfile instead of sampling")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="warp-profile-") as directory:
        try:
            (_by_counting if options.calls else _by_sampling)(options, Path(directory))
        except BenchmarkError as error:
            print(f"benchmarks.profile: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
