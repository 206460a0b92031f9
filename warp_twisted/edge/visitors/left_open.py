"""
What an edge that drains has left: how many upgraded connections and requests, and how operators read it.

Connections on which nothing is asked are not counted: they close by themselves. Counting looks at all connections, so
it is work in steps.
"""

from collections.abc import Collection, Generator

from warp_twisted.edge.visitors.interfaces import OpenConnection
from warp_twisted.edge.visitors.states import VisitorState

LOOKED_AT_IN_A_STEP = 200


def count_left(connections: Collection[OpenConnection]) -> Generator[None, None, tuple[int, int]]:
    """Count upgraded connections, and requests that are not answered whole; a generator of small steps."""
    upgraded = requests = 0
    for number, connection in enumerate(list(connections), 1):
        if connection.is_upgraded:
            upgraded += 1
        elif connection.state is VisitorState.SERVING or connection.state is VisitorState.QUEUED:
            requests += 1
        if not number % LOOKED_AT_IN_A_STEP:
            yield
    return upgraded, requests


def say_left(upgraded: int, requests: int) -> str:
    """Say it in a few words; nothing if nothing is left."""
    parts = [
        f"{count} {what}{'' if count == 1 else 's'}"
        for count, what in ((upgraded, "WebSocket"), (requests, "request"))
        if count
    ]
    return " and ".join(parts)
