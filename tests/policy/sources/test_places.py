"""Tests for `warp_twisted.policy.sources.places`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.sources.places import InAnyOf, Located, asn_of, country_of
from warp_twisted.policy.sources.prefixes import PrefixSet

KEYS = ("country", "iso_code", "country_code", "autonomous_system_number", "asn")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["DE", "AS1"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=6,
)


class RecordTests(SynchronousTestCase):
    """`country_of` and `asn_of`."""

    def test_shapes(self) -> None:
        """Records of MaxMind's shape and IPinfo's are understood; where a network is registered counts for nothing."""
        maxmind = {"country": {"iso_code": "DE"}, "registered_country": {"iso_code": "US"}}
        ipinfo = {"country": "Germany", "country_code": "DE", "asn": "AS64496", "as_name": "Example"}
        self.assertEqual([country_of(maxmind), country_of(ipinfo)], ["DE", "DE"])
        self.assertEqual([asn_of({"autonomous_system_number": 64496}), asn_of(ipinfo)], [64496, 64496])
        nowhere: list[object] = [None, "DE", {}, {"country": {}}, {"country": "DE"}]
        for record in (*nowhere, {"registered_country": {"iso_code": "DE"}}):
            self.assertIsNone(country_of(record))
        nobodys: list[object] = [None, 64496, {}, {"asn": 64496}, {"asn": "64496"}]
        for record in (*nobodys, {"asn": "AS"}, {"asn": "AS9999999999"}):
            self.assertIsNone(asn_of(record))

    @given(values)
    def test_any_record(self, record: object) -> None:
        """Whatever a database has for an address, it is a place or none."""
        self.assertIsInstance(country_of(record), str | None)
        number = asn_of(record)
        self.assertTrue(number is None or 0 < number < 2**32)


class SetTests(SynchronousTestCase):
    """`Located` and `InAnyOf`."""

    def test_unknown_is_nowhere(self) -> None:
        """An address of which nothing is known is in none of the places: a list of who may come does not let it in."""
        records: dict[str, object] = {"192.0.2.1": {"country": {"iso_code": "DE"}}, "192.0.2.2": {}}
        found = Located(records.get, country_of, ["DE", "FR"])
        self.assertEqual([f"192.0.2.{end}" in found for end in (1, 2, 3)], [True, False, False])

    def test_prefixes_first(self) -> None:
        """Of several sets one is enough, and a database is not asked about what a prefix before it has."""
        asked: list[str] = []
        either = InAnyOf([PrefixSet.of(["10.0.0.0/8"]), Located(asked.append, country_of, ["DE"])])
        self.assertIn("10.1.2.3", either)
        self.assertEqual(asked, [])
        self.assertNotIn("11.1.2.3", either)
        self.assertEqual(asked, ["11.1.2.3"])
