"""
Whether the peer of one tunnel is still there: when it was heard last, when to ask it, when to give it up (spec.md §5).

Arithmetic on instants; `tunnel.protocol` asks it and does what it says.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import random

from warp_twisted.tunnel.limits import TunnelTimes


@dataclass(slots=True)
class _Ping:
    """A ping that has not been answered: when it was sent, and whom to call then."""

    sent_at: float
    answered: list[Callable[[], None]] = field(default_factory=list)


class Liveness:
    """
    What is known of one peer.

    :param times: how long each wait is.
    :param asks_first: whether to ask sooner than the peer does, not later. An edge does: it asks many tunnels in a turn
        of the event loop, while each question of an agent costs it a turn or two of their own.
    :ivar heard_at: when bytes came last.
    :ivar round_trip_seconds: how long the last ping took, or None.
    """

    __slots__ = ("_asks_first", "_measured_at", "_ping_after", "_pings", "_times", "heard_at", "round_trip_seconds")

    def __init__(self, times: TunnelTimes, *, asks_first: bool) -> None:
        self._asks_first = asks_first
        self.follow(times)
        self._measured_at = float("-inf")
        self._pings: dict[int, _Ping] = {}  # that have not been answered, the newest last
        self.heard_at = 0.0
        self.round_trip_seconds: float | None = None

    def follow(self, times: TunnelTimes) -> None:
        """Use other times from now on."""
        self._times = times
        jitter = times.ping_jitter * random()  # noqa: S311  # no secret
        self._ping_after = times.ping_seconds * (1 - jitter if self._asks_first else 1 + jitter)

    def silent_seconds(self, now: float) -> float | None:
        """Return for how long the peer was silent, if that is too long; else None."""
        silent = now - self.heard_at
        return silent if silent >= self._times.silence_seconds else None

    def is_ping_due(self, now: float) -> bool:
        """Return whether to ping: the peer is quiet, or the round trip was not measured for long."""
        return now - self.heard_at >= self._ping_after or now - self._measured_at >= self._times.measure_seconds

    @property
    def is_asked(self) -> bool:
        """Whether a ping has not been answered."""
        return bool(self._pings)

    def pinged(self, value: int, now: float) -> None:
        """Note a ping that was sent."""
        self._measured_at = now
        self._pings[value] = _Ping(now)

    def call_when_answered(self, answered: Callable[[], None]) -> None:
        """Call a function when the newest ping is answered; there must be one (`is_asked`)."""
        self._pings[next(reversed(self._pings))].answered.append(answered)

    def ponged(self, value: int, now: float) -> None:
        """Note the answer to one."""
        ping = self._pings.pop(value)
        self.round_trip_seconds = now - ping.sent_at
        for answered in ping.answered:
            answered()

    def seconds_until_due(self, now: float) -> float:
        """Return when to look again: at the next ping, or at the end of the wait for an answer."""
        silent = now - self.heard_at
        until_ping = self._ping_after - silent
        return until_ping if until_ping > 0 else self._times.silence_seconds - silent
