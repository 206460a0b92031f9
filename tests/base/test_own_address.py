"""Tests of asking whether an address is this machine's."""

import errno
import socket
from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from warp_base.own_address import why_not_own


class OwnAddressTests(SynchronousTestCase):
    """Real addresses of this machine, and those that documentation uses."""

    def test_own(self) -> None:
        """Loopback and the address that stands for all are ours, and nothing listens there afterwards."""
        for address in ("127.0.0.1", "0.0.0.0"):
            self.assertEqual(why_not_own(ip_address(address)), "")

    def test_of_others(self) -> None:
        """An address of nobody's is not ours."""
        self.assertEqual(why_not_own(ip_address("192.0.2.77")), "this machine does not have that address now")
        self.assertNotEqual(why_not_own(ip_address("2001:db8::77")), "")

    def test_no_ipv6(self) -> None:
        """A kernel without IPv6 is said to be one."""

        def refuse(*_: object) -> object:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

        self.patch(socket, "socket", refuse)
        self.assertEqual(why_not_own(ip_address("::1")), "this machine has no IPv6")
