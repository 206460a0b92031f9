"""
Whether other edges have healthy tunnels of a share: what this edge cannot judge by its own.

The registry knows the tunnels of the fleet, so it is asked here. To look at all of them takes milliseconds where there
are thousands, so that is done in steps, and an answer is kept for some seconds.
"""

from collections.abc import Iterator

from warp_base.slices import in_steps
from warp_twisted.names import HostnamePattern
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Tunnel
from warp_twisted.routing.split import Split

KEPT_SECONDS = 10.0
MAX_KEPT = 1_000
LOOKED_AT = 128  # tunnels in a step: some 0.3 ms


class Elsewhere:
    """
    The shares of splits, as the other edges serve them.

    :param edge: this one's name.
    """

    def __init__(self, mirror: Mirror, edge: str) -> None:
        self._mirror = mirror
        self._edge = edge
        self._kept: dict[tuple[str, int], tuple[float, bool]] = {}  # by digest and share: until when, and the answer

    def is_healthy(self, split: Split, share: int) -> bool:
        """Return whether a share had a healthy tunnel at another edge when that was looked at."""
        return self._kept.get((split.digest, share), (0.0, False))[1]

    def look(self, split: Split, share: int, now: float) -> Iterator[None]:
        """
        Look at the tunnels of the fleet, in steps; there are none while the last answer is good enough.

        :param now: of a clock that never goes back.
        """
        key = split.digest, share
        if now < self._kept.get(key, (float("-inf"), False))[0]:
            return
        pattern, answer = HostnamePattern.parse(split.hostname), False
        for some in in_steps(list(self._mirror.tunnels.values()), LOOKED_AT):
            answer = any(
                tunnel.edge != self._edge and _serves(tunnel, pattern) and split.share_of(tunnel.labels) == share
                for tunnel in some
            )
            if answer:
                break
            yield
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[key] = now + KEPT_SECONDS, answer


def _serves(tunnel: Tunnel, pattern: HostnamePattern) -> bool:
    """Whether a tunnel serves a hostname of a pattern in health."""
    wanted = pattern.text
    return not tunnel.draining and any(
        (name == wanted or (pattern.is_wildcard and pattern.allows(name))) and name not in tunnel.failing
        for name in tunnel.hostnames
    )
