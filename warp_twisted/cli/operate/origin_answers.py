"""
What an edge's admin interface answers of origins that get no requests now, or no more than they have.

Parts of `cli.operate.answers`, and read as those are: unknown fields are ignored.
"""

import msgspec


class Ejected(msgspec.Struct, frozen=True):
    """
    An agent's origin that gets no requests, as it failed while others served.

    :ivar state: `ejected`, `due` (the next request is its probe) or `probed`.
    :ivar seconds: until it is probed.
    """

    hostname: str
    agent: str
    path: str = ""
    state: str = "ejected"
    failures: int = 0
    seconds: float = 0.0
    selector: str = ""


class LimitedOrigin(msgspec.Struct, frozen=True):
    """How many requests an origin takes at once, and how many it has."""

    max_requests: int
    requests: int


class Queue(msgspec.Struct, frozen=True):
    """Requests of a hostname and path that wait for a place at one of its origins, which are known by agent."""

    hostname: str
    waiting: int
    path: str = ""
    origins: dict[str, LimitedOrigin] = {}
