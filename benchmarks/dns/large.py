"""
A zone of 100,000 records: what reading it costs, and how late answers are while it is read again.

Measured from outside: CPU time of the server from its start until it answers, above that with a small zone; and a
question every two milliseconds while a changed file is read after SIGHUP, which all of these servers obey.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dns.questions import Asker
from benchmarks.dns.servers import KNOT, NSD, SERVERS, WARP, serving
from benchmarks.dns.zones import large_master_file
from benchmarks.errors import ProgramFailed
from benchmarks.processes import Process

RECORDS = 100_000
MEASURED = (KNOT, NSD, WARP)
_ASK_SECONDS = 0.002
_RELOAD_SECONDS = 60.0
_AFTER_SECONDS = 1.0
_QUIET_SECONDS = 0.3
_QUIET_SHARE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeZone:
    """
    What one server did with it.

    :param cpu_seconds: for reading the zone.
    :param extra_bytes: resident memory above that with a small zone.
    :param reload_seconds: from SIGHUP until a new name was answered.
    :param longest_seconds: the longest that an answer took meanwhile; the 99th percentile is beside it.
    :param lost: questions that were never answered.
    """

    cpu_seconds: float
    extra_bytes: int
    reload_seconds: float
    longest_seconds: float
    p99_seconds: float
    lost: int


def measure(directory: Path, name: str, records: int = RECORDS) -> LargeZone:
    """Start a server with a small zone and with a large one, then change the large one."""
    server = next(server for server in SERVERS if server.name == name)
    names = [f"host{number}" for number in range(records)]
    zone_file = directory / f"large-{name}.zone"
    zone_file.write_text(large_master_file(1, names[:1]))
    with serving(server, directory / f"small-{name}", zone_file) as (process, _):
        _wait_until_quiet(process)
        small_cpu, small_bytes = process.cpu_seconds(), process.resident_bytes()
    zone_file.write_text(large_master_file(1, names))
    with serving(server, directory / f"large-{name}", zone_file) as (process, port):
        _wait_until_quiet(process)
        cpu, held = process.cpu_seconds() - small_cpu, process.resident_bytes() - small_bytes
        zone_file.write_text(large_master_file(2, ["added", *names]))
        took, waits, lost = _reload(process, port, names[0])
    waits.sort()
    return LargeZone(
        cpu_seconds=cpu,
        extra_bytes=held,
        reload_seconds=took,
        longest_seconds=waits[-1],
        p99_seconds=waits[int(0.99 * (len(waits) - 1))],
        lost=lost,
    )


def _reload(process: Process, port: int, name: str) -> tuple[float, list[float], int]:
    """Let the server read its file again, and ask all the while, first the new name and then an old one."""
    began = time.monotonic()
    added_at = None
    with Asker(port) as asker:
        process.send_signal(signal.SIGHUP)
        number = 0
        while added_at is None or time.monotonic() < added_at + _AFTER_SECONDS:
            if time.monotonic() > began + _RELOAD_SECONDS:
                raise ProgramFailed(f"{process.name} did not read its zone again in {_RELOAD_SECONDS:.0f} s")
            asker.ask("added" if added_at is None and number % 10 == 0 else name)
            number += 1
            asker.wait_until(began + number * _ASK_SECONDS)
            if added_at is None and asker.answered.get("added"):
                added_at = time.monotonic()
        asker.wait_until(time.monotonic() + _AFTER_SECONDS)
        return added_at - began, list(asker.waits), asker.unanswered


def _wait_until_quiet(process: Process) -> None:
    """Wait until the server has done what it had to do after its start."""
    used = process.cpu_seconds()
    while True:
        time.sleep(_QUIET_SECONDS)
        before, used = used, process.cpu_seconds()
        if used - before < _QUIET_SHARE * _QUIET_SECONDS:
            return


def rows(found: dict[str, LargeZone]) -> Sequence[Sequence[str]]:
    """Lay out a table, headings first."""
    lines = [["server", "CPU s", "x Knot", "MiB", "reload s", "p99 ms", "longest ms", "lost"]]
    for name, zone in found.items():
        ratio = f"{zone.cpu_seconds / found[KNOT].cpu_seconds:.1f}" if KNOT in found else ""
        lines.append(
            [
                *(name, f"{zone.cpu_seconds:.2f}", ratio, f"{zone.extra_bytes / 2**20:.0f}"),
                *(f"{zone.reload_seconds:.1f}", f"{zone.p99_seconds * 1000:.1f}"),
                *(f"{zone.longest_seconds * 1000:.1f}", str(zone.lost)),
            ]
        )
    return lines
