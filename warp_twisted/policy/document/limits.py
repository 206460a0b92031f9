"""Limits and bans: how much of what, counted by which key, and when who is refused is not heard any more."""

from typing import Annotated, Literal

import msgspec

from warp_twisted.policy.document.sources import SourceList, check_prefixes
from warp_twisted.policy.document.values import Name, Text, parse_rate, parse_size, positive_duration

Counted = Literal["connections", "requests", "bytes", "concurrent_connections", "concurrent_requests"]
CONCURRENT = ("concurrent_connections", "concurrent_requests")


class HeaderKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Count by the value of a request's field; requests without it share one key."""

    header: Text


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    One limit.

    :param of: what is counted. `bytes` slows, all others refuse with 429.
    :param rate: such as `50/s`, of bytes `10MiB/s`; not of what is concurrent.
    :param burst: how many at once after a rest, of bytes a size; unless given what the rate allows in one second.
    :param most: how many at the same time, of what is concurrent.
    :param key: what has a count of its own. `visitor`: an IPv4 address or an IPv6 /64.
    :param per: whether each hostname counts alone, or all of them together.
    """

    name: Name
    of: Counted = "requests"
    rate: Text | None = None
    burst: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | Text | None = None
    most: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    key: Literal["visitor", "hostname", "identity"] | HeaderKey = "visitor"
    per: Literal["hostname", "all"] = "hostname"

    def __post_init__(self) -> None:
        if self.of in CONCURRENT:
            if self.most is None or self.rate is not None or self.burst is not None:
                raise ValueError(f"of: {self.of} is limited by most, without rate and burst")
        elif self.rate is None or self.most is not None:
            raise ValueError(f"of: {self.of} is limited by rate, without most")
        else:
            of_bytes = self.of == "bytes"
            _prefixed("rate", parse_rate, self.rate, of_bytes=of_bytes)
            if isinstance(self.burst, str):
                if not of_bytes:
                    raise ValueError("burst: expected a whole number")
                _prefixed("burst", parse_size, self.burst)
        if self.of in ("connections", "concurrent_connections") and not isinstance(self.key, str):
            raise ValueError(f"key: {self.of} are counted before a request is read; expected 'visitor' or 'hostname'")
        if self.of in ("connections", "concurrent_connections") and self.key == "identity":
            raise ValueError(f"key: {self.of} are counted before anybody is known; expected 'visitor' or 'hostname'")

    @property
    def per_second(self) -> float:
        """The rate in units a second; 0 of what is concurrent."""
        return parse_rate(self.rate, of_bytes=self.of == "bytes") if self.rate is not None else 0.0

    @property
    def burst_units(self) -> float:
        """How many units may come at once after a rest, at least 1."""
        if isinstance(self.burst, str):
            return max(1.0, parse_size(self.burst))
        return max(1.0, float(self.burst) if self.burst is not None else self.per_second)


class Ban(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"for_": "for"}):
    """
    An address that is refused so often is turned away when it connects.

    :param for_: the key `for`: how long. Being refused while banned does not prolong it.
    :param never: addresses that are never banned, besides loopback, trusted proxies and other edges.
    """

    refusals: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    within: Text
    for_: Text
    never: SourceList | None = None

    def __post_init__(self) -> None:
        _prefixed("within", positive_duration, self.within)
        _prefixed("for", positive_duration, self.for_)
        check_prefixes("never", self.never or ())


def _prefixed(key: str, read: object, text: str, **options: bool) -> None:
    try:
        read(text, **options)  # type: ignore[operator]  # one of the functions of values
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error
