"""
The body of one request on its way to the origin: how it is read, how much of it at once, and how fast it must come.

Of a body in small chunks a few are read at once, and what is left waits for a turn. Whatever its chunks were, what was
read is passed on as one.
"""

from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.http1.body import CHUNKED, chunks_at_once, encode_piece, make_reader
from warp_twisted.http1.request_fields import FieldRules
from warp_twisted.policy.changes import folded


class _Trailers:
    """Which trailers are not passed on, where a policy takes fields out of requests, too."""

    __slots__ = ("_rules", "_taken_out")

    def __init__(self, rules: FieldRules, taken_out: frozenset[bytes]) -> None:
        self._rules = rules
        self._taken_out = taken_out

    def is_dropped(self, name: bytes) -> bool:
        """Whether a field of this lower-case name is."""
        return folded(name) in self._taken_out or self._rules.is_dropped(name)


class Upload:
    """
    One body.

    :param length: in bytes, or `CHUNKED`.
    :param rules: which fields are passed on, as trailers too.
    :param taken_out: further names of trailers that are not, as `policy.changes.folded` returns them.
    :raises MessageRefused: if it is known to be too large.
    :ivar is_complete: whether it has ended.
    :ivar slow_at: the instant at which the visitor is too slow.
    :ivar bytes_in: of it as they came, the coding included.
    """

    __slots__ = ("_is_chunked", "_reader", "bytes_in", "is_complete", "slow_at")

    def __init__(
        self, length: int, limits: VisitorLimits, rules: FieldRules, taken_out: frozenset[bytes] = frozenset()
    ) -> None:
        self._reader = make_reader(length, limits.body, _Trailers(rules, taken_out) if taken_out else rules)
        self._is_chunked = length == CHUNKED
        self.is_complete = False
        self.slow_at = 0.0
        self.bytes_in = 0

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """
        Take bytes that arrived.

        :returns: what the origin gets for them, and what is left: what follows the body if it is complete, else more of
            it, to be read in another turn.
        :raises MessageRefused: if they cannot be part of the body.
        """
        reader = self._reader
        if self._is_chunked:
            payload, rest = reader.receive(data, chunks_at_once(len(data)))
            payload = encode_piece(payload, reader)
        else:
            payload, rest = reader.receive(data)
        self.is_complete = reader.complete
        self.bytes_in += len(data) - len(rest)
        return payload, rest

    def extend_wait(self, count: int, now: float, seconds: float, per_second: int) -> float:
        """
        Give the visitor time for bytes that it sent, and never more than it had at first.

        A byte now and then would hold a connection, a stream and the origin's attention for ever (Apache's
        `RequestReadTimeout body=…,MinRate=…` and Kestrel's `MinRequestBodyDataRate` are the same).

        :param per_second: bytes that it must send; 0 for no bound.
        :returns: the instant at which it is too slow.
        """
        latest = now + seconds
        if per_second:
            slow_at = self.slow_at + count / per_second
            if slow_at < latest:
                latest = slow_at
        self.slow_at = latest
        return latest
