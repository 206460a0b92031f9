"""
Requests of 1 KiB: rate, latency and CPU, over connections that stay open and over new ones, without and with TLS.

The first row is what browsers send and applications answer: heads of 13 fields that are never the same twice. Behind it
come the identical heads that load generators send by themselves, which flatter whoever remembers what it has parsed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks import results as names
from benchmarks.bench import Bench
from benchmarks.errors import UnexpectedAnswer
from benchmarks.load import handshakes, visitors, wrk
from benchmarks.peers.peer import Peer
from benchmarks.rounds import Measured, in_rounds, used_since
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
    varied,
)

_VARIED_CONNECTIONS = (32, 128)
_NEW_CONNECTIONS = 32
_MICROSECOND = 1e-6


def put_load(
    bench: Bench,
    peer: Peer,
    count: int,
    *,
    keep_alive: bool = True,
    is_varied: bool = False,
    is_secure: bool = False,
    tokens: Path | None = None,
    seconds: float | None = None,
) -> Measured:
    """
    Put one load of requests on a peer.

    :param tokens: that requests carry, as of `wrk.run`.
    :param seconds: unless it is that of the scale.
    :raises UnexpectedAnswer: if more than one answer in a hundred is an error.
    """
    address = peer.tls if is_secure else peer.web
    assert address is not None
    before = peer.cpu_seconds()
    load = wrk.run(
        f"{'https' if is_secure else 'http'}://{address.host}:{address.port}{'/varied' if is_varied else '/1k'}",
        count,
        seconds or bench.scale.seconds,
        address.hostname,
        keep_alive=keep_alive,
        varied=is_varied,
        tokens=tokens,
    )
    _refuse_errors(peer, load.errors, load.requests)
    rate, cpu = (names.REQUESTS, names.CPU_PER_REQUEST) if keep_alive else (names.CONNECTIONS, names.CPU_PER_CONNECTION)
    return Measured(
        metrics={
            rate: load.per_second,
            names.P50: 1000 * load.p50_seconds,
            names.P99: 1000 * load.p99_seconds,
            names.ERRORS: load.errors,
        },
        by_program={cpu: used_since(peer, before, load.requests, _MICROSECOND)},
    )


def _refuse_errors(peer: Peer, errors: int, answers: int) -> None:
    if not answers or errors > answers / 100:
        raise UnexpectedAnswer(f"{peer.name}: {errors} errors, {answers} answers")


def keepalive(bench: Bench) -> None:
    """Requests per second, latency and CPU with connections that stay open."""
    loads = {varied(count): kept_alive(bench, count, is_varied=True) for count in _VARIED_CONNECTIONS}
    loads |= {connections(count): kept_alive(bench, count) for count in bench.scale.connections}
    with bench.open_peers(NGINX, HAPROXY, CHISEL, RATHOLE, SSH, WARP) as peers:
        for peer in peers:
            visitors.fetch(peer.web, "/1k")
        in_rounds(bench, "keepalive", peers, loads, bench.scale.rounds)


def tls(bench: Bench) -> None:
    """The same for visitors over TLS."""
    loads = {
        varied(128): kept_alive(bench, 128, is_varied=True, is_secure=True),
        connections(32): kept_alive(bench, 32, is_secure=True),
        connections(128): kept_alive(bench, 128, is_secure=True),
    }
    with bench.open_peers(HAPROXY, WARP) as peers:
        in_rounds(bench, "tls", peers, loads, bench.scale.rounds)


def kept_alive(
    bench: Bench, count: int, *, is_varied: bool = False, is_secure: bool = False
) -> Callable[[Peer], Measured]:
    """Prepare a load of requests on `count` connections."""

    def load(peer: Peer) -> Measured:
        return put_load(bench, peer, count, is_varied=is_varied, is_secure=is_secure)

    return load


def new_connections(bench: Bench) -> None:
    """A new connection for each request: plain, with a whole TLS handshake, and with one that resumes a session."""
    with bench.open_peers(NGINX, HAPROXY, CHISEL, RATHOLE, SSH, WARP) as peers:
        plain = {PLAIN_CONNECTION: lambda peer: put_load(bench, peer, _NEW_CONNECTIONS, keep_alive=False)}
        in_rounds(bench, "connections", peers, plain, bench.scale.rounds)
    with bench.open_peers(HAPROXY, WARP) as peers:
        secure = {
            FULL_HANDSHAKE: lambda peer: _shake_hands(bench, peer, is_resuming=False),
            RESUMED_HANDSHAKE: lambda peer: _shake_hands(bench, peer, is_resuming=True),
        }
        in_rounds(bench, "connections", peers, secure, bench.scale.rounds)


def _shake_hands(bench: Bench, peer: Peer, *, is_resuming: bool) -> Measured:
    """Put one load of TLS handshakes on a peer."""
    assert peer.tls is not None
    before = peer.cpu_seconds()
    load = handshakes.run(peer.tls, bench.scale.seconds, is_resuming=is_resuming)
    _refuse_errors(peer, load.errors, load.connections)
    return Measured(
        metrics={
            names.CONNECTIONS: load.per_second,
            names.P50: 1000 * load.p50_seconds,
            names.P99: 1000 * load.p99_seconds,
            names.ERRORS: load.errors,
            names.RESUMED: load.resumed_percent,
        },
        by_program={names.CPU_PER_CONNECTION: used_since(peer, before, load.connections, _MICROSECOND)},
    )
