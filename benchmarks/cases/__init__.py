"""The cases: each opens its peers, puts the same load on one after the other, and notes figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.cases import bodies, crowds, idle_tunnels, requests


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
    Case(name="keepalive", sentence="1 KiB from nginx over connections that stay open.", run=requests.keepalive),
    Case(
        name="tls",
        sentence="1 KiB for visitors over TLS (ECDSA P-256), kept alive and with a new connection per request.",
        run=requests.tls,
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
]
