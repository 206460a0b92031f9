"""
`python -m benchmarks.dns`: the DNS server beside Knot, NSD and PowerDNS, in one run.

Every round each server in turn, one worker each, gets three loads: as many queries for 1,500 names as it takes
(warm), as many for names that do not exist, each another one (random), and half of its own warm rate, for latency.
Medians over the rounds are shown; absolute figures change from machine to machine, the ratios do not. Then a zone of
100,000 records is read and read again, and honest questions meet the limit on replies to one network.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks import machine
from benchmarks.dns import dnsperf, large, registrations
from benchmarks.dns.questions import ask_steadily
from benchmarks.dns.servers import KNOT, LIMITED, SERVERS, WARP, serving
from benchmarks.dns.zones import APPLICATIONS, master_file, random_questions, warm_questions
from benchmarks.errors import BenchmarkError
from benchmarks.layout import format_value, table
from benchmarks.processes import Process

_OUTPUT = Path(__file__).resolve().parents[1] / "results"
_WARM_UP_SECONDS = 0.5

Figures = dict[str, float]

COLUMNS = {
    "warm": "warm q/s",
    "warm_cpu": "warm µs CPU/query",
    "random": "random q/s",
    "random_cpu": "random µs CPU/query",
    "p50": "p50 µs at half load",
    "p99": "p99 µs at half load",
    "lost": "lost",
}
TARGETS = (("warm", 0.6), ("random", 0.2))
MOST_LATENCY_SECONDS = 0.1
MOST_EXTRA_BYTES = 60 << 20
MOST_LOAD_RATIO = 8.0
MOST_RELOAD_SECONDS = 0.02
HONEST = 12_000
HONEST_PER_SECOND = 2000


def measure(process: Process, port: int, files: dict[str, Path], seconds: float) -> Figures:
    """Put the three loads on a server that answers."""
    figures: Figures = {"lost": 0}
    dnsperf.load(port, files["warm"], _WARM_UP_SECONDS)
    for kind in ("warm", "random"):
        before = process.cpu_seconds()
        load = dnsperf.load(port, files[kind], seconds)
        figures[kind] = load.per_second
        figures[f"{kind}_cpu"] = (process.cpu_seconds() - before) / load.completed * 1e6
        figures["lost"] += load.lost
    load = dnsperf.load(port, files["warm"], seconds, per_second=figures["warm"] / 2, tells_latencies=True)
    figures["p50"], figures["p99"] = load.percentile(50) * 1e6, load.percentile(99) * 1e6
    return figures


def compare(directory: Path, rounds: int, seconds: float) -> dict[str, Figures]:
    """Measure every server that is installed, round by round, and return the medians."""
    zone_file = directory / "zone"
    zone_file.write_text(master_file())
    files = {"warm": directory / "warm", "random": directory / "random"}
    files["warm"].write_text("".join(f"{line}\n" for line in warm_questions()))
    files["random"].write_text("".join(f"{line}\n" for line in random_questions()))
    measured: dict[str, list[Figures]] = {}
    for number in range(rounds):
        for server in SERVERS:
            try:
                with serving(server, directory / server.name, zone_file) as (process, port):
                    figures = measure(process, port, files, seconds)
            except BenchmarkError as error:
                print(f"{server.name}: {error}", file=sys.stderr)
                continue
            print(f"round {number + 1}: {server.name} {figures['warm']:,.0f} warm, {figures['random']:,.0f} random")
            measured.setdefault(server.name, []).append(figures)
    return {
        name: {column: statistics.median(figures[column] for figures in runs) for column in COLUMNS}
        for name, runs in measured.items()
    }


@dataclass(slots=True, kw_only=True)
class Extras:
    """
    What is measured once, beside the servers' rates.

    :param large: by server, what a large zone took.
    :param honest: by server, how many of `HONEST` questions were answered in full, with the limits on.
    """

    live: registrations.Registrations | None = None
    large: dict[str, large.LargeZone] = field(default_factory=dict)
    honest: dict[str, int] = field(default_factory=dict)


def measure_extras(directory: Path, count: int) -> tuple[Extras, list[str]]:
    """
    Measure registrations, the large zone and honest questions.

    :param count: of registrations; with 0 nothing of all this is measured.
    :returns: what was measured, and what failed.
    """
    extras = Extras()
    failures: list[str] = []
    if not count:
        return extras, failures
    try:
        extras.live = registrations.measure(directory, directory / "warm", count)
    except BenchmarkError as error:
        failures.append(f"registrations: {error}")
    for name in large.MEASURED:
        try:
            extras.large[name] = large.measure(directory, name)
        except BenchmarkError as error:
            failures.append(f"large zone, {name}: {error}")
    names = [line.split(".")[0] for line in warm_questions()]
    for server in LIMITED:
        try:
            with serving(server, directory / f"limited-{server.name}", directory / "zone") as (_, port):
                asked = ask_steadily(port, names, HONEST, HONEST_PER_SECOND)
                extras.honest[server.name] = asked.answered.total()
        except BenchmarkError as error:
            failures.append(f"honest questions, {server.name}: {error}")
    return extras, failures


def judge(servers: dict[str, Figures], extras: Extras) -> list[tuple[str, str, bool]]:
    """Return what was promised, what was measured, and whether it is enough."""
    judged = []
    live, zones = extras.live, extras.large
    if WARP in servers and KNOT in servers:
        for column, least in TARGETS:
            ratio = servers[WARP][column] / servers[KNOT][column]
            judged.append((f"{column} ≥ {least} x Knot", f"{ratio:.2f} x Knot", ratio >= least))
    if live is not None:
        p99 = live.percentile(99)
        judged.append(
            ("registration answered within 100 ms (p99)", f"{p99 * 1000:.1f} ms", p99 <= MOST_LATENCY_SECONDS)
        )
        extra = live.extra_bytes
        judged.append(("≤ 60 MiB above an empty server", f"{extra / 2**20:.1f} MiB", extra <= MOST_EXTRA_BYTES))
    if WARP in zones and KNOT in zones:
        ratio = zones[WARP].cpu_seconds / zones[KNOT].cpu_seconds
        judged.append(("100,000 records read in ≤ 8 x Knot's CPU", f"{ratio:.1f} x Knot", ratio <= MOST_LOAD_RATIO))
    if WARP in zones:
        longest = zones[WARP].longest_seconds
        is_enough = longest <= MOST_RELOAD_SECONDS and not zones[WARP].lost
        judged.append(("no answer later than 20 ms while they are read again", f"{longest * 1000:.1f} ms", is_enough))
    if WARP in extras.honest:
        count = extras.honest[WARP]
        judged.append(
            (f"{HONEST:,} of {HONEST:,} honest questions answered at 2,000 a second", f"{count:,}", count == HONEST)
        )
    return judged


def report(servers: dict[str, Figures], extras: Extras, began: str) -> str:
    """Return the run as Markdown."""
    live = extras.live
    rows = [["server", *COLUMNS.values(), "warm x Knot", "random x Knot"]]
    for name, figures in servers.items():
        ratios = [
            f"{figures[column] / servers[KNOT][column]:.2f}" if KNOT in servers else "" for column in ("warm", "random")
        ]
        rows.append([name, *(format_value(figures[column]) for column in COLUMNS), *ratios])
    lines = ["# DNS", "", f"{began}. One worker each, {APPLICATIONS:,} names, dnsperf on the same machine.", ""]
    lines += [f"- {key}: {value}" for key, value in machine.describe().items()]
    lines += ["", table(rows), ""]
    if live is not None:
        lines += [
            f"{len(live.latencies):,} registrations at {registrations.PER_SECOND} a second, while dnsperf asked "
            f"{live.load.per_second:,.0f} queries a second: p50 {live.percentile(50) * 1000:.1f} ms, "
            f"p99 {live.percentile(99) * 1000:.1f} ms, longest {live.latencies[-1] * 1000:.1f} ms; "
            f"{live.load.lost} queries lost. 4,000 tunnels of 1,500 applications: {live.extra_bytes / 2**20:.1f} MiB.",
            "",
        ]
    if extras.large:
        lines += [f"A zone of {large.RECORDS:,} records: reading it, and answers while it is read again.", ""]
        lines += [table(large.rows(extras.large)), ""]
    if extras.honest:
        told = ", ".join(f"{name} {count:,}" for name, count in extras.honest.items())
        lines += [
            f"With the limit on replies to one network at its default, {HONEST:,} questions for 1,500 names at "
            f"{HONEST_PER_SECOND:,} a second were answered in full: {told}.",
            "",
        ]
    judged = [["promised", "measured", ""]]
    judged += [
        [promise, measured, "yes" if is_enough else "NO"] for promise, measured, is_enough in judge(servers, extras)
    ]
    return "\n".join([*lines, table(judged, text_columns=3), ""])


def main(arguments: list[str]) -> int:
    """Run the benchmark; returns the exit code: 0 when all was measured, whatever the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dns", description=__doc__.split("\n\n")[1])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one load")
    parser.add_argument("--registrations", type=int, default=1000, help="0: neither these nor what comes after them")
    parser.add_argument("--quick", action="store_true", help="one round, 100 registrations; nothing is written")
    parser.add_argument("--output", type=Path, default=_OUTPUT, help="directory for dns.md and dns.json")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.registrations = 1, min(options.registrations, 100)
    began = time.strftime("%Y-%m-%d %H:%M")
    with tempfile.TemporaryDirectory(prefix="warp-bench-dns-") as name:
        directory = Path(name)
        servers = compare(directory, options.rounds, options.seconds)
        extras, failures = measure_extras(directory, options.registrations)
    for failure in failures:
        print(failure, file=sys.stderr)
    text = report(servers, extras, began)
    print(text)
    if not options.quick:
        options.output.mkdir(exist_ok=True)
        (options.output / "dns.md").write_text(text)
        (options.output / "dns.json").write_text(json.dumps(_as_json(servers, extras, began), indent=1) + "\n")
    return 0 if len(servers) == len(SERVERS) and not failures else 1


def _as_json(servers: dict[str, Figures], extras: Extras, began: str) -> dict[str, object]:
    live = extras.live
    content: dict[str, object] = {
        "began": began,
        "machine": machine.describe(),
        "servers": servers,
        "targets": [
            {"promised": promise, "measured": measured, "met": is_enough}
            for promise, measured, is_enough in judge(servers, extras)
        ],
    }
    content["large_zone"] = {name: asdict(zone) for name, zone in extras.large.items()}
    content["honest_questions_answered"] = extras.honest
    if live is not None:
        content["registrations"] = {
            "count": len(live.latencies),
            "p50_ms": live.percentile(50) * 1000,
            "p99_ms": live.percentile(99) * 1000,
            "longest_ms": live.latencies[-1] * 1000,
            "extra_bytes": live.extra_bytes,
            "load_per_second": live.load.per_second,
        }
    return content


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
