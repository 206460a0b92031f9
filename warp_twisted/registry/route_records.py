"""
What the registry keeps for split hostnames, as frozen values; `model` reads and writes them as all others.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

ROUTE_KEYS = "warp/route-keys/"
SHIFTS = "warp/shifts/"  # hostname or pattern → how its split differs from the policy's for now
GUARDED = "warp/guarded/"  # hostname or pattern → what the guard of its split has found


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteKey:
    """
    What edges sign the cookies with by which visitors keep to their share of a split.

    :param number: as cookies name it.
    :param secret: hexadecimal, 32 bytes.
    """

    number: Annotated[int, msgspec.Meta(ge=0, le=255)]
    secret: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    created_at: float = 0.0

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return f"{ROUTE_KEYS}{self.number:03}"

    def __repr__(self) -> str:
        return f"RouteKey(number={self.number})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """
    How a split differs from the policy's: one share gets another part, at once or little by little.

    :param hostname: or pattern, of the entry of the policy.
    :param split: tells which split it was made for; of any other it says nothing.
    :param selector: of the share.
    :param start: what the share got when it began, of 10,000.
    :param target: what it gets in the end.
    :param over_seconds: how long that takes; 0: at once.
    :param author: the unix user who asked for it; empty: not known.
    """

    hostname: str
    split: str
    selector: str
    start: Annotated[int, msgspec.Meta(ge=0, le=10_000)]
    target: Annotated[int, msgspec.Meta(ge=0, le=10_000)]
    began_at: float = 0.0
    over_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    author: str = ""

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return SHIFTS + self.hostname


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """
    How far the guard of a split has let a shift go, and whether it found the share worse.

    It says something of the split and the shift that it was written for only.

    :param split: tells which split it was.
    :param selector: of the share that is judged.
    :param shift_began_at: tells which shift it was; 0: there was none.
    :param progress_seconds: for how long the share was found as good as the others.
    :param action: what came of it: nothing yet, the share was taken back, or its shift stays where it is.
    :param reason: why the share is worse.
    :param edge: which found it last, at an instant since the epoch.
    """

    hostname: str
    split: str
    selector: str
    shift_began_at: float = 0.0
    progress_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    action: Literal["", "back", "freeze"] = ""
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""
    edge: str = ""
    at: float = 0.0

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return GUARDED + self.hostname
