"""A mirror: which tunnels get copies of a hostname's requests, and of how many."""

from typing import Annotated

import msgspec

from warp_twisted.names import LabelSelector
from warp_twisted.policy.document.values import check_each


class Mirror(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Where copies go.

    :param selector: of the shadow: a share's, whose tunnels then get copies beside their part; or any other, and then
        its tunnels belong to no share, and get nothing but copies.
    :param percent: of the requests that are copied: those that only read, and have no body.
    """

    selector: Annotated[str, msgspec.Meta(min_length=1, max_length=1_024)]
    percent: Annotated[float, msgspec.Meta(ge=0.01, le=100)]

    def __post_init__(self) -> None:
        check_each("selector", [self.selector], LabelSelector.parse)
        if LabelSelector.parse(self.selector) == LabelSelector():
            raise ValueError("selector: expected one that matches some tunnels only, such as release=next")
