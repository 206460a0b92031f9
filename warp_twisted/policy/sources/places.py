"""
Where an address is, as a record of a database in MaxMind's format says: its country, its autonomous system.

Pure: a record is whatever the database has for an address, in the shape of MaxMind (also DB-IP) or of IPinfo; what has
another shape says nothing. An address of which nothing is known is in no country and of no system.
"""

from collections.abc import Callable, Sequence

from warp_twisted.policy.sources.prefixes import Addresses

MAX_ASN = 4_294_967_295


def country_of(record: object) -> str | None:
    """
    Return the ISO 3166 code of the country in which an address is used.

    Where its network is registered is not asked for: that is often another country.
    """
    if not isinstance(record, dict):
        return None
    country = record.get("country")
    code = country.get("iso_code") if isinstance(country, dict) else record.get("country_code")
    return code if isinstance(code, str) and code else None


def asn_of(record: object) -> int | None:
    """Return the number of the autonomous system that announces an address."""
    if not isinstance(record, dict):
        return None
    number = record.get("autonomous_system_number")
    if number is None:
        text = record.get("asn")
        if not isinstance(text, str) or not text.startswith("AS"):
            return None
        digits = text[2:]
        number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 10 else None
    return number if type(number) is int and 0 < number <= MAX_ASN else None


class Located:
    """Addresses that are in some places."""

    __slots__ = ("_find", "_place_of", "_places")

    def __init__(
        self, find: Callable[[str], object], place_of: Callable[[object], str | int | None], places: Sequence[str | int]
    ) -> None:
        """
        Put the parts together.

        :param find: returns the record of an address; what it raises denies the request.
        :param place_of: `country_of` or `asn_of`.
        """
        self._find = find
        self._place_of = place_of
        self._places = frozenset(places)

    def __contains__(self, address: str, /) -> bool:
        """Return whether an address is; not if the database does not know it."""
        return self._place_of(self._find(address)) in self._places


class InAnyOf:
    """Addresses of several sets, which are asked in their order."""

    __slots__ = ("_sets",)

    def __init__(self, sets: Sequence[Addresses]) -> None:
        self._sets = tuple(sets)

    def __contains__(self, address: str, /) -> bool:
        """Return whether one of them holds an address."""
        return any(address in each for each in self._sets)
