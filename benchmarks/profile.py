"""
`python -m benchmarks.profile`: where edge and agent spend their time under the load of the keep-alive case.

The CPU time per request is measured undisturbed. Then perf samples both programs under the same load while they use the
CPU (waiting is no cost): its shares divide the time between interpreter, extension modules, OpenSSL and kernel. Last
py-spy samples them whenever they hold the interpreter's lock, and its shares divide the user time between Python's
functions. With --calls both run under twistd's cProfile, which tells how often each function is called per request.
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

from benchmarks import perf, proc
from benchmarks.cases import policy
from benchmarks.certificates import write_certificate
from benchmarks.errors import BenchmarkError, ProgramMissing
from benchmarks.layout import format_value, table
from benchmarks.load import visitors, wrk
from benchmarks.peers.origins import DOWNLOAD_BYTES, open_origins
from benchmarks.peers.peer import WEB_HOSTNAME, Peer
from benchmarks.peers.warp import open_agent, open_edge, open_warp
from benchmarks.processes import find_program, raise_file_limit, running

_WARM_UP_SECONDS = 1.0
_SAMPLES_PER_SECOND = 200
_FILES = 15

_PYTHON_FRAME = re.compile(r"^(?P<function>.+) \((?P<file>[^()]*\.py):(?P<line>\d+)\)$")
_DIRECTORY = re.compile(r"^.*/(?:site-packages/|lib/python3\.\d+/|(?=warp_twisted/|warp_dns/|warp_base/))")

_EXAMPLES = """\
examples:
  python -m benchmarks.profile                        interpreter, OpenSSL and kernel; Python's functions by own time
  python -m benchmarks.profile --lines --top 50       the same, functions by line
  python -m benchmarks.profile --native               the functions of C code too
  python -m benchmarks.profile --varied               heads that differ from request to request
  python -m benchmarks.profile --policy               the same, judged by a policy
  python -m benchmarks.profile --calls                calls per request
  python -m benchmarks.profile --load connections     a new connection for each request
  python -m benchmarks.profile --load download
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What Warp did under a load: so many requests, connections, or megabytes in one direction."""

    unit: str
    count: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.count / self.seconds:,.0f} {self.unit}{'' if self.unit == 'MB' else 's'}/s"


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
    """Load Warp three times: undisturbed for the CPU time, sampled by perf, and sampled by py-spy."""
    py_spy = Path(sys.executable).parent / "py-spy"
    if not py_spy.exists():
        raise ProgramMissing("py-spy: try `pip install py-spy` in the virtual environment")
    find_program("perf")
    certificate = write_certificate(directory, [WEB_HOSTNAME])
    with contextlib.ExitStack() as stack:
        origins = stack.enter_context(open_origins(directory, raise_file_limit()))
        edge = stack.enter_context(open_edge(directory, certificate))
        warp = stack.enter_context(open_agent(edge, origins, directory))
        if options.policy:
            policy.write_files(directory)
            edge.follow_policy(directory / "whole.yaml")
        _load(warp, options, _WARM_UP_SECONDS, directory)
        before = {name: (process.cpu_seconds(), proc.cpu_times(process.pid)) for name, process in warp.programs.items()}
        work = _load(warp, options, options.seconds, directory)
        used = {}
        for name, process in warp.programs.items():
            seconds, (user, system) = before[name]
            now_user, now_system = proc.cpu_times(process.pid)
            # The clock is exact; the ticks tell only which share of it was user code.
            share = (now_user - user) / max(now_user - user + now_system - system, 1e-9)
            used[name] = (1e6 * (process.cpu_seconds() - seconds) / work.count, share)
        print(f"{options.load}: {work} undisturbed\n")
        with contextlib.ExitStack() as recorders:
            recorded = {
                name: recorders.enter_context(perf.recording(process.pid, name, directory))
                for name, process in warp.programs.items()
            }
            _load(warp, options, options.seconds, directory)
        folded = _spy(py_spy, warp, options, directory)
        for name in warp.programs:
            microseconds, user_share = used[name]
            print(f"{name}: {microseconds:.1f} µs of CPU per {work.unit}\n")
            samples = perf.read(recorded[name])
            print(perf.parts_table(samples, microseconds, work.unit), end="\n\n")
            if options.native:
                print(perf.symbols_table(samples, microseconds, work.unit, options.top), end="\n\n")
            found = costs(folded[name].read_text(), by_line=options.lines)
            in_user_code = microseconds * user_share
            print(f"{name}: {in_user_code:.1f} µs of it in user code, by Python function\n")
            print(costs_table(found, in_user_code, work.unit, options.top), end="\n\n")
            print(costs_table(by_file(found), in_user_code, work.unit, _FILES), end="\n\n")


def _spy(py_spy: Path, warp: Peer, options: argparse.Namespace, directory: Path) -> dict[str, Path]:
    """
    Load Warp while py-spy samples both programs.

    :returns: the file with the folded stacks of each program.
    """
    with contextlib.ExitStack() as stack:
        samplers = []
        folded = {name: directory / f"{name}.folded" for name in warp.programs}
        for name, process in warp.programs.items():
            command = [str(py_spy), "record", "--gil", "--format", "raw", "--output", str(folded[name])]
            command += ["--pid", str(process.pid), "--duration", str(round(options.seconds))]
            command += ["--rate", str(_SAMPLES_PER_SECOND)]
            samplers.append(stack.enter_context(running(f"py-spy-{name}", command, directory)))
        # The load outlasts the samplers, which need a moment to find the interpreter's structures.
        _load(warp, options, options.seconds + 2, directory)
        for sampler in samplers:
            sampler.wait_for_end(30)
    return folded


def _by_counting(options: argparse.Namespace, directory: Path) -> None:
    """Load Warp while both programs run under cProfile, end them, and read what they leave."""
    certificate = write_certificate(directory, [WEB_HOSTNAME])
    stats = {name: directory / f"{name}.profile" for name in ("edge", "agent")}
    profiling = {
        name: ["--savestats", "--profiler", "cprofile", "--profile", str(file)] for name, file in stats.items()
    }
    with (
        open_origins(directory, raise_file_limit()) as origins,
        open_warp(
            origins, directory, certificate, edge_options=profiling["edge"], agent_options=profiling["agent"]
        ) as warp,
    ):
        work = _load(warp, options, options.seconds, directory)
        print(f"{options.load}: {work} under cProfile\n")
    for name, file in stats.items():
        print(f"{name}\n\n{calls_table(file, work, options.top)}\n")


def _load(warp: Peer, options: argparse.Namespace, seconds: float, directory: Path) -> Work:
    """Put the chosen load on Warp."""
    if options.load in ("requests", "connections"):
        keep_alive = options.load == "requests"
        url = f"http://{warp.web.host}:{warp.web.port}{'/varied' if options.varied or options.policy else '/1k'}"
        load = wrk.run(
            url,
            options.connections,
            seconds,
            warp.web.hostname,
            keep_alive=keep_alive,
            varied=options.varied or options.policy,
            tokens=directory / "tokens.txt" if options.policy else None,
        )
        return Work(unit="request" if keep_alive else "connection", count=load.requests, seconds=load.seconds)
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
    parser.add_argument(
        "--load", choices=("requests", "connections", "download", "upload"), default="requests", help="what to do"
    )
    parser.add_argument("--connections", type=int, default=128, help="connections of the load (default 128)")
    parser.add_argument("--top", type=int, default=30, help="how many functions to show (default 30)")
    parser.add_argument("--lines", action="store_true", help="tell the lines of a function apart")
    parser.add_argument("--native", action="store_true", help="show the functions of C code too")
    parser.add_argument("--varied", action="store_true", help="requests whose heads differ, as browsers' do")
    parser.add_argument("--policy", action="store_true", help="requests that the case policy's rules judge")
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
