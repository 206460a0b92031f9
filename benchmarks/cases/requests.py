"""
Requests of 1 KiB: rate, latency and CPU, without and with TLS.

Peers take turns within a round rather than one finishing before the next begins, so that a busy neighbour of the
machine disturbs all of them alike; the medians over the rounds are noted.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from benchmarks import results as names
from benchmarks.bench import Bench
from benchmarks.errors import UnexpectedAnswer
from benchmarks.load import visitors, wrk
from benchmarks.load.visitors import Address
from benchmarks.load.wrk import Load
from benchmarks.peers.peer import Peer
from benchmarks.targets import HAPROXY, NGINX, SSH, WARP, connections


def put_load(
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


def in_rounds(
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
                return put_load(bench, peer, peer.web, count)

            in_rounds(bench, "keepalive", peers, connections(count), load)


def tls(bench: Bench) -> None:
    """The same for visitors over TLS, with connections that stay open and with a new one per request."""
    with bench.open_peers(HAPROXY, WARP) as peers:
        for count, keep_alive in ((32, True), (128, True), (32, False)):
            variant = connections(count) + ("" if keep_alive else ", each for one request")

            def load(peer: Peer, count: int = count, keep_alive: bool = keep_alive) -> tuple[Load, dict[str, float]]:
                assert peer.tls is not None
                return put_load(bench, peer, peer.tls, count, scheme="https", keep_alive=keep_alive)

            in_rounds(bench, "tls", peers, variant, load)
