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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.certificates import write_certificate
from benchmarks.errors import ProgramMissing
from benchmarks.peers import installed
from benchmarks.peers.chisel import open_chisel
from benchmarks.peers.haproxy import open_haproxy
from benchmarks.peers.origins import open_origins
from benchmarks.peers.peer import WEB_HOSTNAME, Peer
from benchmarks.peers.rathole import open_rathole
from benchmarks.peers.ssh import open_ssh
from benchmarks.peers.warp import THIS, Checkout, Edge, open_agent, open_edge, open_warp
from benchmarks.results import Results
from benchmarks.targets import CHISEL, HAPROXY, NGINX, RATHOLE, SSH, WARP

PEERS = (NGINX, HAPROXY, CHISEL, RATHOLE, SSH, WARP)
BUILT = {CHISEL: installed.CHISEL, RATHOLE: installed.RATHOLE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """
    How much a run does.

    :param seconds: the length of one load by wrk.
    :param rounds: how often each peer takes its turn; the table shows medians.
    :param connections: of the requests whose heads are identical.
    :param large_tunnels: of the case `large`, with `large_hostnames`.
    """

    seconds: float = 3.0
    rounds: int = 3
    connections: tuple[int, ...] = (1, 32, 128, 512)
    transfers: int = 7
    visitors: int = 10_000
    fewer_visitors: int = 2_000
    tunnels: int = 4_000
    hostnames: int = 1_500
    large_tunnels: int = 16_000
    large_hostnames: int = 10_000
    large_idle_seconds: float = 20.0
    slow_visitors: int = 1_000
    slow_seconds: float = 8.0
    events: int = 400


QUICK = Scale(
    seconds=1.0,
    rounds=1,
    transfers=3,
    visitors=1_000,
    fewer_visitors=500,
    tunnels=200,
    hostnames=75,
    large_tunnels=1_600,
    large_hostnames=1_000,
    large_idle_seconds=5.0,
    slow_visitors=200,
    slow_seconds=3.0,
    events=100,
)


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@dataclass(slots=True, kw_only=True)
class Bench:
    """
    What a case is given.

    :param directory: temporary; gone when the run ends.
    :param file_limit: how many files this process and each program that it starts may open.
    :param peers: the peers that the user wants, of `PEERS`.
    :param tell: takes a line of progress; printed on standard error.
    :param checkouts: other trees of Warp to run beside this one, by the name that they have in the report.
    """

    directory: Path
    scale: Scale
    file_limit: int
    peers: Sequence[str] = PEERS
    checkouts: Mapping[str, Checkout] = field(default_factory=dict)
    results: Results = field(default_factory=Results)
    began_at: float = field(default_factory=time.monotonic)
    tell: Callable[[str], None] = _print
    _built: dict[str, Path] = field(default_factory=dict)

    def progress(self, text: str) -> None:
        """Tell the user, on standard error, what is going on."""
        self.tell(f"[{time.monotonic() - self.began_at:4.0f} s] {text}")

    def fail(self, case: str, reason: str) -> None:
        """Note that a case, or a peer in it, could not be measured."""
        self.progress(f"{case} failed: {reason}")
        self.results.failures.setdefault(case, []).append(reason)

    def prepare(self) -> None:
        """Build the peers that Debian does not have; those that cannot be had are left out, and that is noted."""
        for name in self.peers:
            if name in BUILT:
                try:
                    self._built[name] = installed.installed(BUILT[name], self.progress)
                except ProgramMissing as error:
                    self.progress(f"{name} is left out: {error}")
                    self.results.skipped[name] = str(error)

    def built_versions(self) -> dict[str, str]:
        """Tell the versions of those peers that Debian does not have and that are here."""
        return {name: BUILT[name].version for name in self._built}

    def all_warps(self) -> dict[str, Checkout]:
        """List the trees of Warp to measure: this one if it is wanted, then the others."""
        return ({WARP: THIS} if WARP in self.peers else {}) | dict(self.checkouts)

    def wanted(self, *names: str) -> list[str]:
        """Choose those peers of `names` that the user wants and that are here; other trees go where Warp goes."""
        chosen = [name for name in names if name in self.peers and name not in self.results.skipped]
        return chosen + (list(self.checkouts) if WARP in names else [])

    @contextlib.contextmanager
    def open_peers(self, *names: str) -> Iterator[list[Peer]]:
        """Run the origins and those peers of `names` that are `wanted`, and yield the peers in that order."""
        directory = Path(tempfile.mkdtemp(dir=self.directory))
        certificate = write_certificate(directory, [WEB_HOSTNAME])
        openers: dict[str, Callable[[Peer, Path], contextlib.AbstractContextManager[Peer]]] = {
            NGINX: lambda origins, place: contextlib.nullcontext(origins),
            HAPROXY: lambda origins, place: open_haproxy(origins, place, certificate),
            CHISEL: lambda origins, place: open_chisel(origins, place, self._built[CHISEL]),
            RATHOLE: lambda origins, place: open_rathole(origins, place, self._built[RATHOLE], certificate),
            SSH: open_ssh,
        }
        for name, checkout in self.all_warps().items():
            openers[name] = partial(_open_warp, certificate, name, checkout)
        with contextlib.ExitStack() as stack:
            origins = stack.enter_context(open_origins(directory, self.file_limit))
            peers = []
            for number, name in enumerate(self.wanted(*names)):
                place = directory / f"peer{number}"
                place.mkdir()
                peers.append(stack.enter_context(openers[name](origins, place)))
            yield peers

    def each_warp(self) -> Iterator[tuple[Edge, Peer, Path]]:
        """Yield `all_warps` one after the other, each running before the same origins, and a directory for it."""
        directory = Path(tempfile.mkdtemp(dir=self.directory))
        certificate = write_certificate(directory, [WEB_HOSTNAME])
        with open_origins(directory, self.file_limit) as origins:
            for number, (name, checkout) in enumerate(self.all_warps().items()):
                place = directory / f"peer{number}"
                place.mkdir()
                with (
                    open_edge(place, certificate, checkout) as edge,
                    open_agent(edge, origins, place, name=name, checkout=checkout) as peer,
                ):
                    yield edge, peer, place


def _open_warp(
    certificate: Path, name: str, checkout: Checkout, origins: Peer, directory: Path
) -> contextlib.AbstractContextManager[Peer]:
    return open_warp(origins, directory, certificate, name=name, checkout=checkout)
