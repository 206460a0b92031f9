"""
What the registry keeps of bans that operators made, as frozen values; `model` reads and writes them as all others.
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec

BANS = "warp/bans/"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptBan:
    """
    One ban that an operator made.

    :param network: an IPv4 address, or the first address of an IPv6 /64.
    :param seconds: for how long it was made.
    :param until: when it ends, by the wall clock.
    :param reason: in a word or sentence, for operators.
    """

    network: Annotated[str, msgspec.Meta(max_length=64)]
    seconds: Annotated[float, msgspec.Meta(gt=0)]
    until: float
    reason: str = ""

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return BANS + self.network

    def seconds_left(self, now: float) -> float:
        """
        Return how long it holds still.

        :param now: by the wall clock; however wrong that is, it holds no longer than it was made for.
        """
        return min(self.until - now, self.seconds)
