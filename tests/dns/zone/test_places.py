"""Tests of `warp_dns.zone.places`."""

from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_dns.errors import InvalidSettings
from warp_dns.serve.limits import pack
from warp_dns.settings import EdgeSettings, PlacesSettings, RegionSettings
from warp_dns.zone.places import MAX_CLIENTS, MAX_ORDERS, Coordinates, NetworkTable, Places, distance_km

BERLIN, NEW_YORK, TOKYO = (52.5, 13.4), (40.7, -74.0), (35.7, 139.7)
REGIONS = {
    "europe": RegionSettings(coordinates=(50.0, 10.0), networks=["192.0.2.0/24", "2001:db8:e::/48"]),
    "america": RegionSettings(coordinates=(40.0, -90.0), networks=["198.51.100.0/24"]),
}
EDGES = {
    "ber": EdgeSettings(region="europe"),
    "nyc": EdgeSettings(coordinates=NEW_YORK),
    "tyo": EdgeSettings(coordinates=TOKYO),
}


class PlacesTests(SynchronousTestCase):
    """The order of edges for a client."""

    def setUp(self) -> None:
        """Make places with two regions and three edges."""
        self.places = Places(PlacesSettings(regions=REGIONS, edges=EDGES))

    def order(self, host: str) -> tuple[str, ...]:
        """Return the order for an address."""
        return tuple(self.places.order_for(pack(host))[0])

    def test_nearest_first(self) -> None:
        """Edges are ordered by distance from the client's region."""
        self.assertEqual(self.order("192.0.2.9"), ("ber", "nyc", "tyo"))
        self.assertEqual(self.order("198.51.100.9"), ("nyc", "ber", "tyo"))
        self.assertEqual(self.order("2001:db8:e::9"), ("ber", "nyc", "tyo"))

    def test_unknown_clients_get_the_order_of_the_configuration(self) -> None:
        """Where nothing is known about a client, nothing is reordered."""
        self.assertEqual(self.order("203.0.113.9"), ("ber", "nyc", "tyo"))

    def test_the_bits_that_decided_are_told(self) -> None:
        """A network's own length where nothing more specific is inside, else as far as the table had to look."""
        self.assertEqual(self.places.order_for(pack("192.0.2.9"))[1], 24)
        self.assertEqual(self.places.order_for(pack("224.0.0.1"))[1], 3)

    def test_equal_orders_are_one(self) -> None:
        """Places with the same order share it, so that answers are compiled once for both."""
        here, _ = self.places.order_for(pack("192.0.2.9"))
        there, _ = self.places.order_for(pack("203.0.113.9"))
        self.assertIs(here, there)

    def test_a_full_edge_comes_last(self) -> None:
        """An edge at full load is named after those further away."""
        self.places.set_edges({**EDGES, "ber": EdgeSettings(region="europe", load=0.95)})
        self.assertEqual(self.order("192.0.2.9"), ("nyc", "tyo", "ber"))

    def test_a_draining_edge_is_a_last_resort(self) -> None:
        """An edge that drains is told apart."""
        self.places.set_edges({**EDGES, "ber": EdgeSettings(region="europe", draining=True)})
        order, _ = self.places.order_for(pack("192.0.2.9"))
        self.assertEqual(order.last_resort, {"ber"})
        self.assertEqual(order.arrange(["ber", "tyo"]), [1])

    def test_without_edges_nothing_is_ordered(self) -> None:
        """Places that know no edge are neutral."""
        self.assertTrue(Places().is_neutral)
        self.assertFalse(self.places.is_neutral)

    def test_a_database_takes_the_place_of_networks(self) -> None:
        """A locator that is handed in finds the clients."""

        class EverywhereIsTokyo:
            """One place for all."""

            def find(self, address: bytes) -> tuple[Coordinates | None, int]:
                """Return it."""
                return TOKYO, 20

        self.places = Places(PlacesSettings(regions=REGIONS, edges=EDGES), EverywhereIsTokyo())
        self.assertEqual(self.order("192.0.2.9")[0], "tyo")
        self.assertEqual(self.places.order_for(pack("192.0.2.9"))[1], 20)

    def test_memory_is_bounded(self) -> None:
        """Clients and orders are remembered up to a number; beyond it a client gets the default order."""

        class EachToHisOwn:
            """A place for each address."""

            def find(self, address: bytes) -> tuple[Coordinates | None, int]:
                """Make up coordinates."""
                return (address[2] / 4, address[3] / 2), 32

        places = Places(PlacesSettings(regions=REGIONS, edges=EDGES), EachToHisOwn())
        for number in range(MAX_CLIENTS + 10):
            places.order_for(number.to_bytes(4, "big"))
        self.assertLessEqual(len(places._clients), MAX_CLIENTS)
        self.assertLessEqual(len(places._orders), MAX_ORDERS + 1)

    def test_bad_settings_are_refused(self) -> None:
        """A region nobody described, and networks that are none or are given twice, are named."""
        with self.assertRaisesRegex(InvalidSettings, r"places.edges.x.region: no region 'mars'"):
            Places(PlacesSettings(edges={"x": EdgeSettings(region="mars")}))
        with self.assertRaisesRegex(InvalidSettings, "b: 192.0.2.0/24 is given twice"):
            NetworkTable([("a", "192.0.2.0/24", BERLIN), ("b", "192.0.2.0/24", TOKYO)])
        regions = {"moon": RegionSettings(coordinates=(0, 0), networks=["192.0.2.0/24", "banana"])}
        with self.assertRaisesRegex(InvalidSettings, r"places.regions.moon.networks\[1\]: .*'banana'"):
            Places(PlacesSettings(regions=regions))

    def test_distances(self) -> None:
        """Great circles are as long as they are."""
        self.assertLess(abs(distance_km(BERLIN, NEW_YORK) - 6385), 20)
        self.assertLess(abs(distance_km((0.0, 0.0), (0.0, 180.0)) - 20015), 2)


class NetworkTableTests(SynchronousTestCase):
    """Finding networks."""

    @settings(max_examples=100, deadline=None)
    @given(
        st.dictionaries(
            st.tuples(st.integers(0, 255), st.integers(0, 8)).map(
                lambda pair: str(ip_network((pair[0] << 24, pair[1]), strict=False))
            ),
            st.floats(0, 90),
            max_size=12,
        ),
        st.integers(0, 255),
    )
    def test_the_most_specific_network_counts(self, networks: dict[str, float], octet: int) -> None:
        """For any networks the longest match decides, and every address within the told bits has the same one."""

        def longest(address: int) -> Coordinates | None:
            matching = [n for n in networks if ip_address(address) in ip_network(n)]
            best = max(matching, key=lambda n: ip_network(n).prefixlen, default=None)
            return None if best is None else (networks[best], 0.0)

        table = NetworkTable((network, network, (latitude, 0.0)) for network, latitude in networks.items())
        place, bits = table.find(bytes([octet, 0, 0, 0]))
        self.assertEqual(place, longest(octet << 24))
        for other in range(256):
            if other >> 8 - bits == octet >> 8 - bits:
                self.assertEqual(longest(other << 24), place)
