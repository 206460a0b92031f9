"""
Who asks for more than is allowed: how many get in, what the origin sees of them, and what others notice.

`rates`: ten times as many connections, and requests, as a limit allows. `flood`: an address that is banned goes on
connecting. Bans spare loopback, so the flood comes from another address of this machine; it never leaves the machine.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import results as names
from benchmarks.bench import Bench
from benchmarks.cases.requests import put_load
from benchmarks.errors import BenchmarkError, UnexpectedAnswer
from benchmarks.load import visitors
from benchmarks.load.attempts import Attempts, attempting
from benchmarks.load.prober import probing
from benchmarks.peers.peer import Peer
from benchmarks.peers.warp import Edge
from benchmarks.rounds import Measured, in_rounds, used_since
from benchmarks.targets import ALLOWED_PER_SECOND, RATED_SECONDS, SATURATED, STEADY, flooded, quiet

BURST = 50
ATTEMPTS_PER_SECOND = 500
FLOOD_PER_SECOND = 2_000
_CONNECTIONS = 32
_ASK_SECONDS = 0.005
_LONGER_SECONDS = 2.0  # that a flood lasts beyond the load
_REFUSALS = 20  # after which the policy bans
_ROUNDS_IN_ONE = 2
_LIMITS = """\
defaults:
  limits:
  - {{name: allowed, of: {of}, rate: {rate}/s, burst: {burst}, per: all}}
"""
_BANNING = """\
defaults:
  ban: {refusals: 20, within: 10s, for: 10m}
rules:
- {name: tools, match: {hostname: tools.bench.example}, routes: ["GET /sent"]}
"""


def rates(bench: Bench) -> None:
    """Allow 50 a second, attempt 500 a second for 10 s: of connections, then of requests on connections that stay."""
    for edge, peer, place in bench.each_warp():
        for of in ("connections", "requests"):
            bench.results.add("rates", of, peer.name, _attempt(edge, peer, place, of))
            bench.progress(f"rates: {of} at {peer.name}")


def _attempt(edge: Edge, peer: Peer, place: Path, of: str) -> dict[str, float]:
    """Attempt too much of something, and count at both ends."""
    edge.follow_policy(None)
    before = int(visitors.fetch(peer.tools, "/hits"))
    policy = place / "policy.yaml"
    policy.write_text(_LIMITS.format(of=of, rate=ALLOWED_PER_SECOND, burst=BURST))
    edge.follow_policy(policy)
    attempts = Attempts(
        port=peer.tools.port,
        hostname=peer.tools.hostname,
        per_second=ATTEMPTS_PER_SECOND,
        seconds=RATED_SECONDS,
        keep_alive=of == "requests",
    )
    with attempting(attempts, place) as program:
        pass
    outcome = program.outcome
    edge.follow_policy(None)
    return {
        names.ATTEMPTS: outcome.attempts,
        names.LET_IN: outcome.count(200),
        names.REFUSED: outcome.count(429) + outcome.count("closed"),
        names.SEEN: int(visitors.fetch(peer.tools, "/hits")) - before,
        names.ERRORS: outcome.attempts - outcome.count(200) - outcome.count(429) - outcome.count("closed"),
    }


def flood(bench: Bench) -> None:
    """Visitors alone, and while 2,000 connections a second come from an address that is banned."""
    source = other_address()
    for edge, peer, place in bench.each_warp():
        (place / "policy.yaml").write_text(_BANNING)
        edge.follow_policy(place / "policy.yaml")
        until_banned = _flood_of(peer, source, 100, 1.0)
        with attempting(until_banned, place) as program:
            pass
        if program.outcome.count(403) < _REFUSALS or not program.outcome.count("closed"):
            raise UnexpectedAnswer(f"{peer.name}: {source} was not banned: {program.outcome.statuses}")
        for crowd, load in {STEADY: _ask_steadily, SATURATED: _ask_at_once}.items():
            loads = {
                quiet(crowd): _alone(bench, place, load),
                flooded(crowd): _beside_a_flood(bench, place, load, source),
            }
            in_rounds(bench, "flood", [peer], loads, _ROUNDS_IN_ONE * bench.scale.rounds)


Load = Callable[[Bench, Peer, Path], Measured]


def _alone(bench: Bench, place: Path, load: Load) -> Callable[[Peer], Measured]:
    return lambda peer: load(bench, peer, place)


def _beside_a_flood(bench: Bench, place: Path, load: Load, source: str) -> Callable[[Peer], Measured]:
    """Prepare a load that is put on a peer during a flood, which lasts a little longer."""

    def loaded(peer: Peer) -> Measured:
        attempts = _flood_of(peer, source, FLOOD_PER_SECOND, bench.scale.seconds + _LONGER_SECONDS)
        with attempting(attempts, place) as program:
            measured = load(bench, peer, place)
        outcome = program.outcome
        if outcome.count("closed") < outcome.attempts * 0.99:
            raise UnexpectedAnswer(f"{peer.name}: not all were turned away: {outcome.statuses}")
        metrics = {**measured.metrics, names.REFUSED_PER_SECOND: outcome.count("closed") / outcome.seconds}
        return Measured(metrics=metrics, by_program=measured.by_program)

    return loaded


def _flood_of(peer: Peer, source: str, per_second: float, seconds: float) -> Attempts:
    return Attempts(
        port=peer.tools.port, hostname=peer.tools.hostname, per_second=per_second, seconds=seconds, source=source
    )


def _ask_steadily(bench: Bench, peer: Peer, place: Path) -> Measured:
    """Ask 200 times a second, whatever became of those before."""
    before = peer.cpu_seconds()
    with probing(peer.web, _ASK_SECONDS, place) as prober:
        began = time.monotonic()
        time.sleep(bench.scale.seconds)
        ended = time.monotonic()
    waits = prober.between(began, ended)
    if not waits.seconds or waits.errors > len(waits.seconds) / 100:
        raise UnexpectedAnswer(f"{peer.name}: {waits.errors} errors, {len(waits.seconds)} answers")
    return Measured(
        metrics={names.P50: waits.quantile_ms(0.5), names.P99: waits.quantile_ms(0.99), names.ERRORS: waits.errors},
        by_program={names.CPU_PER_REQUEST: used_since(peer, before, len(waits.seconds), 1e-6)},
    )


def _ask_at_once(bench: Bench, peer: Peer, place: Path) -> Measured:
    """Ask on 32 connections, each as soon as it is answered."""
    return put_load(bench, peer, _CONNECTIONS)


def other_address() -> str:
    """
    Return an address of this machine that is not loopback.

    :raises BenchmarkError: it has none.
    """
    # No packet is sent: the kernel only chooses the address that one to TEST-NET-1 (RFC 5737) would come from.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as chooser:
        try:
            chooser.connect(("192.0.2.1", 9))
        except OSError as error:
            raise BenchmarkError(f"this machine has no address but loopback, which is never banned: {error}") from error
        address: str = chooser.getsockname()[0]
    return address
