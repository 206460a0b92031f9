"""Matches: which requests a rule is about, and which it leaves out."""

from typing import Annotated, Literal

import msgspec

from warp_twisted.names import HostnamePattern, LabelSelector
from warp_twisted.policy.document.sources import Source, SourceList, check_prefixes
from warp_twisted.policy.document.values import Text, Texts, check_each, listed
from warp_twisted.policy.paths.patterns import check_method, parse_pattern, parse_route

MAX_VALUES = 16

# A text that may hold `*`, for any characters; or whether there is such a field or parameter at all.
Wanted = Texts | bool


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    What a request must be: all keys hold together, of a list one value is enough.

    :param header: field → values, in which `*` stands for any characters; true: it is there, false: it is not.
    :param query: parameter → the same.
    :param label: a selector; of the tunnels that may serve the hostname one has such labels.
    """

    hostname: Texts | None = None
    path: Texts | None = None
    method: Texts | None = None
    header: Annotated[dict[Text, Wanted], msgspec.Meta(min_length=1, max_length=MAX_VALUES)] | None = None
    query: Annotated[dict[Text, Wanted], msgspec.Meta(min_length=1, max_length=MAX_VALUES)] | None = None
    source: Source | SourceList | None = None
    scheme: Literal["http", "https"] | None = None
    label: Text | None = None

    def __post_init__(self) -> None:
        check_each("hostname", listed(self.hostname or []), HostnamePattern.parse)
        check_each("path", listed(self.path or []), parse_pattern)
        check_each("method", listed(self.method or []), check_method)
        if self.source is not None:
            check_prefixes("source", listed(self.source))
        if self.label is not None:
            check_each("label", [self.label], LabelSelector.parse)


# A path alone, such as `/healthz`, stands for a match of that path.
Except = Annotated[list[Text | Match], msgspec.Meta(min_length=1, max_length=64)]


def as_match(exception: str | Match) -> Match:
    """Return an entry of `except` as a match."""
    return Match(path=exception) if isinstance(exception, str) else exception


def check_exceptions(exceptions: "list[str | Match]") -> None:
    """
    Check the paths among the entries of `except`.

    :raises ValueError: beginning with the key.
    """
    for index, each in enumerate(exceptions):
        if isinstance(each, str):
            check_each(f"except[{index}]", [each], parse_pattern)
        elif each == Match():
            raise ValueError(f"except[{index}]: is empty, and would leave out every request")


def check_routes(routes: list[str]) -> None:
    """
    Check routes such as `GET /v1/*`.

    :raises ValueError: beginning with the key and the index of what is no route.
    """
    for index, route in enumerate(routes):
        check_each(f"routes[{index}]", [route], parse_route)
