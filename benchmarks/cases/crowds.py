"""Visitors who take their time: thousands who are idle, one who reads slowly, and a crowd of those."""

from __future__ import annotations

import time

from benchmarks import results as names
from benchmarks.bench import Bench
from benchmarks.cases.requests import put_load
from benchmarks.load import visitors
from benchmarks.peers.peer import Peer
from benchmarks.rounds import Measured, in_rounds
from benchmarks.targets import CHISEL, HAPROXY, NGINX, RATHOLE, SSH, WARP

_SLOW_BYTES_PER_SECOND = 100_000
_CROWD_BYTES_PER_SECOND = 4096
_CROWD_SETTLE_SECONDS = 20.0


def idle_visitors(bench: Bench) -> None:
    """Memory for each visitor who was answered once and stays connected."""
    for name in (NGINX, HAPROXY, CHISEL, RATHOLE, SSH, WARP):
        with bench.open_peers(name) as peers:
            for peer in peers:
                # sshd looks at every channel whenever one is ready, so its time grows with the square of their number;
                # the other two take a millisecond and more for each new one.
                count = bench.scale.fewer_visitors if name in (CHISEL, RATHOLE, SSH) else bench.scale.visitors
                visitors.fetch(peer.web, "/1k")
                before = peer.resident_bytes()
                with visitors.idle(peer.web, "/1k", count):
                    held = {
                        program: (now - before[program]) / count / 1024
                        for program, now in peer.resident_bytes().items()
                    }
                bench.progress(f"idle-visitors: {peer.name}, {count:,} connected")
                bench.results.add(
                    "idle-visitors", "", peer.name, {names.VISITORS: count}, {names.MEMORY_PER_VISITOR: held}
                )


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


def slow_crowd(bench: Bench) -> None:
    """The load of 32 connections alone, and beside a crowd of visitors who read a large body at 4 KiB/s each."""
    for name in (HAPROXY, WARP):
        with bench.open_peers(name) as peers:
            for peer in peers:

                def load(peer: Peer) -> Measured:
                    return put_load(bench, peer, 32)

                load(peer)
                in_rounds(bench, "slow-crowd", [peer], {"alone": load}, bench.scale.rounds)
                crowd = visitors.SlowVisitors(
                    peer.tools, "/gigabyte", bench.scale.slow_visitors, _CROWD_BYTES_PER_SECOND
                )
                with crowd:
                    _settle(peer, bench.scale.slow_visitors)
                    in_rounds(bench, "slow-crowd", [peer], {"beside slow visitors": load}, bench.scale.rounds)
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
