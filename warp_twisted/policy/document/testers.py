"""Testers: who may choose a share of a split by a field or a cookie, whatever the weights are."""

import re
from typing import Annotated

import msgspec

from warp_twisted.policy.document.sources import SourceList, check_prefixes
from warp_twisted.policy.document.values import MAX_ENTRIES, Text, check_each

KINDS = ("basic", "jwt", "service_token", "client_certificate")
_COOKIE = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}", re.ASCII)
# What an application reads must not be taken out of its requests, and the edge speaks for the others itself.
_TAKEN = frozenset(
    {
        "accept", "authorization", "connection", "content-length", "content-type", "cookie", "expect", "forwarded",
        "host", "keep-alive", "max-forwards", "origin", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "user-agent", "via", "x-real-ip", "x-request-id",
    }
)  # fmt: skip
_TAKEN_PREFIXES = ("x-forwarded-", "warp-")


class Testers(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Who chooses a share, and how.

    :param header: a field whose value is the share's selector; or
    :param cookie: the name of a cookie whose value is.
    :param sources: from where a visitor may choose; and beside them
    :param identities: who may, as they proved by a rule: the check and the subject, such as `basic:alice`.
    :param taken_back: whether they may choose a share that its guard took back.
    """

    header: Text | None = None
    cookie: Text | None = None
    sources: SourceList | None = None
    identities: Annotated[list[Text], msgspec.Meta(min_length=1, max_length=MAX_ENTRIES)] | None = None
    taken_back: bool = False

    def __post_init__(self) -> None:
        if (self.header is None) == (self.cookie is None):
            raise ValueError("expected either header or cookie, with a name")
        if self.sources is None and self.identities is None:
            raise ValueError("expected sources, identities or both: who may choose")
        if self.header is not None:
            check_each("header", [self.header], _check_header)
        if self.cookie is not None:
            check_each("cookie", [self.cookie], check_cookie)
        check_prefixes("sources", self.sources or ())
        check_each("identities", self.identities or (), parse_identity)


def parse_identity(text: str) -> tuple[str, str]:
    """
    Read who somebody proved to be: `jwt:alice@warp.example`.

    :returns: kind of the check, and subject.
    :raises ValueError: saying what was expected.
    """
    kind, colon, subject = text.partition(":")
    if kind not in KINDS or not colon or not subject:
        raise ValueError(f"expected a check and a subject, such as basic:alice, with one of {', '.join(KINDS)}; "
                         f"got {text!r}")  # fmt: skip
    return kind, subject


def check_cookie(text: str) -> None:
    """
    Check the name of a cookie that the edge reads and takes out.

    :raises ValueError: saying what was expected.
    """
    if not _COOKIE.fullmatch(text):
        raise ValueError(f"expected 1 to 64 letters, digits, '_', '.' or '-', got {text!r}")
    if text.lower().startswith(("__host-", "__secure-")):
        raise ValueError(f"{text!r}: browsers take cookies of this prefix over https only; choose another name")


def _check_header(text: str) -> None:
    if not _HEADER.fullmatch(text):
        raise ValueError(f"expected a field's name of at most 64 letters, digits and '-', got {text!r}")
    if text.lower() in _TAKEN or text.lower().startswith(_TAKEN_PREFIXES):
        raise ValueError(f"{text}: has another use; choose a name such as X-Release")
