"""Tests for `warp_twisted.policy.sources.prefixes`."""

import ipaddress
from time import thread_time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.sources import prefixes
from warp_twisted.policy.sources.prefixes import PrefixError, PrefixSet, set_of_lists

networks4 = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
    lambda pair: ipaddress.IPv4Network(pair, strict=False)
)
networks6 = st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128)).map(
    lambda pair: ipaddress.IPv6Network(pair, strict=False)
)


class ContainsTests(SynchronousTestCase):
    """`address in PrefixSet`."""

    @given(st.lists(networks4 | networks6, max_size=40), st.data())
    def test_as_the_standard_library_has_it(
        self, networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network], data: st.DataObject
    ) -> None:
        """An address is in the set if and only if it is in one of the networks; edges of networks are tried as well."""
        found = PrefixSet.of(map(str, networks))
        addresses: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = [
            address for network in networks for address in (network.network_address, network.broadcast_address)
        ]
        for address in list(addresses):
            addresses += [type(address)(number) for number in (int(address) - 1, int(address) + 1)
                          if 0 <= number < 2**address.max_prefixlen]  # fmt: skip
        addresses += data.draw(st.lists(st.ip_addresses(), max_size=10))
        for address in addresses:
            self.assertEqual(str(address) in found, any(address in network for network in networks), address)

    def test_merged(self) -> None:
        """Ranges that touch or lie inside of others are one."""
        found = PrefixSet.of(["10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "192.0.2.1"])
        self.assertEqual((len(found), found.count), (2, 4))

    def test_comments(self) -> None:
        """Lists are used as they are published: with comments and empty lines."""
        found = PrefixSet.of(["# spam", "", "192.0.2.0/24 ; SBL1", "2001:db8::/32  # office", "  198.51.100.7  "])
        self.assertEqual(found.count, 3)
        self.assertIn("2001:db8:1::1", found)
        self.assertIn("198.51.100.7", found)

    def test_no_address(self) -> None:
        """What is no address is an error, not an address that is in no list."""
        for text in ("", "host", "192.0.2", "1.2.3.4/32", "::1%lo", "1\x002.0.0.1"):
            with self.assertRaises(ValueError):
                text in PrefixSet.of([])  # noqa: B015


class RefusalTests(SynchronousTestCase):
    """`PrefixError`."""

    def test_lines(self) -> None:
        """The first bad line is named, with what was expected there."""
        for line, expected in {
            "192.0.2.0/33": "line 2: expected a length from 0 to 32 after the slash, got '192.0.2.0/33'",
            "192.0.2.0/+8": "line 2: expected a length from 0 to 32 after the slash, got '192.0.2.0/+8'",
            "2001:db8::/129": "line 2: expected a length from 0 to 128 after the slash, got '2001:db8::/129'",
            "192.0.2.7/24": "line 2: '192.0.2.7/24' is one address of 192.0.2.0/24: write that, or the address alone",
            "localhost": "line 2: expected a prefix such as 192.0.2.0/24 or 2001:db8::/32, got 'localhost'",
            "192.0.2.0/24 10.0.0.0/8": "line 2: expected a length from 0 to 32 after the slash, got "
            "'192.0.2.0/24 10.0.0.0/8'",
            "\u0661.0.0.0": "line 2: expected a prefix such as 192.0.2.0/24 or 2001:db8::/32, got '\u0661.0.0.0'",
        }.items():
            with self.assertRaises(PrefixError) as caught:
                PrefixSet.of(["10.0.0.0/8", line])
            self.assertEqual(str(caught.exception), expected)

    def test_too_many(self) -> None:
        """A list above the bound is refused."""
        self.patch(prefixes, "MAX_PREFIXES", 2)
        with self.assertRaisesRegex(PrefixError, "line 3: more than 2 prefixes"):
            PrefixSet.of(["10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"])


class StepsTests(SynchronousTestCase):
    """`PrefixSet.steps_of`."""

    def test_a_large_list_is_read_in_small_steps(self) -> None:
        """No step of 100,000 prefixes takes long, the last one included."""
        lines = [f"{10 + number % 200}.{number // 200 % 250}.{number // 50_000}.0/24" for number in range(50_000)]
        lines += [f"2001:db8:{number:x}::/48" for number in range(50_000)]
        steps, spent = PrefixSet.steps_of(lines), []
        while True:
            begun = thread_time()
            try:
                next(steps)
            except StopIteration as done:
                found = done.value
                break
            finally:
                spent.append(thread_time() - begun)
        self.assertEqual(found.count, 100_000)
        self.assertGreater(len(spent), 200)
        self.assertLess(sorted(spent)[-3], 0.02)  # of CPU; two may have met the garbage collector


class ListsTests(SynchronousTestCase):
    """`set_of_lists`."""

    def test_one_set(self) -> None:
        """All lists are one set."""
        found = set_of_lists([("a", ["192.0.2.0/24"]), ("b", ["# none"]), ("c", ["2001:db8::/32"])], "all")
        self.assertEqual((found.count, "192.0.2.7" in found, "2001:db8::1" in found), (2, True, True))

    def test_refused(self) -> None:
        """The list is named, with the line in it; lists that are too many together are named together."""
        with self.assertRaisesRegex(PrefixError, "^b: line 2: expected a prefix"):
            set_of_lists([("a", ["192.0.2.0/24"]), ("b", ["10.0.0.0/8", "x"])], "all")
        self.patch(prefixes, "MAX_PREFIXES", 2)
        with self.assertRaisesRegex(PrefixError, "^all: line 3: more than 2 prefixes"):
            set_of_lists([("a", ["192.0.2.0/24"]), ("b", ["10.0.0.0/8", "11.0.0.0/8"])], "all")
