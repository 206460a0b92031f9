"""
What becomes of a stream that another edge opens here: it goes to a tunnel of this edge, or nowhere.

The other edge has chosen the agent, by labels, cookies and health of the whole fleet; among the agent's tunnels here
the least busy is taken. A stream that this edge could only relay again is refused, so there are no circles. What drains
or was cut stands in no route, and gets nothing; an origin that takes only so many requests at once counts those of
other edges as well, of each of them no more than one visitor may have.
"""

from collections.abc import Callable
from contextlib import suppress

from warp_twisted.edge.relays.counters import RelayCounters
from warp_twisted.edge.relays.relayed_stream import RelayedStream
from warp_twisted.edge.routes.pool import Member
from warp_twisted.edge.routes.route import Route
from warp_twisted.wire.errors import CannotOpenStream
from warp_twisted.wire.preamble import OpeningCode, encode_opening
from warp_twisted.wire.relayed import RelayPreamble
from warp_twisted.wire.streams import DISCARD, Stream

RouteOf = Callable[[str, str], Route | None]


class Arrivals:
    """
    Takes streams of other edges.

    :param route_of: returns the route of a hostname or pattern and a path rule.
    :param counters: of relayed streams.
    """

    def __init__(self, route_of: RouteOf, counters: RelayCounters) -> None:
        self._route_of = route_of
        self._counters = counters

    def take(self, edge: str, stream: Stream, relayed: RelayPreamble) -> None:
        """
        Join a stream to one of a tunnel, or answer why not.

        :param edge: that opened it, as its certificate says.
        """
        counted = self._counters.of(edge)
        counted.streams += 1
        members = self._members(relayed)
        if not members:
            counted.refused += 1
            _refuse(stream, OpeningCode.NOT_RELAYED_AGAIN, "the edge has no tunnel of its own for it")
            return
        joined = RelayedStream(stream, f"edge {edge}", counted)
        for member in members:
            with suppress(CannotOpenStream):
                joined.begin(member)
                return
        counted.refused += 1
        _refuse(stream, OpeningCode.OVERLOADED, "the agent's tunnels, or its origin, take no more")

    def _members(self, relayed: RelayPreamble) -> list[Member]:
        """Return the tunnels of this edge that may serve it, the best first."""
        route = self._route_of(relayed.hostname, relayed.rule) if relayed.hops else None
        if route is None:
            return []
        members = [member for member in route.members_of(relayed.agent) if not member.load.is_remote]
        return sorted(members, key=lambda member: (member.is_suspected, member.load.active))


def _refuse(stream: Stream, code: OpeningCode, detail: str) -> None:
    stream.receiver = DISCARD
    stream.write(encode_opening(code, detail))
    stream.end()
