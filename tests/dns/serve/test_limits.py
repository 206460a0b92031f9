"""Tests of `warp_dns.serve.limits`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_dns.errors import InvalidSettings
from warp_dns.serve.limits import ResponseRateLimit, pack


class ResponseRateLimitTests(SynchronousTestCase):
    """Counting replies by network."""

    def flood(self, limit: ResponseRateLimit, host: str, queries: int) -> int:
        """Ask so often, and return how often that was over the rate."""
        return sum(limit.is_over(limit.network_of(host)) for _ in range(queries))

    def test_the_rate_holds_for_a_network(self) -> None:
        """Addresses of one network share the rate, others have their own, IPv6 likewise."""
        limit = ResponseRateLimit(rate=10)
        self.assertEqual(self.flood(limit, "192.0.2.1", 10), 0)
        self.assertEqual(self.flood(limit, "192.0.2.200", 5), 5)
        self.assertEqual(self.flood(limit, "192.0.3.1", 10), 0)
        self.assertEqual(self.flood(limit, "2001:db8:0:1::1", 10), 0)
        self.assertEqual(self.flood(limit, "2001:db8:0:2::1%eth0", 5), 5)
        self.assertEqual(self.flood(limit, "2001:db8:0:100::1", 5), 0)

    def test_a_flood_is_not_let_go_by_the_clock(self) -> None:
        """Who keeps asking stays limited; who stops is free within a few windows."""
        limit = ResponseRateLimit(rate=10)
        self.flood(limit, "192.0.2.1", 1000)
        limit.tick()
        self.assertEqual(self.flood(limit, "192.0.2.1", 1000), 1000)
        for _ in range(5):
            limit.tick()
        self.assertEqual(self.flood(limit, "192.0.2.1", 9), 0)

    def test_the_next_second_is_another_one(self) -> None:
        """Who stays below the rate starts each second from nothing."""
        limit = ResponseRateLimit(rate=10)
        for _ in range(20):
            self.assertEqual(self.flood(limit, "192.0.2.1", 10), 0)
            limit.tick()

    def test_slip_counts(self) -> None:
        """Every second limited query by default gets TC, none with 0, all with 1."""
        self.assertEqual([ResponseRateLimit(rate=1, slip=n).slips() for n in (0, 1, 2)], [False, True, False])
        limit = ResponseRateLimit(rate=1, slip=3)
        self.assertEqual([limit.slips() for _ in range(6)], [False, False, True] * 2)

    def test_exempt_networks(self) -> None:
        """Networks can be left out, of both families."""
        limit = ResponseRateLimit(rate=1, exempt=["192.0.2.0/24", "2001:db8::/32"])
        self.assertTrue(limit.is_exempt("192.0.2.7"))
        self.assertTrue(limit.is_exempt("2001:db8::7%eth0"))
        self.assertFalse(limit.is_exempt("192.0.3.7"))

    def test_a_full_table_shares_counts(self) -> None:
        """Beyond its size the table grows by the shared counts only, and a flood from ever new networks is limited."""
        limit = ResponseRateLimit(rate=10, max_networks=100)
        over = sum(
            limit.is_over(limit.network_of(f"10.{number >> 8 & 255}.{number & 255}.1")) for number in range(60000)
        )
        self.assertGreater(over, 40000)
        self.assertLessEqual(len(limit._counts), 100 + 1024)

    def test_the_memory_of_exempt_hosts_is_bounded(self) -> None:
        """Hosts are remembered up to a number."""
        limit = ResponseRateLimit(rate=1)
        for number in range(5000):
            limit.is_exempt(f"10.0.{number >> 8}.{number & 255}")
        self.assertLessEqual(len(limit._exempt_hosts), 4096)

    def test_bad_settings_are_refused(self) -> None:
        """Prefixes are whole octets, and networks are networks."""
        self.assertRaises(InvalidSettings, ResponseRateLimit, rate=1, ipv4_prefix=20)
        self.assertRaises(InvalidSettings, ResponseRateLimit, rate=1, ipv6_prefix=57)
        with self.assertRaisesRegex(
            InvalidSettings, r"rate_limit.exempt\[0\]: expected a network .*, got '192.0.2.1/24'"
        ):
            ResponseRateLimit(rate=1, exempt=["192.0.2.1/24"])

    def test_addresses_are_packed(self) -> None:
        """Both families, with a zone index or without."""
        self.assertEqual(pack("192.0.2.1"), bytes([192, 0, 2, 1]))
        self.assertEqual(pack("fe80::1%eth0"), b"\xfe\x80" + bytes(13) + b"\1")
