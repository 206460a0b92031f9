"""Bodies: 100 MB at once, and events that should arrive one by one."""

from __future__ import annotations

import statistics

from benchmarks import results as names
from benchmarks.bench import Bench
from benchmarks.errors import UnexpectedAnswer
from benchmarks.load import visitors
from benchmarks.peers.origins import DOWNLOAD_BYTES
from benchmarks.targets import HAPROXY, NGINX, SSH, WARP


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


def events(bench: Bench) -> None:
    """Time from the origin's write of a server-sent event to its receipt by the visitor, one every 5 ms."""
    with bench.open_peers(NGINX, HAPROXY, SSH, WARP) as peers:
        for peer in peers:
            visitors.fetch(peer.tools, "/sent")
            cuts = statistics.quantiles(visitors.event_latencies(peer.tools, bench.scale.events), n=100)
            bench.progress(f"events: {peer.name} p50 {cuts[49] * 1000:.2f} ms, p99 {cuts[98] * 1000:.2f} ms")
            bench.results.add("events", "", peer.name, {names.P50: cuts[49] * 1000, names.P99: cuts[98] * 1000})
