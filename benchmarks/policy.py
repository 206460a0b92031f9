"""
`python -m benchmarks.policy`: what a policy costs a request, in memory.

200 rules over 50 hostnames, each with a path, a list of addresses and a route; the same 200 on one hostname; a rule
that asks for a visitor's certificate, which was verified for a request before; and a hostname without rules, for which
an edge has no program to ask. Processor time, the best of some rounds. Then a limit that is asked by one visitor again
and again, and by a million visitors, and the memory that this takes.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.certificates import visitor_certificate
from benchmarks.layout import table
from warp_twisted.cli.policy.parts import OfflineParts
from warp_twisted.edge.policy.parts import PolicyParts
from warp_twisted.policy.document.limits import Limit
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.judging.compiler import CompiledPolicy, compile_policy
from warp_twisted.policy.limiters import RateLimiter
from warp_twisted.policy.visitor import Visitor

RULES = 200
HOSTNAMES = 50
VISITORS = 1_000_000
ROUNDS = 7


def sample_policy(hostnames: int) -> CompiledPolicy:
    """Return 200 rules, spread over some hostnames."""
    rules = "".join(
        f"- name: rule-{number}\n"
        f"  match: {{hostname: app-{number % hostnames}.warp.example, path: /area-{number}/*}}\n"
        "  sources: {deny: [192.0.2.0/24]}\n"
        f"  routes: ['GET /area-{number}/*', 'POST /area-{number}/orders']\n"
        for number in range(RULES)
    )
    return compile_policy(parse_policy(f"rules:\n{rules}", "policy"), OfflineParts(Path()))


def certificate_policy() -> tuple[CompiledPolicy, bytes]:
    """Return a rule that asks for a certificate, and one in DER that it takes."""
    authority, certificate = visitor_certificate()
    text = b"rules: [{name: r, authenticate: {any_of: [{client_certificate: {ca_file: ca.pem}}]}}]"
    with TemporaryDirectory() as directory:
        (Path(directory) / "ca.pem").write_bytes(authority)
        return compile_policy(parse_policy(text, "policy"), PolicyParts(Path(directory), {})), certificate


def microseconds(call: Callable[[], object], times: int = 20_000) -> float:
    """Return the processor time of one call, the best of some rounds."""
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(times):
            call()
        found.append(time.process_time() - began)
    return min(found) / times * 1e6


def measured(times: int = 20_000) -> list[tuple[str, float]]:
    """Return what was measured, and the processor time of a request in microseconds."""
    visitor = Visitor("198.51.100.7", "198.51.100.7")
    found = []
    for name, hostnames, path in (
        ("200 rules over 50 hostnames, one matches", HOSTNAMES, b"/area-0/users/9?page=2"),
        ("200 rules over 50 hostnames, none matches", HOSTNAMES, b"/other/users/9?page=2"),
        ("200 rules on one hostname, one matches", 1, b"/area-0/users/9?page=2"),
    ):
        program = sample_policy(hostnames).program_for("app-0.warp.example")
        assert program is not None
        judge = program.judge

        def request(path: bytes = path, judge: Callable[..., object] = judge) -> object:
            return judge(Facts("app-0.warp.example", b"GET", path, "https", visitor), 1.0, 1.0)

        found.append((name, microseconds(request, times)))
    asking, certificate = certificate_policy()
    program = asking.program_for("app-0.warp.example")
    assert program is not None
    wall, prove = time.time(), program.judge

    def proven() -> object:
        chain = (certificate,)
        return prove(Facts("app-0.warp.example", b"GET", b"/", "https", visitor, chain=chain), 1.0, wall)

    found.append(("a certificate of the visitor's, verified before", microseconds(proven, times)))
    policy = sample_policy(HOSTNAMES)
    held: Sequence[object] = (policy.program_for("other.warp.example"),)
    found.append(("a hostname without rules", microseconds(lambda: held[0] is None, times)))
    return found


def limited(visitors: int = VISITORS) -> list[tuple[str, str]]:
    """
    Return what a limit costs a decision in microseconds of processor time, and the memory that it takes.

    :param visitors: how many there are; 10 µs apart, so that each has long paid what it owes of 50 a second, while of
        one a minute all owe.
    """
    quick, slow = (Limit(name="visitors", rate=rate, burst=50) for rate in ("50/s", "1/m"))
    alone = RateLimiter(quick)
    found = [("one visitor", f"{microseconds(lambda: alone.take('198.51.100.7', 0.001, 1.0)):.2f}")]
    for name, limit in ((f"{visitors:,} visitors, 50/s", quick), (f"{visitors:,} visitors who all owe", slow)):
        many = RateLimiter(limit)
        networks = [_network(number) for number in range(visitors)]
        now, began = 0.0, time.process_time()
        for network in networks:
            now += 1e-5
            many.take(network, 1.0, now)
        spent = (time.process_time() - began) / visitors * 1e6
        known = len(many)
        del many, networks
        tracemalloc.start()
        again = RateLimiter(limit)
        for number in range(visitors):
            again.take(_network(number), 1.0, number * 1e-5)
        memory = tracemalloc.get_traced_memory()[0] / 1e6
        tracemalloc.stop()
        found.append((name, f"{spent:.2f}; {known:,} known, {memory:.1f} MB"))
    return found


def _network(number: int) -> str:
    return f"{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}.7"


def main() -> None:
    """Measure and print."""
    print(table([["policy", "µs CPU a request"], *([name, f"{value:.2f}"] for name, value in measured())]))
    print()
    print(table([["limit", "µs CPU a decision"], *([name, text] for name, text in limited())]))


if __name__ == "__main__":
    main()
