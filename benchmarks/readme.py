"""
The table in README's section "How fast": which figures it quotes, as medians over runs with their spread.

The rows are named here, so that nobody picks the flattering ones by hand. Pure.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import results as names
from benchmarks.layout import format_value
from benchmarks.results import NotMeasured, Results
from benchmarks.targets import (
    CHISEL,
    FULL_HANDSHAKE,
    HAPROXY,
    NGINX,
    PLAIN_CONNECTION,
    RATHOLE,
    RESUMED_HANDSHAKE,
    SSH,
    WARP,
    connections,
    saved_by_resuming,
    varied,
)

BEGIN = "<!-- benchmarks: written by python -m benchmarks.merge --readme -->"
END = "<!-- end of benchmarks -->"
HEADINGS = ["what", "Warp", *(f"x {name}" for name in (HAPROXY, CHISEL, RATHOLE, SSH))]
_PEERS = (HAPROXY, CHISEL, RATHOLE, SSH)


class MarksMissing(Exception):
    """The file has no place for the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One line of the table.

    :param value: Warp's figure in one run.
    :param text: the value as words; {} is its place.
    :param of_peer: the same figure of another peer; Warp's is divided by it.
    """

    what: str
    text: str
    value: Callable[[Results], float]
    of_peer: Callable[[Results, str], float] | None = None


def _compared(what: str, text: str, case: str, variant: str, metric: str) -> Row:
    def value(results: Results, peer: str = WARP) -> float:
        return results.value(case, variant, peer, metric)

    return Row(what=what, text=text, value=value, of_peer=value)


def _alone(what: str, text: str, case: str, variant: str, metric: str, scale: float = 1.0) -> Row:
    return Row(what=what, text=text, value=lambda results: results.value(case, variant, WARP, metric) / scale)


def _added_latency(results: Results) -> float:
    one = connections(1)
    return results.value("keepalive", one, WARP, names.P50) - results.value("keepalive", one, NGINX, names.P50)


_PER_REQUEST, _PER_CONNECTION = names.CPU_PER_REQUEST, names.CPU_PER_CONNECTION
ROWS = [
    _compared("1 KiB, heads that vary, 128 connections", "{}/s", "keepalive", varied(128), names.REQUESTS),
    _compared("CPU for each, edge and agent", "{} µs", "keepalive", varied(128), _PER_REQUEST),
    _compared("1 KiB, identical heads, 128 connections", "{}/s", "keepalive", connections(128), names.REQUESTS),
    _compared("CPU for each, edge and agent", "{} µs", "keepalive", connections(128), _PER_REQUEST),
    _compared("1 KiB, identical heads, 32 connections", "{}/s", "keepalive", connections(32), names.REQUESTS),
    Row(what="added latency, one connection", text="{} ms over nginx", value=_added_latency),
    _compared("CPU for a new connection", "{} µs", "connections", PLAIN_CONNECTION, _PER_CONNECTION),
    _compared("CPU for a full TLS handshake and a request", "{} µs", "connections", FULL_HANDSHAKE, _PER_CONNECTION),
    _compared("CPU for a resumed one", "{} µs", "connections", RESUMED_HANDSHAKE, _PER_CONNECTION),
    Row(what="resuming saves Warp", text="{} µs", value=lambda results: saved_by_resuming(results, WARP)),
    Row(what="resuming saves HAProxy", text="{} µs", value=lambda results: saved_by_resuming(results, HAPROXY)),
    _compared("100 MB down", "{} MB/s", "transfer", "100 MB", names.DOWN),
    _compared("100 MB up", "{} MB/s", "transfer", "100 MB", names.UP),
    _alone("an idle tunnel", "{} KiB in the edge", "idle-tunnels", "", names.MEMORY_PER_TUNNEL),
    _alone(
        "the tunnels of `idle-tunnels`, from the first dial",
        "answered by DNS in {} s",
        "idle-tunnels",
        "",
        names.ANSWERED,
    ),
    _compared(
        "a visitor at 100 KB/s, an origin that offers 1 GB", "{} MiB in all", "slow-visitor", "", names.EXTRA_MEMORY
    ),
    _compared("an event, from the origin's write to the visitor, p99", "{} ms", "events", "", names.P99),
    _alone(
        "16,000 tunnels, 10,000 hostnames: registered", "{}/s", "large", names.REGISTRATION, names.TUNNELS_PER_SECOND
    ),
    _alone("a visitor meanwhile, p99", "{} ms", "large", names.REGISTRATION, names.WAIT_P99),
    _alone("the edge at rest with them", "{} % of a core", "large", names.REST, names.IDLE_EDGE),
    _alone("all of them lost at one instant, longest wait", "{} s", "large", names.LOSS, names.WAIT_LONGEST, 1000),
]


def readme_rows(runs: Sequence[Results], dns: Mapping[str, Any] | None = None) -> list[list[str]]:
    """
    Compute the table, headings first; rows and cells that no run measured are left out or empty.

    :param dns: what `benchmarks.dns` wrote; two rows are about it.
    """
    rows = [HEADINGS]
    for row in ROWS:
        values = _measured(runs, row.value)
        if not values:
            continue
        cells = [row.what, _with_spread(values, row.text)]
        for peer in _PEERS:
            ratios = _ratios(runs, row, peer)
            # The range of each would make the table too wide to read.
            cells.append(_with_spread(ratios if peer == HAPROXY or not ratios else [statistics.median(ratios)]))
        rows.append(cells)
    if dns is not None:
        rows += [[what, text, *([""] * len(_PEERS))] for what, text in _dns_rows(dns)]
    return rows


def _dns_rows(dns: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is quoted of the DNS benchmark."""
    servers, zones = dns["servers"], dns.get("large_zone", {})
    if {"Warp", "Knot"} <= servers.keys():
        for what, column in (("DNS, 1,500 names, one process", "warm"), ("DNS, random names", "random")):
            yield what, f"{format_value(servers['Warp'][column] / servers['Knot'][column])} of Knot's rate"
    if {"Warp", "Knot"} <= zones.keys():
        ratio = zones["Warp"]["cpu_seconds"] / zones["Knot"]["cpu_seconds"]
        yield "DNS, a zone of 100,000 records is read", f"{format_value(ratio)} of Knot's CPU"
    if "Warp" in zones:
        yield "the longest answer while it is read again", f"{format_value(1000 * zones['Warp']['longest_seconds'])} ms"


def _measured(runs: Sequence[Results], measure: Callable[[Results], float]) -> list[float]:
    values = []
    for results in runs:
        try:
            values.append(measure(results))
        except NotMeasured:
            continue
    return values


def _ratios(runs: Sequence[Results], row: Row, peer: str) -> list[float]:
    of_peer = row.of_peer
    if of_peer is None:
        return []

    def ratio(results: Results) -> float:
        theirs = of_peer(results, peer)
        if not theirs:
            raise NotMeasured(f"{peer}: nothing to divide by")
        return row.value(results) / theirs

    return _measured(runs, ratio)


def _with_spread(values: Sequence[float], text: str = "{}") -> str:
    """Write the median, and in brackets the range where there is one."""
    if not values:
        return ""
    median, low, high = (format_value(value) for value in (statistics.median(values), min(values), max(values)))
    return text.format(median) if low == high else f"{text.format(median)} ({low} to {high})"


def replace_table(text: str, rows: str) -> str:
    """
    Put a new table between the two marks.

    :raises MarksMissing: if they are not there.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise MarksMissing(f"no {BEGIN} and {END} in it")
    return f"{before}{BEGIN}\n\n{rows}\n\n{END}{after}"
