"""
The cases: each opens its peers, puts the same load on one after the other, and notes figures.

Peers take turns within a round rather than one finishing before the next begins, so that a busy neighbour of the
machine disturbs all of them alike; the medians over the rounds are noted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks import results as names
from benchmarks import tunnels, visitors, wrk
from benchmarks.bench import Bench
from benchmarks.errors import UnexpectedAnswer
from benchmarks.peers.origins import DOWNLOAD_BYTES
from benchmarks.peers.peer import Peer
from benchmarks.targets import HAPROXY, NGINX, SSH, WARP, connections
from benchmarks.visitors import Address
from benchmarks.wrk import Load

_SLOW_BYTES_PER_SECOND = 100_000
_CROWD_BYTES_PER_SECOND = 4096
_CROWD_SETTLE_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    One thing to measure.

    :param sentence: what is measured, for the report and for --list.
    """

    name: str
    sentence: str
    run: Callable[[Bench], None]


def _load(
    bench: Bench, peer: Peer, address: Address, count: int, *, scheme: str = "http", keep_alive: bool = True
) -> tuple[Load, dict[str, float]]:
    """
    Put one load on a peer.

    :returns: what wrk saw, and the CPU microseconds per request of each of the peer's programs.
    """
    before = peer.cpu_seconds()
    load = wrk.run(
        f"{scheme}://{address.host}:{address.port}/1k",
        count,
        bench.scale.seconds,
        address.hostname,
        keep_alive=keep_alive,
    )
    if load.errors > load.requests / 100:
        raise UnexpectedAnswer(f"{peer.name} at {connections(count)}: {load.errors} errors, {load.requests} answers")
    used = {
        names.cpu_per_request(program): (seconds - before[program]) / max(1, load.requests) * 1e6
        for program, seconds in peer.cpu_seconds().items()
    }
    return load, used


def _medians(measured: Sequence[tuple[Load, Mapping[str, float]]]) -> dict[str, float]:
    """Condense the rounds of one peer under one load into a row."""
    loads = [load for load, _ in measured]
    row = {
        names.REQUESTS: statistics.median(load.per_second for load in loads),
        names.P50: 1000 * statistics.median(load.p50_seconds for load in loads),
        names.P99: 1000 * statistics.median(load.p99_seconds for load in loads),
        names.ERRORS: float(sum(load.errors for load in loads)),
    }
    for metric in measured[0][1]:
        row[metric] = statistics.median(used[metric] for _, used in measured)
    return row


def _in_rounds(
    bench: Bench,
    case: str,
    peers: Sequence[Peer],
    variant: str,
    load: Callable[[Peer], tuple[Load, dict[str, float]]],
) -> None:
    """Let the peers take turns under one load, and note a row for each."""
    measured: dict[str, list[tuple[Load, dict[str, float]]]] = {peer.name: [] for peer in peers}
    for number in range(1, bench.scale.rounds + 1):
        for peer in peers:
            each = load(peer)
            measured[peer.name].append(each)
            bench.progress(
                f"{case}, {variant}, round {number} of {bench.scale.rounds}: "
                f"{peer.name} {each[0].per_second:,.0f} requests/s, p50 {each[0].p50_seconds * 1000:.2f} ms"
            )
    for peer in peers:
        bench.results.add(case, variant, peer.name, _medians(measured[peer.name]))


def keepalive(bench: Bench) -> None:
    """Requests per second, latency and CPU with connections that stay open."""
    with bench.open_peers(NGINX, HAPROXY, SSH, WARP) as peers:
        for peer in peers:
            visitors.fetch(peer.web, "/1k")
        for count in bench.scale.connections:

            def load(peer: Peer, count: int = count) -> tuple[Load, dict[str, float]]:
                return _load(bench, peer, peer.web, count)

            _in_rounds(bench, "keepalive", peers, connections(count), load)


def tls(bench: Bench) -> None:
    """The same for visitors over TLS, with connections that stay open and with a new one per request."""
    with bench.open_peers(HAPROXY, WARP) as peers:
        for count, keep_alive in ((32, True), (128, True), (32, False)):
            variant = connections(count) + ("" if keep_alive else ", each for one request")

            def load(peer: Peer, count: int = count, keep_alive: bool = keep_alive) -> tuple[Load, dict[str, float]]:
                assert peer.tls is not None
                return _load(bench, peer, peer.tls, count, scheme="https", keep_alive=keep_alive)

            _in_rounds(bench, "tls", peers, variant, load)


def transfer(bench: Bench) -> None:
    """One visitor downloads 100 MB, then uploads 100 MB, several times."""
    with bench.open_peers(NGINX, HAPROXY, SSH, WARP) as peers:
        directions = {
            names.DOWN: lambda peer: visitors.download(peer.web, "/100m"),
            names.UP: lambda peer: visitors.upload(peer.tools, "/sink", DOWNLOAD_BYTES),
        }
        rates: dict[tuple[str, str], list[float]] = {}
        for number in range(bench.scale.transfers + 1):
            for peer in peers:
                for metric, move in directions.items():
                    before = peer.cpu_seconds()
                    try:
                        rate = move(peer) / 1e6
                    except OSError as error:
                        raise UnexpectedAnswer(f"{peer.name}, {metric}: {error}") from error
                    if not number:  # the first turn fills the page cache and the peers' buffers
                        continue
                    rates.setdefault((peer.name, metric), []).append(rate)
                    for program, seconds in peer.cpu_seconds().items():
                        used = names.cpu_per_transfer(program, metric)
                        rates.setdefault((peer.name, used), []).append(1000 * (seconds - before[program]))
                    bench.progress(f"transfer {number} of {bench.scale.transfers}: {peer.name} {metric} {rate:,.0f}")
        for peer in peers:
            row = {metric: statistics.median(values) for (name, metric), values in rates.items() if name == peer.name}
            bench.results.add("transfer", "100 MB", peer.name, row)


