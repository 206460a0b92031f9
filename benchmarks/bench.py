"""
One run: its scale, its directory, how peers are opened for a case, and how progress is told.

Each case opens its peers anew, in a directory of their own, so that memory and connection pools of one case do
not colour the next one's figures.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.certificates import write_certificate
from benchmarks.peers.haproxy import open_haproxy
from benchmarks.peers.origins import open_origins
from benchmarks.peers.peer import WEB_HOSTNAME, Peer
from benchmarks.peers.ssh import open_ssh
from benchmarks.peers.warp import open_warp
from benchmarks.results import Results
from benchmarks.targets import HAPROXY, NGINX, SSH, WARP

PEERS = (NGINX, HAPROXY, SSH, WARP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """
    How much a run does.

    :param seconds: the length of one load by wrk.
    :param rounds: how often each peer takes its turn; the table shows medians.
    """

    seconds: float = 3.0
    rounds: int = 3
    connections: tuple[int, ...] = (1, 32, 128, 512)
    transfers: int = 7
    visitors: int = 10_000
    ssh_visitors: int = 2_000
    tunnels: int = 4_000
    hostnames: int = 1_500
    slow_visitors: int = 1_000
    slow_seconds: float = 8.0
    events: int = 400


QUICK = Scale(
    seconds=1.0,
    rounds=1,
    transfers=3,
    visitors=1_000,
    ssh_visitors=500,
    tunnels=200,
    hostnames=75,
    slow_visitors=200,
    slow_seconds=3.0,
    events=100,
)


@dataclass(slots=True, kw_only=True)
class Bench:
    """
    What a case is given.

    :param directory: temporary; gone when the run ends.
    :param file_limit: how many files this process and each program that it starts may open.
    :param peers: the peers that the user wants, of `PEERS`.
    """

    directory: Path
    scale: Scale
    file_limit: int
    peers: Sequence[str] = PEERS
    results: Results = field(default_factory=Results)
    began_at: float = field(default_factory=time.monotonic)

    def progress(self, text: str) -> None:
        """Tell the user, on standard error, what is going on."""
        print(f"[{time.monotonic() - self.began_at:4.0f} s] {text}", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def open_peers(self, *wanted: str) -> Iterator[list[Peer]]:
        """Run the origins and those peers of `wanted` that the user wants too, and yield the peers in that order."""
        directory = Path(tempfile.mkdtemp(dir=self.directory))
        certificate = write_certificate(directory, [WEB_HOSTNAME])
        openers: dict[str, Callable[[Peer], contextlib.AbstractContextManager[Peer]]] = {
            NGINX: contextlib.nullcontext,
            HAPROXY: lambda origins: open_haproxy(origins, directory, certificate),
            SSH: lambda origins: open_ssh(origins, directory),
            WARP: lambda origins: open_warp(origins, directory, certificate),
        }
        with contextlib.ExitStack() as stack:
            origins = stack.enter_context(open_origins(directory, self.file_limit))
            yield [stack.enter_context(openers[name](origins)) for name in wanted if name in self.peers]
