"""Tests for `warp_twisted.edge.policy.databases`."""

import os
from collections.abc import Mapping
from pathlib import Path
from time import process_time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.mmdb import Value, database, number
from warp_twisted.edge.policy import databases as module
from warp_twisted.edge.policy.databases import Databases
from warp_twisted.policy.errors import InvalidPolicy
from warp_twisted.policy.sources.places import asn_of, country_of

COUNTRIES: Mapping[str, Value] = {
    "192.0.2.0/24": {"country": {"iso_code": "DE"}},
    "198.51.100.0/25": {"country": {"iso_code": "FR"}},
    "2001:db8::/32": {"country": {"iso_code": "DE"}},
}
SYSTEMS: Mapping[str, Value] = {"203.0.113.0/24": {"autonomous_system_number": number(64496, 4)}}
SAMPLE = database(COUNTRIES, 6)


class DatabasesTests(SynchronousTestCase):
    """`Databases` and `Database`."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.databases = Databases()

    def write(self, name: str, content: bytes) -> Path:
        """Write a file."""
        path = self.directory / name
        path.write_bytes(content)
        return path

    def test_places(self) -> None:
        """Addresses of both families are found, others are unknown."""
        found = self.databases.open(self.write("c.mmdb", SAMPLE), "country", "databases.country")
        for address, country in (("192.0.2.7", "DE"), ("198.51.100.9", "FR"), ("198.51.100.200", None),
                                 ("2001:db8:1::1", "DE"), ("2001:db9::1", None)):  # fmt: skip
            self.assertEqual(country_of(found.find(address)), country)
        found = self.databases.open(self.write("a.mmdb", database(SYSTEMS, 6)), "asn", "databases.asn")
        self.assertEqual(asn_of(found.find("203.0.113.1")), 64496)

    def test_written_over(self) -> None:
        """What was read stays as it was when something else is written into the file: nothing maps it."""
        path = self.write("c.mmdb", SAMPLE)
        found = self.databases.open(path, "country", "databases.country")
        with path.open("r+b") as file:
            file.truncate(0)
            file.write(b"x" * 100)
        self.assertEqual(country_of(found.find("192.0.2.7")), "DE")
        with self.assertRaisesRegex(InvalidPolicy, r"databases.country: .*c.mmdb: expected a database in MaxMind's"):
            self.databases.open(path, "country", "databases.country")

    def test_half_written(self) -> None:
        """A file that is still being written is refused, wherever it ends."""
        for end in range(0, len(SAMPLE), 7):
            with self.assertRaises(InvalidPolicy):
                self.databases.open(self.write("c.mmdb", SAMPLE[:end]), "country", "databases.country")

    def test_kept(self) -> None:
        """A file that is as it was is not read again; one that changed, or that nothing names any more, is."""
        path = self.write("c.mmdb", SAMPLE)
        first = self.databases.open(path, "country", "w")
        self.assertIs(self.databases.open(path, "country", "w"), first)
        replacement = self.write("new", database({"192.0.2.0/24": {"country": {"iso_code": "AT"}}}, 6))
        replacement.rename(path)
        second = self.databases.open(path, "country", "w")
        self.assertEqual([country_of(each.find("192.0.2.7")) for each in (first, second)], ["DE", "AT"])
        self.databases.keep([path])
        self.assertIs(self.databases.open(path, "country", "w"), second)
        self.databases.keep([])
        self.assertIsNot(self.databases.open(path, "country", "w"), second)

    def test_descriptors(self) -> None:
        """No descriptor stays open."""
        path = self.write("c.mmdb", SAMPLE)
        before = len(os.listdir("/proc/self/fd"))
        opened = [Databases().open(path, "country", "w") for _ in range(5)]
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        self.assertEqual(len(opened), 5)

    def test_refused(self) -> None:
        """What cannot say where visitors are is refused by name: a rule that denies by it would let all of them in."""
        for content, kind, reason in (
            (b"banana", "country", "expected a database in MaxMind's format"),
            (database(SYSTEMS, 6), "country", "none of its networks has a country"),
            (SAMPLE, "asn", "none of its networks has an autonomous system"),
            (database({"192.0.2.0/24": {"country": {"iso_code": "DE"}}}), "country", "knows IPv4 only"),
        ):
            with self.assertRaisesRegex(InvalidPolicy, f"w: .*d.mmdb: {reason}"):
                self.databases.open(self.write("d.mmdb", content), kind, "w")
        self.patch(module, "MAX_DATABASE", len(SAMPLE) - 1)
        with self.assertRaisesRegex(InvalidPolicy, "larger than"):
            self.databases.open(self.write("d.mmdb", SAMPLE), "country", "w")
        with self.assertRaises(FileNotFoundError):
            self.databases.open(self.directory / "missing", "country", "w")

    @given(st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), min_size=1, max_size=8))
    def test_damaged(self, changes: list[tuple[int, int]]) -> None:
        """A damaged database is refused, or answers, or raises what denies a request."""
        content = bytearray(SAMPLE)
        for at, octet in changes:
            content[at] = octet
        try:
            found = Databases().open(self.write("d.mmdb", bytes(content)), "country", "w")
        except InvalidPolicy:
            return
        for address in ("192.0.2.7", "198.51.100.9", "203.0.113.1", "2001:db8::1"):
            try:
                country = country_of(found.find(address))
            except Exception:
                country = None
            self.assertIsInstance(country, str | None)

    def test_price(self) -> None:
        """A look-up is far below what a turn may take; it happens once a connection and rule."""
        many: dict[str, Value] = {f"10.{n >> 8}.{n & 255}.0/24": {"country": {"iso_code": "DE"}} for n in range(4_000)}
        found = self.databases.open(self.write("m.mmdb", database(many, 6)), "country", "w")
        began = process_time()
        for n in range(2_000):
            country_of(found.find(f"10.{n >> 8}.{n & 255}.7"))
        self.assertLess((process_time() - began) / 2_000, 100e-6)
