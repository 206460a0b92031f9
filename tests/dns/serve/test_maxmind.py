"""Tests of `warp_dns.serve.maxmind`."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.dns.mmdb import Value, database
from warp_dns.errors import InvalidSettings
from warp_dns.serve.limits import pack
from warp_dns.serve.maxmind import MaxMindTable

REGIONS = {"JP": (36.0, 138.0), "EU": (50.0, 10.0)}
NETWORKS: dict[str, Value] = {
    "192.0.2.0/24": {"location": {"latitude": 52.5, "longitude": 13.4}, "country": {"iso_code": "JP"}},
    "198.51.100.0/25": {"country": {"iso_code": "JP"}, "continent": {"code": "EU"}},
    "198.51.100.128/25": {"country": {"iso_code": "FR"}, "continent": {"code": "EU"}},
    "203.0.113.0/24": {"country": {"iso_code": "BR"}},
}


class MaxMindTableTests(SynchronousTestCase):
    """Places by a database."""

    def setUp(self) -> None:
        """Write one."""
        path = Path(self.mktemp())
        path.write_bytes(database(NETWORKS))
        self.table = MaxMindTable(str(path), REGIONS)

    def test_coordinates_are_best(self) -> None:
        """A city's coordinates count before its country's region."""
        self.assertEqual(self.table.find(pack("192.0.2.77")), ((52.5, 13.4), 24))

    def test_countries_and_continents_are_regions(self) -> None:
        """Without coordinates the country's region counts, else the continent's, else nothing is known."""
        self.assertEqual(self.table.find(pack("198.51.100.1")), (REGIONS["JP"], 25))
        self.assertEqual(self.table.find(pack("198.51.100.200")), (REGIONS["EU"], 25))
        self.assertEqual(self.table.find(pack("203.0.113.1")), (None, 24))

    def test_unknown_addresses_have_no_place(self) -> None:
        """An address in no network, and IPv6 in a database of IPv4."""
        self.assertIsNone(self.table.find(pack("10.0.0.1"))[0])
        self.assertEqual(self.table.find(pack("2001:db8::1")), (None, 0))

    def test_what_is_no_database_is_refused(self) -> None:
        """A missing file and one of other bytes are refused with the setting and the path."""
        path = Path(self.mktemp())
        with self.assertRaisesRegex(InvalidSettings, f"places.database: {path}"):
            MaxMindTable(str(path), {})
        path.write_text("banana")
        with self.assertRaisesRegex(InvalidSettings, f"places.database: {path}"):
            MaxMindTable(str(path), {})
