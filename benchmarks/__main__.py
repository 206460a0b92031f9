"""`python -m benchmarks`: options, one run, the report. See README.md."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from benchmarks import machine, plot, report
from benchmarks.bench import PEERS, QUICK, Bench, Scale
from benchmarks.cases import ALL_CASES, CASES, LARGE
from benchmarks.errors import BenchmarkError, OutOfTime
from benchmarks.peers.warp import Checkout
from benchmarks.processes import raise_file_limit
from benchmarks.targets import judge

_HERE = Path(__file__).resolve().parent
_LEAST_FILES = 4096

_LIMIT_SECONDS = 1500
_LARGE_LIMIT_SECONDS = 600

_EXAMPLES = """\
examples:
  python -m benchmarks                          everything but --large, some eighteen minutes, into benchmarks/results/
  python -m benchmarks --quick                  a look in three minutes; nothing is written
  python -m benchmarks --large                  16,000 tunnels, some five minutes, into benchmarks/results/
  python -m benchmarks --only keepalive --only transfer
  python -m benchmarks --only keepalive --peer Warp --peer HAProxy --connections 128 --seconds 5
  python -m benchmarks --compare before=../warp-before --peer Warp --peer HAProxy --rounds 6
  python -m benchmarks.profile                  where edge and agent spend their time
  python -m benchmarks.merge a.json b.json      several runs as one
"""


def _checkout(text: str) -> tuple[str, Checkout]:
    """Read NAME=DIRECTORY, or a directory that is named after its commit."""
    name, equals, directory = text.partition("=")
    path = Path(directory if equals else text)
    try:
        return name if equals else f"Warp at {machine.revision(path)}", Checkout.at(path)
    except BenchmarkError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Put the same load on Warp and on what one would take instead, and write what each did.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cases = [case.name for case in ALL_CASES]
    parser.add_argument("--list", action="store_true", help="list the cases and end")
    parser.add_argument("--only", action="append", choices=cases, metavar="CASE", help="run this case (repeatable)")
    parser.add_argument("--large", action="store_true", help=f"run the case {LARGE.name} and no other")
    parser.add_argument("--peer", action="append", choices=PEERS, metavar="PEER", help=f"of {', '.join(PEERS)}")
    parser.add_argument(
        *("--compare",),
        action="append",
        type=_checkout,
        default=[],
        metavar="[NAME=]DIRECTORY",
        help="run another checkout of Warp beside this one, and say which figures are worse (repeatable)",
    )
    parser.add_argument("--quick", action="store_true", help="short loads, smaller crowds")
    parser.add_argument("--seconds", type=float, help="length of one load of requests (default 3; whole seconds)")
    parser.add_argument("--rounds", type=int, help="turns of each peer; medians are shown (default 3)")
    parser.add_argument("--connections", type=int, action="append", help="for keepalive (repeatable)")
    parser.add_argument("--output", type=Path, help="directory for the report, also of a partial run")
    parser.add_argument("--limit", type=int, help="end after so many seconds, and report what was measured")
    return parser.parse_args(arguments)


def _scale(options: argparse.Namespace) -> Scale:
    """Apply the options that change single numbers to the chosen scale."""
    changes = {name: getattr(options, name) for name in ("seconds", "rounds") if getattr(options, name)}
    if options.connections:
        changes["connections"] = tuple(options.connections)
    return dataclasses.replace(QUICK if options.quick else Scale(), **changes)


def _out_of_time(number: int, frame: FrameType | None) -> None:
    raise OutOfTime("the run reached its time limit (--limit); what was measured until then is reported")


def _terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run_cases(bench: Bench, wanted: list[str]) -> None:
    """Run the cases; one that fails is noted, and the others still run."""
    for case in ALL_CASES:
        if case.name not in wanted:
            continue
        bench.progress(case.name)
        try:
            case.run(bench)
        except OutOfTime as error:
            bench.fail(case.name, str(error))
            return
        except (BenchmarkError, OSError) as error:
            bench.fail(case.name, str(error))


def main(arguments: list[str]) -> int:
    """
    Run the benchmark.

    :returns: the exit code: 0 when every case was measured, whatever the figures; 1 otherwise; 130 after Ctrl-C.
    """
    options = _parse(arguments)
    if options.list:
        for case in ALL_CASES:
            print(f"{case.name:14} {case.sentence}")
        return 0
    file_limit = raise_file_limit()
    if file_limit < _LEAST_FILES:
        print(f"benchmarks: needs {_LEAST_FILES} open files, may have {file_limit} (ulimit -n)", file=sys.stderr)
        return 1
    # Set for SIGINT as well: a shell that runs this in the background has it ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _terminated)
    signal.signal(signal.SIGALRM, _out_of_time)
    wanted = [LARGE.name] if options.large else options.only or [case.name for case in CASES]
    began = datetime.datetime.now().astimezone()
    began_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="warp-bench-") as directory:
        bench = Bench(
            directory=Path(directory),
            scale=_scale(options),
            file_limit=file_limit,
            peers=options.peer or PEERS,
            checkouts=dict(options.compare),
        )
        try:
            if not options.large:
                bench.prepare()
            limit = _LARGE_LIMIT_SECONDS if options.large else _LIMIT_SECONDS
            signal.alarm(options.limit or limit * (1 + len(options.compare)))
            _run_cases(bench, wanted)
        except KeyboardInterrupt:
            print("benchmarks: stopped", file=sys.stderr)
            return 130
        finally:
            signal.alarm(0)
    circumstances = report.Circumstances(
        began=began.isoformat(timespec="seconds"),
        seconds=time.monotonic() - began_at,
        command=shlex.join(["python", "-m", "benchmarks", *arguments]),
        revision=machine.revision(_HERE),
        machine=machine.describe(),
        versions=machine.versions() | bench.built_versions(),
        compared=list(bench.checkouts),
    )
    is_whole = arguments in ([], ["--large"]) and not bench.results.failures
    output: Path | None = options.output or (_HERE / "results" if is_whole else None)
    _write(bench, circumstances, output, began.date().isoformat() + ("-large" if options.large else ""))
    return 1 if bench.results.failures else 0


def _write(bench: Bench, circumstances: report.Circumstances, output: Path | None, name: str) -> None:
    """Print the report, and write it with the raw figures and the plot when there is a directory for it."""
    judgements = judge(bench.results)
    sentences = {case.name: case.sentence for case in ALL_CASES}
    drawing = None
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        if plot.draw(bench.results, output / f"{name}.svg"):
            drawing = f"{name}.svg"
        (output / f"{name}.json").write_text(report.as_json(circumstances, bench.results, judgements))
    text = report.markdown(circumstances, bench.results, judgements, sentences, drawing)
    print(text)
    if output is not None:
        (output / f"{name}.md").write_text(text)
        print(f"Written to {output / name}.md, .json" + (", .svg" if drawing else ""), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
