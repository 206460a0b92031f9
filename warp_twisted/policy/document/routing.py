"""Routing: which part of a hostname's requests goes to which tunnels, and how visitors keep to theirs."""

import re
from typing import Annotated, Literal

import msgspec

from warp_twisted.names import HostnamePattern, LabelSelector
from warp_twisted.policy.document.guard import Guard
from warp_twisted.policy.document.mirror import Mirror
from warp_twisted.policy.document.testers import Testers, check_cookie
from warp_twisted.policy.document.values import Text, check_each, positive_duration

MAX_SHARES = 16
MAX_WEIGHT = 10_000
MAX_TIER = 9
MAX_GUARDS = 100  # of a policy: each is looked at every second
MAX_MIRRORS = 100  # of a policy: each may keep a hundred copies under way
MAX_TTL = 30 * 86_400.0  # as long as cookies that were signed with an earlier key are known
OTHERS = "others"
TRY: Literal["try"] = "try"
IDEMPOTENT = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PROPFIND", "REPORT", "SEARCH", "QUERY")

_PERCENT = re.compile(r"(?:100|[1-9]?[0-9])%", re.ASCII)


class Share(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    One part of a split.

    :param selector: a label selector; a tunnel belongs to the first share whose selector matches its labels.
    :param weight: against the other shares of its tier; 0: nothing goes there.
    :param tier: shares of tier 0 are used first, those of the next when they are not healthy enough.
    """

    selector: Annotated[str, msgspec.Meta(max_length=1_024)]
    weight: Annotated[int, msgspec.Meta(ge=0, le=MAX_WEIGHT)]
    tier: Annotated[int, msgspec.Meta(ge=0, le=MAX_TIER)] = 0

    def __post_init__(self) -> None:
        check_each("selector", [self.selector], LabelSelector.parse)


class Sticky(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    How a visitor keeps to its share and agent.

    :param cookie: the name of a cookie that tells; or
    :param address: the visitor's address tells.
    :param ttl: of the cookie, since the visitor was last here.
    :param same_site: attribute of the cookie.
    """

    cookie: Text | None = None
    address: Literal[True] | None = None
    ttl: str | None = None
    same_site: Literal["lax", "strict", "none"] | None = None

    def __post_init__(self) -> None:
        if (self.cookie is None) == (self.address is None):
            raise ValueError("expected either cookie, with a name, or address: true")
        for key in ("ttl", "same_site"):
            if self.address is not None and getattr(self, key) is not None:
                raise ValueError(f"{key}: belongs to a cookie, and this is by address")
        if self.cookie is not None:
            check_each("cookie", [self.cookie], check_cookie)
        if self.ttl is not None:
            check_each("ttl", [self.ttl], _check_ttl)


class Retries(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Which requests may be sent again although an origin may have worked on them.

    :param methods: that do no harm when repeated (RFC 9110 §9.2.2); empty: none.
    """

    methods: Annotated[list[Text], msgspec.Meta(max_length=len(IDEMPOTENT))]

    def __post_init__(self) -> None:
        check_each("methods", self.methods, _check_method)


class Routing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    How the requests of a hostname are split.

    :param hostname: or a `*.` pattern; the most specific entry decides, alone.
    :param split: the shares; unless given, one that has all tunnels.
    :param when_empty: where the requests of a share without a healthy tunnel go: to the others, or nowhere (503).
    :param when_all_unhealthy: whether a tunnel that is not healthy is tried where none is, or refused (503).
    :param tier_minimum: the part of a tier's tunnels that must be healthy; below it the next tier is used.
    :param retries: which requests may be sent again.
    :param guard: judges one of the shares by the others.
    :param testers: who may choose a share.
    :param mirror: who gets copies of requests.
    """

    hostname: Text
    split: Annotated[list[Share], msgspec.Meta(min_length=1, max_length=MAX_SHARES)] = msgspec.field(
        default_factory=lambda: [Share(selector="", weight=1)]
    )
    when_empty: Literal["others", 503] = "others"
    when_all_unhealthy: Literal["try", 503] = TRY
    tier_minimum: str = "0%"
    sticky: Sticky | None = None
    retries: Retries | None = None
    guard: Guard | None = None
    testers: Testers | None = None
    mirror: Mirror | None = None

    def __post_init__(self) -> None:
        check_each("hostname", [self.hostname], HostnamePattern.parse)
        if not _PERCENT.fullmatch(self.tier_minimum):
            raise ValueError(f"tier_minimum: expected a part such as 50%, got {self.tier_minimum!r}")
        seen: dict[LabelSelector, int] = {}
        for index, share in enumerate(self.split):
            first = seen.setdefault(LabelSelector.parse(share.selector), index)
            if first != index:
                raise ValueError(f"split[{index}].selector: {share.selector!r} is that of split[{first}]")
        for tier in sorted({share.tier for share in self.split}):
            if not any(share.weight for share in self.split if share.tier == tier):
                raise ValueError(f"split: no share of tier {tier} has a weight above 0")
        if self.guard is not None:
            self._check_guard(self.guard, seen)
        chosen_by = self.testers.cookie if self.testers is not None else None
        if chosen_by is not None and self.sticky is not None and self.sticky.cookie == chosen_by:
            raise ValueError(f"testers.cookie: {chosen_by!r} is the cookie of sticky; choose another name")

    def _check_guard(self, guard: Guard, shares: dict[LabelSelector, int]) -> None:
        index = shares.get(LabelSelector.parse(guard.selector))
        if index is None:
            raise ValueError(f"guard.selector: no share of the split has the selector {guard.selector!r}")
        tier = self.split[index].tier
        if not any(share.weight for at, share in enumerate(self.split) if share.tier == tier and at != index):
            raise ValueError(
                f"guard: no other share of tier {tier} has a weight above 0, to judge {guard.selector!r} by"
            )


def check_routing(entries: "list[Routing]") -> None:
    """
    Refuse two entries for one hostname or pattern, more guards than are looked at, and more mirrors than are served.

    :raises ValueError: beginning with the key of the second.
    """
    seen: dict[str, int] = {}
    guards = mirrors = 0
    for index, entry in enumerate(entries):
        first = seen.setdefault(HostnamePattern.parse(entry.hostname).text, index)
        if first != index:
            raise ValueError(f"routing[{index}].hostname: {entry.hostname!r} is that of routing[{first}]")
        guards += entry.guard is not None
        if guards > MAX_GUARDS:
            raise ValueError(f"routing[{index}].guard: a policy has {MAX_GUARDS} guards at most")
        mirrors += entry.mirror is not None
        if mirrors > MAX_MIRRORS:
            raise ValueError(f"routing[{index}].mirror: a policy has {MAX_MIRRORS} mirrors at most")


def _check_method(text: str) -> None:
    if text not in IDEMPOTENT:
        raise ValueError(f"{text!r} may not be sent twice; expected some of {', '.join(IDEMPOTENT)}")


def _check_ttl(text: str) -> None:
    seconds = positive_duration(text)
    if not 1 <= seconds <= MAX_TTL:
        raise ValueError(f"expected 1s to 30d, got {text!r}")
