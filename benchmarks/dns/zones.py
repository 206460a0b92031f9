"""
What every server serves and is asked: one zone of 1,500 applications, and the questions as dnsperf reads them.

Pure: text out. The random names are drawn with a fixed seed, so that every run and every server gets the same ones.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

ZONE = "warp.example"
APPLICATIONS = 1500
RANDOM_NAMES = 400_000  # more than any server answers in one load, so that none comes twice


def master_file() -> str:
    """Return the zone: for each application two addresses of each family, a label set and a service."""
    lines = [
        "$TTL 300",
        f"@ SOA ns1.{ZONE}. hostmaster.{ZONE}. 1 3600 600 1209600 10",
        f"@ NS ns1.{ZONE}.",
        "ns1 A 192.0.2.53",
        "edge1 A 192.0.2.1",
        "edge2 A 192.0.2.2",
    ]
    for number in range(APPLICATIONS):
        lines += [
            f"app{number} 30 A 192.0.2.1",
            f"app{number} 30 A 192.0.2.2",
            f"app{number} 30 AAAA 2001:db8::1",
            f"app{number} 30 AAAA 2001:db8::2",
            f'app{number} 30 TXT "release=stable"',
            f"_http._tcp.app{number} 30 SRV 0 10 443 edge1",
        ]
    return "\n".join(lines) + "\n"


def large_master_file(serial: int, names: Sequence[str]) -> str:
    """Return a zone with an address for each of so many names."""
    lines = [
        "$TTL 300",
        f"@ SOA ns1.{ZONE}. hostmaster.{ZONE}. {serial} 3600 600 1209600 10",
        f"@ NS ns1.{ZONE}.",
        "ns1 A 192.0.2.53",
        *(f"{name} A 192.0.2.{number % 250 + 1}" for number, name in enumerate(names)),
    ]
    return "\n".join(lines) + "\n"


def warm_questions() -> Iterator[str]:
    """Yield each application's address question, one in eight for IPv6, in random order."""
    draw = random.Random(1)
    numbers = list(range(APPLICATIONS))
    draw.shuffle(numbers)
    for number in numbers:
        yield f"app{number}.{ZONE} {'AAAA' if draw.random() < 1 / 8 else 'A'}"


def random_questions() -> Iterator[str]:
    """Yield questions for names that do not exist, each once, as in a random-subdomain attack."""
    draw = random.Random(2)
    for _ in range(RANDOM_NAMES):
        label = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=draw.randint(6, 16)))
        yield f"{label}.{ZONE} A"
