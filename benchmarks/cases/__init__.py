"""The cases: each opens its peers, puts the same load on one after the other, and notes figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.cases import bodies, crowds, floods, idle_tunnels, large, policy, relays, requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    One thing to measure.

    :param sentence: what is measured, for the report and for --list.
    """

    name: str
    sentence: str
    run: Callable[[Bench], None]


CASES = [
    Case(
        name="keepalive",
        sentence=(
            "1 KiB from nginx over connections that stay open: with 13 fields of which some differ from request to "
            "request (Referer, Cookie; ETag, Set-Cookie of the answer), and with a load generator's identical heads."
        ),
        run=requests.keepalive,
    ),
    Case(name="tls", sentence="The same for visitors over TLS (ECDSA P-256).", run=requests.tls),
    Case(
        name="connections",
        sentence="A new connection for each request: plain; with a full TLS handshake; with a resumed session.",
        run=requests.new_connections,
    ),
    Case(
        name="relays",
        sentence=(
            "Visitors of the edge that has the agent's tunnels, and of another edge of the fleet, which relays to it; "
            "the CPU of the second is that of both edges and the agent."
        ),
        run=relays.measure,
    ),
    Case(
        name="policy",
        sentence=(
            "What a policy costs a request, over 128 connections with heads that vary and 100 tokens: 200 rules over "
            "50 hostnames, 200,000 prefixes, signed tokens, a limit. One edge, which reloads between the loads."
        ),
        run=policy.measure,
    ),
    Case(name="transfer", sentence="100 MB to one visitor, and 100 MB from one visitor.", run=bodies.transfer),
    Case(
        name="idle-visitors",
        sentence="Memory for each visitor who stays connected and is idle.",
        run=crowds.idle_visitors,
    ),
    Case(
        name="idle-tunnels",
        sentence="Memory of the edge for each idle tunnel; time until all are registered and their names answered.",
        run=idle_tunnels.measure,
    ),
    Case(
        name="slow-visitor",
        sentence="A visitor reads at 100 KB/s from an origin that offers 1 GB.",
        run=crowds.slow_visitor,
    ),
    Case(
        name="events",
        sentence="Server-sent events, from the origin's write to the visitor's receipt.",
        run=bodies.events,
    ),
    Case(
        name="slow-crowd",
        sentence="32 connections alone, and beside 1,000 visitors who read slowly (200 with --quick).",
        run=crowds.slow_crowd,
    ),
    Case(
        name="rates",
        sentence="50 connections, or requests, a second are allowed, burst 50; 500 a second are attempted for 10 s.",
        run=floods.rates,
    ),
    Case(
        name="flood",
        sentence="Visitors alone, and beside 2,000 connections a second of an address that is banned.",
        run=floods.flood,
    ),
]

LARGE = Case(
    name=large.CASE,
    sentence=(
        "Only with --large. 16,000 tunnels with 10,000 hostnames on one edge register, rest, are listed, and are lost "
        "at one instant; all the while a visitor asks for another hostname."
    ),
    run=large.measure,
)

ALL_CASES = [*CASES, LARGE]
