"""Bodies: 100 MB at once, and events that should arrive one by one."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from benchmarks import results as names
from benchmarks.bench import Bench
from benchmarks.errors import UnexpectedAnswer
from benchmarks.load import visitors
from benchmarks.peers.origins import DOWNLOAD_BYTES
from benchmarks.peers.peer import Peer
from benchmarks.rounds import Measured, in_rounds, used_since
from benchmarks.targets import CHISEL, HAPROXY, NGINX, RATHOLE, SSH, WARP

_MILLISECOND = 1e-3


def transfer(bench: Bench) -> None:
    """One visitor downloads 100 MB, then uploads 100 MB, several times."""
    with bench.open_peers(NGINX, HAPROXY, CHISEL, RATHOLE, SSH, WARP) as peers:
        for peer in peers:  # fills the page cache and the peers' buffers
            move_both_ways(peer)
        in_rounds(bench, "transfer", peers, {"100 MB": move_both_ways}, bench.scale.transfers)


def move_both_ways(peer: Peer) -> Measured:
    """Download and upload once."""
    metrics: dict[str, float] = {}
    used: dict[str, dict[str, float]] = {}
    moves: tuple[tuple[str, str, Callable[[], float]], ...] = (
        (names.DOWN, names.CPU_DOWN, lambda: visitors.download(peer.web, "/100m")),
        (names.UP, names.CPU_UP, lambda: visitors.upload(peer.tools, "/sink", DOWNLOAD_BYTES)),
    )
    for rate, cpu, move in moves:
        before = peer.cpu_seconds()
        try:
            metrics[rate] = move() / 1e6
        except OSError as error:
            raise UnexpectedAnswer(f"{peer.name}, {rate}: {error}") from error
        used[cpu] = used_since(peer, before, 1, _MILLISECOND)
    return Measured(metrics=metrics, by_program=used)


def events(bench: Bench) -> None:
    """Time from the origin's write of a server-sent event to its receipt by the visitor, one every 5 ms."""
    with bench.open_peers(NGINX, HAPROXY, CHISEL, RATHOLE, SSH, WARP) as peers:
        for peer in peers:
            visitors.fetch(peer.tools, "/sent")
            cuts = statistics.quantiles(visitors.event_latencies(peer.tools, bench.scale.events), n=100)
            bench.progress(f"events: {peer.name} p50 {cuts[49] * 1000:.2f} ms, p99 {cuts[98] * 1000:.2f} ms")
            bench.results.add("events", "", peer.name, {names.P50: cuts[49] * 1000, names.P99: cuts[98] * 1000})
