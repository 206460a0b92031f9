"""Sources: lists of addresses, inline or in files, that a rule lets in, keeps out or is about."""

from typing import Annotated, Literal

import msgspec

from warp_twisted.policy.document.values import MAX_ENTRIES, Text
from warp_twisted.policy.sources.prefixes import parse_prefix

Country = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}\Z", description="a country code such as DE")]
Asn = Annotated[int, msgspec.Meta(ge=1, le=4_294_967_295)]


class SourceEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    What stands in a list of sources instead of a prefix: a file below `policy_files`, or places.

    :param format: of the file: `prefixes`, one on a line, where `#` begins a comment; `crowdsec`: decisions as JSON.
    :param country: ISO 3166 codes, as a database has them.
    :param asn: numbers of autonomous systems.
    """

    file: Text | None = None
    format: Literal["prefixes", "crowdsec"] = "prefixes"
    country: Annotated[list[Country], msgspec.Meta(max_length=300)] = []
    asn: Annotated[list[Asn], msgspec.Meta(max_length=MAX_ENTRIES)] = []

    def __post_init__(self) -> None:
        if sum((self.file is not None, bool(self.country), bool(self.asn))) != 1:
            raise ValueError("expected one of file, country, asn")
        if self.file is not None:
            check_file("file", self.file)
        elif self.format != "prefixes":
            raise ValueError("format: belongs to a file")


Source = Text | SourceEntry
SourceList = Annotated[list[Source], msgspec.Meta(min_length=1, max_length=MAX_ENTRIES)]


class Sources(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Who may come: everybody, without what `deny` names, and if `allow` is there nobody but those that it names.

    An address that is in both is denied.
    """

    allow: SourceList | None = None
    deny: SourceList | None = None

    def __post_init__(self) -> None:
        if self.allow is None and self.deny is None:
            raise ValueError("expected allow, deny or both")
        for key, entries in (("allow", self.allow), ("deny", self.deny)):
            check_prefixes(key, entries or ())


class DatabaseFiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Files below `policy_files` that say where addresses are, in MaxMind's format; one file may be both.

    :param country: what `country` in a list of sources is looked up in.
    :param asn: what `asn` is.
    """

    country: Text | None = None
    asn: Text | None = None

    def __post_init__(self) -> None:
        for key, name in (("country", self.country), ("asn", self.asn)):
            if name is not None:
                check_file(key, name)


def check_prefixes(key: str, entries: "SourceList | tuple[()]") -> None:
    """
    Check the prefixes of a list.

    :raises ValueError: beginning with the key and the index of what is no prefix.
    """
    for index, entry in enumerate(entries):
        if isinstance(entry, str):
            try:
                parse_prefix(entry)
            except ValueError as error:
                raise ValueError(f"{key}[{index}]: {error}") from error


def check_file(key: str, name: str) -> None:
    """
    Check how a policy names a file: relative to `policy_files`, never out of it.

    :raises ValueError: beginning with the key.
    """
    parts = name.split("/")
    if name.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\0" in name or "\\" in name:
        raise ValueError(f"{key}: expected a path below policy_files, without '..' and not absolute, got {name!r}")
