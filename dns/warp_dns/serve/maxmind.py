"""
Places by a database in MaxMind's format, such as GeoLite2-City or a free one of the same shape.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import maxminddb

from warp_dns.errors import InvalidSettings
from warp_dns.zone.places import Coordinates


class MaxMindTable:
    """A database in MaxMind's format: coordinates, or a country or continent named as a region."""

    def __init__(self, path: str, regions: Mapping[str, Coordinates]) -> None:
        """
        Open the database.

        :raises InvalidSettings: if it cannot be read.
        """
        try:
            self._reader = maxminddb.open_database(path)
        except (OSError, maxminddb.InvalidDatabaseError, ValueError) as error:
            raise InvalidSettings(f"places.database: {path}: {error}") from error
        self._regions = regions

    def find(self, address: bytes) -> tuple[Coordinates | None, int]:
        """Return the place of an address; the database's networks do not overlap."""
        try:
            record, prefix = self._reader.get_with_prefix_len(ip_address(address))
        except (ValueError, maxminddb.InvalidDatabaseError):  # IPv6 in a database of IPv4, or a damaged one
            return None, 0
        return self._place(record), prefix

    def _place(self, record: Any) -> Coordinates | None:
        if not isinstance(record, dict):
            return None
        location = record.get("location") or {}
        if "latitude" in location and "longitude" in location:
            return float(location["latitude"]), float(location["longitude"])
        for kind, code in (("country", "iso_code"), ("continent", "code")):
            found = self._regions.get((record.get(kind) or {}).get(code, ""))
            if found is not None:
                return found
        return None
