"""Tests of `warp_twisted.agent.origins.addresses`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.origins.addresses import split_address
from warp_twisted.errors import InvalidSettings


class SplitAddressTests(SynchronousTestCase):
    """Scheme, host and port of a service."""

    def test_parts(self) -> None:
        """Hosts are in small letters, IPv6 addresses without brackets, and a missing port is the default."""
        for service, default, parts in (
            ("http://LOCALHOST:3000", 80, ("http", "localhost", 3000)),
            ("https://[2001:DB8::1]/", 443, ("https", "2001:db8::1", 443)),
            ("http://[fe80::1%eth0]:80", 80, ("http", "fe80::1%eth0", 80)),
            ("http://[fe80::1%25eth0]:80", 80, ("http", "fe80::1%eth0", 80)),
            ("http://[fe80::1%25]", 80, ("http", "fe80::1%25", 80)),
            ("tcp://10.0.0.1:5432", None, ("tcp", "10.0.0.1", 5432)),
        ):
            self.assertEqual(split_address(service, default), parts)

    def test_refused(self) -> None:
        """What is missing or too much is said, and a password is not repeated."""
        for service, default, words in (
            ("tcp://db", None, "tcp://host:port is expected"),
            ("http://:80", 80, "http://host:port is expected"),
            ("http://a:99999", 80, "is not a service"),
            ("http://a/path", 80, "the path is the visitor's"),
            ("http://a?x", 80, "the path is the visitor's"),
            ("http://u:secret@a", 80, "may not hold a user name or password"),
        ):
            error = self.assertRaises(InvalidSettings, split_address, service, default)
            self.assertIn(words, str(error))
            self.assertNotIn("secret", str(error))
