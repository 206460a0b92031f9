"""
Which origins of one route fail while others serve: an outlier gets no requests for a while, then one to prove itself.

Pure: answers come in, with the instant; out comes whether an agent's tunnels may be chosen. An origin that fails some
times in a row is ejected, for longer each time, but never more than half of those that there are, those that their
agents' own probes find unwell included. When its time is over
one real request goes to it: a good answer brings it back. What counts as a failure is the caller's to say.
"""

from collections.abc import Mapping
from enum import Enum

FAILURES = 5  # in a row; as Envoy's consecutive_5xx
FIRST_SECONDS = 10.0
LONGEST_SECONDS = 300.0  # also until an origin that has behaved is ejected as if for the first time
PROBE_SECONDS = 30.0  # for a request that has no end; then another one is the probe


class OriginState(Enum):
    """Whether an agent's origin is used."""

    USED = "as any other"
    EJECTED = "it gets no requests while others serve"
    DUE = "its time is over: the next request is its probe"
    PROBED = "the probe is under way, and nothing else goes there"


_USED, _EJECTED, _DUE, _PROBED = OriginState.USED, OriginState.EJECTED, OriginState.DUE, OriginState.PROBED


class Origin:
    """
    What is known of one agent's origin.

    :ivar failures: since the last good answer.
    :ivar until: when it is ejected no longer, or the probe is given up.
    :ivar is_unwell: whether the agent's own probes say that it is not healthy.
    """

    __slots__ = ("ejections", "failures", "is_unwell", "state", "until")

    def __init__(self) -> None:
        self.state = _USED
        self.failures = 0
        self.ejections = 0
        self.until = 0.0
        self.is_unwell = False

    @property
    def is_out(self) -> bool:
        """Whether its tunnels are chosen only where there is no other."""
        return self.state is _EJECTED or self.state is _PROBED

    def lent(self, now: float) -> bool:
        """Note that a request goes there; return whether no other may now."""
        if self.state is not _DUE:
            return False
        self.state = _PROBED
        self.until = now + PROBE_SECONDS
        return True

    def probed(self, now: float, *, is_well: bool) -> None:
        """Note what the agent's probes say: when they find it well again, a request may prove it at once."""
        if is_well and self.is_unwell and self.state is _EJECTED:
            self.until = min(self.until, now)
        self.is_unwell = not is_well

    def answered(self) -> bool:
        """Note a good answer; return whether the origin is used again."""
        if self.state is _EJECTED:
            return False  # it was asked before
        self.failures = 0
        is_back = self.state is not _USED
        self.state = _USED
        return is_back

    def failed(self, origins: Mapping[str, "Origin"], now: float) -> bool:
        """
        Note a failure.

        :param origins: all of the route, by agent.
        :returns: whether the origin is ejected now.
        """
        if self.state is _EJECTED:
            return False
        self.failures += 1
        if self.state is _USED:
            others = sum(
                origin is not self and (origin.is_unwell or origin.state is not _USED) for origin in origins.values()
            )
            if self.failures < FAILURES or (others + 1) * 2 > len(origins):
                return False
            if now - self.until > LONGEST_SECONDS:
                self.ejections = 0
        self.state = _EJECTED
        self.until = now + min(FIRST_SECONDS * 2**self.ejections, LONGEST_SECONDS)
        self.ejections = min(self.ejections + 1, 10)
        return True

    def look(self, now: float) -> bool:
        """Return whether a probe is due now, that was not before."""
        if not self.is_out or now < self.until:
            return False
        self.state = _DUE
        return True
