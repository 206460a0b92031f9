"""Requests with credentials, for the tests of checks."""

from warp_twisted.policy.facts import Facts
from warp_twisted.policy.visitor import Visitor

NOW = 1_000.0
WALL = 1_795_000_000.0


def request(*lines: str, chain: tuple[bytes, ...] = ()) -> Facts:
    """Return the facts of a GET with these field lines."""
    return Facts(
        "app.example",
        b"GET",
        b"/",
        "https",
        Visitor("203.0.113.9", "203.0.113.9"),
        b"".join(line.encode("latin-1") + b"\r\n" for line in lines),
        chain=chain,
    )
