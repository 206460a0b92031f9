"""Tests of `warp_dns.addresses`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_dns.addresses import check_addresses, parse_address, show_address
from warp_dns.errors import InvalidSettings


class AddressTests(SynchronousTestCase):
    """Addresses as operators write them."""

    def test_ports_may_be_left_out(self) -> None:
        """Both families are read, with a port and without."""
        for text, address in (
            ("192.0.2.1", ("192.0.2.1", 53)),
            ("192.0.2.1:5353", ("192.0.2.1", 5353)),
            ("2001:DB8::1", ("2001:db8::1", 53)),
            ("[2001:db8::1]", ("2001:db8::1", 53)),
            ("[2001:db8::1]:0", ("2001:db8::1", 0)),
        ):
            self.assertEqual(parse_address(text), address)
            self.assertEqual(parse_address(show_address(*address)), address)

    def test_what_is_no_address_is_refused(self) -> None:
        """Names, bad ports and broken brackets are refused with the text."""
        for text in (
            "ns1.example",
            "192.0.2.1:x",
            "192.0.2.1:65536",
            "[2001:db8::1",
            "[2001:db8::1]53",
            "192.0.2.1:",
            "",
        ):
            with self.assertRaises(InvalidSettings) as caught:
                parse_address(text)
            self.assertIn(repr(text), str(caught.exception))

    def test_lists_are_looked_at(self) -> None:
        """The first that is wrong or given twice is named by its place; port 0 is another one each time."""
        check_addresses(["127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"], "listen")
        with self.assertRaisesRegex(InvalidSettings, r"listen\[1\]: expected an IP address"):
            check_addresses(["127.0.0.1", "ns1"], "listen")
        with self.assertRaisesRegex(InvalidSettings, r"listen\[1\]: 127.0.0.1:53 is listen\[0\] already"):
            check_addresses(["127.0.0.1", "127.0.0.1:53"], "listen")
