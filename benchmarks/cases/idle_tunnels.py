"""Thousands of idle tunnels: what each costs the edge, and how long all take to be registered and published."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks import results as names
from benchmarks.bench import Bench
from benchmarks.cases.swarms import open_swarm
from benchmarks.certificates import write_certificate
from benchmarks.load.lookups import wait_until_answered
from benchmarks.peers.peer import WEB_HOSTNAME
from benchmarks.peers.warp import Checkout, open_edge

_REGISTER_SECONDS = 150.0
_ANSWER_SECONDS = 30.0
_REST_SECONDS = 3.0


def measure(bench: Bench) -> None:
    """Measure each tree of Warp that is wanted."""
    for name, checkout in bench.all_warps().items():
        _measure(bench, name, checkout)


def _measure(bench: Bench, name: str, checkout: Checkout) -> None:
    """Run an edge, let the swarm register, ask DNS for every hostname, and see what the edge then holds."""
    count = bench.scale.tunnels
    directory = Path(tempfile.mkdtemp(dir=bench.directory))
    certificate = write_certificate(directory, [WEB_HOSTNAME])
    with open_edge(directory, certificate, checkout) as edge:
        before = edge.process.resident_bytes()
        used_before = edge.process.cpu_seconds()
        with open_swarm(edge, directory, count, bench.scale.hostnames) as members:
            registered = members.wait_until_registered(_REGISTER_SECONDS, bench.progress)
            bench.progress(f"idle-tunnels: {name}, {count:,} registered in {registered.seconds:.1f} s")
            answered_at = wait_until_answered(edge.dns_port, members.hostnames, _ANSWER_SECONDS)
            used = edge.process.cpu_seconds() - used_before
            time.sleep(_REST_SECONDS)
            members.check()
            held = edge.process.resident_bytes() - before
    bench.results.add(
        "idle-tunnels",
        "",
        name,
        {
            names.TUNNELS: count,
            names.HOSTNAMES: len(members.hostnames),
            names.REGISTERED: registered.seconds,
            names.ANSWERED: answered_at - registered.began_at,
            names.CPU_PER_TUNNEL: used / count * 1000,
            names.MEMORY_PER_TUNNEL: held / count / 1024,
        },
    )
