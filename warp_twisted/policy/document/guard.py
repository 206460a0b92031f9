"""The guard of a split: which share is held against the others, how much worse it may be, and what happens then."""

import re
from typing import Annotated, Literal

import msgspec

from warp_twisted.durations import parse_duration
from warp_twisted.names import LabelSelector
from warp_twisted.policy.document.values import Text, check_each, positive_duration

MIN_SECONDS, MAX_SECONDS = 10.0, 3_600.0
BACK = "back"

_RATIO = re.compile(r"(?P<percent>[0-9]{1,3}(?:\.[0-9]{1,2})?)%", re.ASCII)
_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[!-~]*)?", re.ASCII)
_TIMES = re.compile(r"(?P<times>[0-9]{1,3}(?:\.[0-9]{1,2})?)x", re.ASCII)


# What `parse_ratio`, `parse_times` and `parse_duration` read, for whoever writes a number without its unit.
Ratio = Annotated[str, msgspec.Meta(extra_json_schema={"description": "a part above 0, such as 2%"})]
Times = Annotated[str, msgspec.Meta(extra_json_schema={"description": "a multiple above 1, such as 1.5x"})]
Window = Annotated[str, msgspec.Meta(extra_json_schema={"description": "a length of time from 10s to 1h, such as 1m"})]


class Guard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    What judges a share by the others of its split.

    :param selector: of the share.
    :param error_ratio: by how much its part of errors may be above theirs.
    :param p99: how many times as long as theirs its slowest hundredth may take; None: it is not asked.
    :param over: in which window both are looked at.
    :param minimum: of requests in the window, on both sides.
    :param on_worse: it gets nothing any more, or its shift stays where it is.
    :param notify: a URL that is told then.
    """

    selector: Annotated[str, msgspec.Meta(max_length=1_024)]
    error_ratio: Ratio = "2%"
    p99: Times | None = None
    over: Window = "1m"
    minimum: Annotated[int, msgspec.Meta(ge=10, le=1_000_000)] = 100
    on_worse: Literal["back", "freeze"] = "back"
    notify: Text | None = None

    def __post_init__(self) -> None:
        check_each("selector", [self.selector], LabelSelector.parse)
        check_each("error_ratio", [self.error_ratio], parse_ratio)
        if self.p99 is not None:
            check_each("p99", [self.p99], parse_times)
        check_each("over", [self.over], _check_over)
        if self.notify is not None and not _URL.fullmatch(self.notify):
            raise ValueError("notify: expected a URL such as https://hooks.example/warp, in ASCII and without a user")

    @property
    def seconds(self) -> float:
        """The window's length."""
        return parse_duration(self.over)


def parse_ratio(text: str) -> float:
    """
    Read a part: `2%` or `0.5%`.

    :returns: above 0, to 1.
    :raises ValueError: saying what was expected.
    """
    match = _RATIO.fullmatch(text)
    if match is None or not 0 < float(match["percent"]) <= 100:
        raise ValueError(f"expected a part above 0, such as 2% or 0.5%, got {text!r}")
    return float(match["percent"]) / 100


def parse_times(text: str) -> float:
    """
    Read a multiple: `1.5x`.

    :returns: above 1.
    :raises ValueError: saying what was expected.
    """
    match = _TIMES.fullmatch(text)
    if match is None or float(match["times"]) <= 1:
        raise ValueError(f"expected a multiple above 1, such as 1.5x, got {text!r}")
    return float(match["times"])


def _check_over(text: str) -> None:
    if not MIN_SECONDS <= positive_duration(text) <= MAX_SECONDS:
        raise ValueError(f"expected 10s to 1h, got {text!r}")