def idle_visitors(bench: Bench) -> None:
    """Memory for each visitor who was answered once and stays connected."""
    for name in (NGINX, HAPROXY, SSH, WARP):
        with bench.open_peers(name) as peers:
            for peer in peers:
                # sshd looks at every channel whenever one is ready: its time grows with the square of their number.
                count = bench.scale.ssh_visitors if name == SSH else bench.scale.visitors
                visitors.fetch(peer.web, "/1k")
                before = peer.resident_bytes()
                with visitors.idle(peer.web, "/1k", count):
                    row = {names.VISITORS: float(count)}
                    for program, held in peer.resident_bytes().items():
                        row[names.kib_per_visitor(program)] = (held - before[program]) / count / 1024
                bench.progress(f"idle-visitors: {peer.name}, {count:,} connected")
                bench.results.add("idle-visitors", "", peer.name, row)


def idle_tunnels(bench: Bench) -> None:
    """Memory for each idle tunnel, and the time until all are registered and every hostname is answered by DNS."""
    if WARP in bench.peers:
        tunnels.measure(bench)


def slow_visitor(bench: Bench) -> None:
    """One visitor reads 1 GB at 100 KB/s: what that costs, and how far the origin could run ahead."""
    for name in (HAPROXY, SSH, WARP):
        with bench.open_peers(name) as peers:
            for peer in peers:
                for _ in range(20):
                    visitors.fetch(peer.tools, "/sent")
                    visitors.fetch(peer.web, "/1k")
                before = sum(peer.resident_bytes().values())
                most = before
                slow = visitors.SlowVisitors(peer.tools, "/gigabyte", 1, _SLOW_BYTES_PER_SECOND)
                with slow:
                    until = time.monotonic() + bench.scale.slow_seconds
                    while time.monotonic() < until:
                        time.sleep(0.1)
                        most = max(most, sum(peer.resident_bytes().values()))
                    slow.check()
                    sent = int(visitors.fetch(peer.tools, "/sent"))
                    received = slow.received
                row = {
                    names.EXTRA_MEMORY: (most - before) / 2**20,
                    names.AHEAD: (sent - received) / 1e6,
                    names.READ: received / 1e6,
                }
                bench.progress(f"slow-visitor: {peer.name} +{row[names.EXTRA_MEMORY]:.1f} MiB")
                bench.results.add("slow-visitor", "", peer.name, row)


def events(bench: Bench) -> None:
    """Time from the origin's write of a server-sent event to its receipt by the visitor, one every 5 ms."""
    with bench.open_peers(NGINX, HAPROXY, SSH, WARP) as peers:
        for peer in peers:
            visitors.fetch(peer.tools, "/sent")
            cuts = statistics.quantiles(visitors.event_latencies(peer.tools, bench.scale.events), n=100)
            bench.progress(f"events: {peer.name} p50 {cuts[49] * 1000:.2f} ms, p99 {cuts[98] * 1000:.2f} ms")
            bench.results.add("events", "", peer.name, {names.P50: cuts[49] * 1000, names.P99: cuts[98] * 1000})


def slow_crowd(bench: Bench) -> None:
    """The load of 32 connections alone, and beside a crowd of visitors who read a large body at 4 KiB/s each."""
    for name in (HAPROXY, WARP):
        with bench.open_peers(name) as peers:
            for peer in peers:

                def load(peer: Peer) -> tuple[Load, dict[str, float]]:
                    return _load(bench, peer, peer.web, 32)

                load(peer)
                _in_rounds(bench, "slow-crowd", [peer], "alone", load)
                crowd = visitors.SlowVisitors(
                    peer.tools, "/gigabyte", bench.scale.slow_visitors, _CROWD_BYTES_PER_SECOND
                )
                with crowd:
                    _settle(peer, bench.scale.slow_visitors)
                    _in_rounds(bench, "slow-crowd", [peer], "beside slow visitors", load)
                    crowd.check()


def _settle(peer: Peer, count: int) -> None:
    """Wait until the buffers on the way to the crowd are full: the origin sends only what the crowd reads."""
    deadline = time.monotonic() + _CROWD_SETTLE_SECONDS
    sent = 0
    while time.monotonic() < deadline:
        before, sent = sent, int(visitors.fetch(peer.tools, "/sent"))
        if before and sent - before < 2 * count * _CROWD_BYTES_PER_SECOND:
            return
        time.sleep(1)


CASES = [
    Case(name="keepalive", sentence="1 KiB from nginx over connections that stay open.", run=keepalive),
    Case(
        name="tls",
        sentence="1 KiB for visitors over TLS (ECDSA P-256), kept alive and with a new connection per request.",
        run=tls,
    ),
    Case(name="transfer", sentence="100 MB to one visitor, and 100 MB from one visitor.", run=transfer),
    Case(name="idle-visitors", sentence="Memory for each visitor who stays connected and is idle.", run=idle_visitors),
    Case(
        name="idle-tunnels",
        sentence="Memory of the edge for each idle tunnel; time until all are registered and their names answered.",
        run=idle_tunnels,
    ),
    Case(
        name="slow-visitor",
        sentence="A visitor reads at 100 KB/s from an origin that offers 1 GB.",
        run=slow_visitor,
    ),
    Case(name="events", sentence="Server-sent events, from the origin's write to the visitor's receipt.", run=events),
    Case(
        name="slow-crowd",
        sentence="32 connections alone, and beside 1,000 visitors who read slowly (200 with --quick).",
        run=slow_crowd,
    ),
]
