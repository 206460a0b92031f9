"""Tests of `warp_dns.serve.limits`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_dns.errors import InvalidSettings
from warp_dns.serve import limits
from warp_dns.serve.limits import ResponseRateLimit, pack
from warp_dns.settings import RateLimitSettings


class ResponseRateLimitTests(SynchronousTestCase):
    """Counting replies by network, kind and name."""

    def flood(self, limit: ResponseRateLimit, host: str, queries: int, counted_as: bytes = b"a") -> int:
        """Ask so often, and return how often that was over the rate."""
        return sum(limit.is_over(host, counted_as) for _ in range(queries))

    def test_the_rate_holds_for_a_network(self) -> None:
        """Addresses of one network share the rate, others have their own, IPv6 likewise."""
        limit = ResponseRateLimit(rate=10)
        self.assertEqual(self.flood(limit, "192.0.2.1", 10), 0)
        self.assertEqual(self.flood(limit, "192.0.2.200", 5), 5)
        self.assertEqual(self.flood(limit, "192.0.3.1", 10), 0)
        self.assertEqual(self.flood(limit, "2001:db8:0:1::1", 10), 0)
        self.assertEqual(self.flood(limit, "2001:db8:0:2::1%eth0", 5), 5)
        self.assertEqual(self.flood(limit, "2001:db8:0:100::1", 5), 0)

    def test_each_kind_and_name_has_its_own_rate(self) -> None:
        """What a network is sent of one kind and name is counted apart from the rest."""
        limit = ResponseRateLimit(rate=10)
        for counted_as in (b"aone", b"atwo", b"done", b"n"):
            self.assertEqual(self.flood(limit, "192.0.2.1", 10, counted_as), 0)
            self.assertEqual(self.flood(limit, "192.0.2.1", 5, counted_as), 5)

    def test_everything_together_has_a_rate(self) -> None:
        """The second rate holds over all kinds and names, for each network, and goes on with the clock."""
        limit = ResponseRateLimit(rate=10, all_rate=25)
        over = [self.flood(limit, "192.0.2.1", 10, name) for name in (b"a", b"b", b"c", b"d")]
        self.assertEqual(over, [0, 0, 5, 10])
        self.assertEqual(self.flood(limit, "192.0.3.1", 10), 0)
        for _ in range(3):
            limit.tick()
        self.assertEqual(self.flood(limit, "192.0.2.1", 10), 0)

    def test_an_honest_resolver_is_answered(self) -> None:
        """2,000 queries a second for 200 names from one address, six seconds long: none is over the default rates."""
        settings = RateLimitSettings()
        limit = ResponseRateLimit(rate=settings.responses_per_second, all_rate=settings.all_per_second)
        for _ in range(6):
            self.assertFalse(any(limit.is_over("192.0.2.1", b"a%d" % (number % 200)) for number in range(2000)))
            limit.tick()

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
        limit = ResponseRateLimit(rate=10, max_keys=100)
        over = sum(limit.is_over(f"10.{number >> 8 & 255}.{number & 255}.1", b"a") for number in range(60000))
        self.assertGreater(over, 40000)
        self.assertLessEqual(len(limit._by_kind.counts), 100 + 1024)

    def test_the_memory_of_exempt_hosts_is_bounded(self) -> None:
        """Hosts are remembered up to a number."""
        limit = ResponseRateLimit(rate=1)
        for number in range(5000):
            limit.is_exempt(f"10.0.{number >> 8}.{number & 255}")
        self.assertLessEqual(len(limit._exempt_hosts), 4096)

    def test_networks_of_hosts_are_remembered(self) -> None:
        """Up to a number, beyond which they are forgotten with the second; what is is no longer needed comes back."""
        self.patch(limits, "_MAX_HOSTS", 100)
        limit = ResponseRateLimit(rate=10)
        for number in range(200):
            self.assertFalse(limit.is_over(f"10.0.{number}.1", b"a"))
        self.assertEqual(len(limit._networks), 100)
        self.assertEqual([len(table) for table in limit.tick()], [200, 200, 100])
        self.assertEqual([len(table) for table in limit.tick()], [0, 0])

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
