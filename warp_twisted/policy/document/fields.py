"""Fields: what a rule sets, adds and removes on requests and responses; and https as one word."""

import re
from typing import Annotated, Literal

import msgspec

from warp_twisted.policy.document.values import Text, positive_duration

MAX_FIELDS = 64
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_VALUE = re.compile(r"[\t\x20-\x7e]{0,4096}")
# The edge speaks for these itself: framing, connection, and what it tells origins about visitors.
_OWN = {
    "connection", "content-length", "expect", "forwarded", "host", "keep-alive", "max-forwards", "proxy-authenticate",
    "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "via", "x-real-ip",
    "x-request-id",
}  # fmt: skip
_OWN_PREFIXES = ("x-forwarded-", "x-warp-", "warp-")

FieldValues = Annotated[dict[Text, Annotated[str, msgspec.Meta(max_length=4096)]], msgspec.Meta(max_length=MAX_FIELDS)]


class FieldChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"set_": "set"}):
    """
    Changes of one side's fields: removed first, then set, then added.

    :param set_: the key `set`: in place of all fields of that name.
    :param add: beside those that are there.
    """

    set_: FieldValues = {}
    add: FieldValues = {}
    remove: Annotated[list[Text], msgspec.Meta(max_length=MAX_FIELDS)] = []

    def __post_init__(self) -> None:
        for key, names in (("set", self.set_), ("add", self.add), ("remove", self.remove)):
            for name in names:
                _check_name(key, name)
        for key, values in (("set", self.set_), ("add", self.add)):
            for name, value in values.items():
                if not _VALUE.fullmatch(value) or value != value.strip():
                    raise ValueError(
                        f"{key}.{name}: expected printable ASCII without spaces at the ends, got {value!r}"
                    )


class Https(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Visitors come by https, and are told to come back so (HSTS, RFC 6797).

    :param hsts: for how long browsers remember it; `0s` lets them forget it.
    """

    redirect: Literal[True] = True
    hsts: Text = "365d"
    include_subdomains: bool = False
    preload: bool = False

    def __post_init__(self) -> None:
        if self.hsts != "0s":
            try:
                positive_duration(self.hsts)
            except ValueError as error:
                raise ValueError(f"hsts: {error}") from error


def _check_name(key: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{key}: expected the name of a field, got {name!r}")
    folded = name.lower().replace("_", "-")
    if folded in _OWN or folded.startswith(_OWN_PREFIXES):
        raise ValueError(f"{key}: {name} is the edge's own and cannot be changed by a policy")
