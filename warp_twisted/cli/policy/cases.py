"""A file of expectations for `warp policy test`: requests, and what is to become of each."""

from typing import Annotated, Literal

import msgspec

from warp_twisted.configuration import read_file
from warp_twisted.policy.verdict import REASONS

Outcome = Literal["allow", "deny", "challenge", "redirect"]
_SLUGS = tuple(reason.slug for reason in REASONS)


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"from_": "from"}):
    """
    One request and what is expected.

    :param request: method and URL.
    :param from_: the key `from`: the visitor's address.
    :param headers: field → value.
    :param identities: who is proven, such as `basic:alice`.
    :param labels: of the one tunnel that serves it.
    :param rule: which rule must have objected; unless given any.
    :param reason: the slug of the reason.
    """

    request: Annotated[str, msgspec.Meta(min_length=1)]
    from_: str = "203.0.113.1"
    headers: dict[str, str] = {}
    identities: list[str] = []
    labels: dict[str, str] = {}
    expect: Outcome
    rule: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.reason is not None and self.reason not in _SLUGS:
            raise ValueError(f"reason: expected one of {', '.join(_SLUGS)}, got {self.reason!r}")
        if self.expect == "allow" and (self.rule is not None or self.reason is not None):
            raise ValueError("rule: nothing objects to what is allowed; leave out rule and reason")


class Cases(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file."""

    cases: Annotated[list[Case], msgspec.Meta(min_length=1, max_length=10_000)]


def read_cases(path: str) -> list[Case]:
    """
    Read a file of cases.

    :raises InvalidSettings: naming file, key path, and what was expected.
    """
    return read_file(path, Cases).cases
