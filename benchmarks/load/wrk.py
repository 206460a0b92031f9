"""wrk, Debian's HTTP load generator: one thread, keep-alive, closed loop; and how to read what it prints."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.errors import ProgramFailed, UnreadableOutput
from benchmarks.processes import DIE_WITH_PARENT, find_program

_BROWSER = Path(__file__).with_name("browser.lua")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PERCENTILE = re.compile(r"^\s+(50|75|90|99)%\s+([0-9.]+)(us|ms|s|m|h)$", re.MULTILINE)
_REQUESTS = re.compile(r"^\s*(\d+) requests in ([0-9.]+)(us|ms|s|m|h),", re.MULTILINE)
_SOCKET_ERRORS = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")
_BAD_STATUS = re.compile(r"Non-2xx or 3xx responses: (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one run of wrk saw: answers per second, latency in seconds, and how many requests went wrong."""

    requests: int
    seconds: float
    p50_seconds: float
    p99_seconds: float
    errors: int

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def parse(output: str) -> Load:
    """
    Read what `wrk --latency` prints.

    :raises UnreadableOutput: if the totals or the percentiles are not there.
    """
    totals = _REQUESTS.search(output)
    percentiles = {int(found[1]): float(found[2]) * _UNITS[found[3]] for found in _PERCENTILE.finditer(output)}
    if totals is None or not {50, 99} <= percentiles.keys():
        raise UnreadableOutput(f"wrk printed:\n{output}")
    sockets = _SOCKET_ERRORS.search(output)
    statuses = _BAD_STATUS.search(output)
    return Load(
        requests=int(totals[1]),
        seconds=float(totals[2]) * _UNITS[totals[3]],
        p50_seconds=percentiles[50],
        p99_seconds=percentiles[99],
        errors=(sum(map(int, sockets.groups())) if sockets else 0) + (int(statuses[1]) if statuses else 0),
    )


def run(
    url: str,
    connections: int,
    seconds: float,
    host: str,
    *,
    keep_alive: bool = True,
    varied: bool = False,
    tokens: Path | None = None,
) -> Load:
    """
    Load a URL.

    :param host: the Host header; the connection goes where the URL says.
    :param keep_alive: False opens a new connection for every request.
    :param varied: send a browser's 13 fields, some different in each request, instead of the Host alone.
    :param tokens: a file of tokens, one a line, that such requests carry in turns.
    """
    whole = max(1, round(seconds))
    given = arguments(url, connections, whole, host, keep_alive, varied, tokens)
    command = [*DIE_WITH_PARENT, find_program("wrk"), *given]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=whole + 15, check=False, process_group=0
        )
    except subprocess.TimeoutExpired:
        raise ProgramFailed(f"wrk did not end in {whole + 15} s on {url}") from None
    if ended.returncode != 0:
        raise ProgramFailed(f"wrk on {url}: {ended.stdout}{ended.stderr}")
    return parse(ended.stdout)


def arguments(
    url: str,
    connections: int,
    seconds: int,
    host: str,
    keep_alive: bool,
    varied: bool,
    tokens: Path | None = None,
) -> list[str]:
    """Put wrk's arguments together; it counts in whole seconds."""
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    if varied:
        files = [str(tokens)] if tokens is not None else []
        return [*options, "-s", str(_BROWSER), url, "--", urlsplit(url).path, host, *files]
    options += ["-H", f"Host: {host}"]
    if not keep_alive:
        options += ["-H", "Connection: close"]
    return [*options, url]
