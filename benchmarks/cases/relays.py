"""
What a relay costs: one agent whose tunnels are at one edge, and visitors at that edge and at another, which relays.

Both edges, the agent and the origin are the same processes for all loads, which take turns.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.cases.bodies import move_both_ways
from benchmarks.cases.requests import kept_alive
from benchmarks.certificates import write_certificate
from benchmarks.load import visitors
from benchmarks.peers.origins import open_origins
from benchmarks.peers.peer import WEB_HOSTNAME
from benchmarks.peers.warp import open_relay
from benchmarks.rounds import in_rounds
from benchmarks.targets import DIRECT, RELAYED, connections, varied

_CONNECTIONS = (1, 32, 128)


def measure(bench: Bench) -> None:
    """Put the same loads on both edges, in turns."""
    directory = Path(tempfile.mkdtemp(dir=bench.directory))
    certificate = write_certificate(directory, [WEB_HOSTNAME])
    with (
        open_origins(directory, bench.file_limit) as origins,
        open_relay(origins, directory, certificate, names=[DIRECT, RELAYED]) as peers,
    ):
        loads = {varied(128): kept_alive(bench, 128, is_varied=True)}
        loads |= {connections(count): kept_alive(bench, count) for count in _CONNECTIONS}
        for peer in peers:
            visitors.fetch(peer.web, "/1k")
        in_rounds(bench, "relays", peers, loads, bench.scale.rounds)
        for peer in peers:
            move_both_ways(peer)
        in_rounds(bench, "relays", peers, {"100 MB": move_both_ways}, bench.scale.transfers)
