"""
Databases of countries and autonomous systems, in MaxMind's format, that a policy names.

A database is copied into memory as a whole and looked at there: an update that writes into the file, rather than
replace it, would end a process that has it mapped. One whose file is the same as before is not read again. Used in a
thread, but for `Database.find`.

Look-ups are libmaxminddb's, by the extension in C if it is there. Networks are listed in Python alone: the extension
(3.2.0) ends the process where it is to list those of a damaged database.
"""

import os
from collections.abc import Callable, Collection
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import maxminddb

from warp_twisted.edge.policy.file_stamps import Stamp, stamp_of
from warp_twisted.policy.errors import InvalidPolicy
from warp_twisted.policy.sources.places import asn_of, country_of

MAX_DATABASE = 256 << 20  # twice what the largest public ones have
_LOOKED_AT = 10_000  # networks, of which one must say what the database is for
_PIECE = 1 << 20
PlaceOf = Callable[[object], str | int | None]
PLACES: dict[str, tuple[PlaceOf, str]] = {"country": (country_of, "a country"), "asn": (asn_of, "an autonomous system")}


class Database:
    """
    One database, as it was when it was read.

    :ivar stamp: of the file it was read from.
    """

    def __init__(self, reader: maxminddb.Reader, stamp: Stamp) -> None:
        self._reader = reader
        self.stamp = stamp

    def find(self, address: str) -> object:
        """
        Return the record of an address, None if there is none; a microsecond.

        :raises maxminddb.InvalidDatabaseError: the database is damaged there.
        """
        return self._reader.get(address)


class Databases:
    """Opens databases, and keeps those that were opened last, by path and kind."""

    def __init__(self) -> None:
        self._opened: dict[tuple[Path, str], Database] = {}

    def open(self, path: Path, kind: str, where: str) -> Database:
        """
        Open a database, or return it as it was opened before.

        :param kind: `country` or `asn`: what it must know.
        :param where: the key that names it.
        :raises InvalidPolicy: it cannot be used; beginning with `where` and the path.
        :raises OSError: it cannot be read.
        """
        with path.open("rb") as file:
            stamp = stamp_of(os.fstat(file.fileno()))
            known = self._opened.get((path, kind))
            if known is None or known.stamp != stamp:
                known = Database(_read(file, kind, f"{where}: {path}"), stamp)
        self._opened[path, kind] = known
        return known

    def keep(self, paths: Collection[Path]) -> None:
        """Forget all but some."""
        self._opened = {place: each for place, each in self._opened.items() if place[0] in paths}


def _read(file: BinaryIO, kind: str, name: str) -> maxminddb.Reader:
    """
    Copy a database into memory that is nobody else's, and open it there.

    :param name: what errors begin with.
    :raises InvalidPolicy: it is not one that says of IPv4 and IPv6 addresses what it should.
    """
    with os.fdopen(os.memfd_create("warp-policy-database"), "wb") as copy:
        while piece := file.read(_PIECE):
            if copy.tell() + len(piece) > MAX_DATABASE:
                raise InvalidPolicy(f"{name}: larger than {MAX_DATABASE >> 20} MiB")
            copy.write(piece)
        copy.flush()
        path = f"/proc/self/fd/{copy.fileno()}"
        try:
            reader = maxminddb.open_database(path)
            version = reader.metadata().ip_version
            has_places = version == 6 and _has_places(path, kind)
        except Exception as error:  # whatever a damaged file makes of the library: recursion, wrong types
            raise InvalidPolicy(f"{name}: expected a database in MaxMind's format (.mmdb)") from error
    if version != 6:
        raise InvalidPolicy(f"{name}: knows IPv4 only; expected a database of IPv4 and IPv6")
    if not has_places:
        raise InvalidPolicy(f"{name}: none of its networks has {PLACES[kind][1]}; expected a database of those")
    return reader


def _has_places(path: str, kind: str) -> bool:
    """Whether one of the first networks of a database has a place of a kind."""
    place_of = PLACES[kind][0]
    with maxminddb.open_database(path, maxminddb.MODE_MMAP) as reader:
        return any(place_of(record) is not None for _, record in islice(reader, _LOOKED_AT))
