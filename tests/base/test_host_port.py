"""Tests of `warp_base.host_port`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_base.host_port import join_host_port, split_host_port


class HostPortTests(SynchronousTestCase):
    """Hosts and ports as operators write them."""

    def test_split(self) -> None:
        """Names and both families are read, with a port and without."""
        for text, parts in (
            ("edge1.warp.example", ("edge1.warp.example", None)),
            ("edge1.warp.example:7844", ("edge1.warp.example", 7844)),
            ("192.0.2.1:0", ("192.0.2.1", 0)),
            ("2001:db8::1", ("2001:db8::1", None)),
            ("[2001:db8::1]", ("2001:db8::1", None)),
            ("[2001:db8::1]:65535", ("2001:db8::1", 65535)),
            (":53", ("", 53)),
            ("", ("", None)),
        ):
            self.assertEqual(split_host_port(text), parts)

    def test_refused(self) -> None:
        """What is not a port, and broken brackets, are named with the text."""
        for text in ("a:x", "a:65536", "a:", "a:-1", "a:٣", "a:000053", "[2001:db8::1", "[2001:db8::1]53", "[::1]:"):
            with self.assertRaises(ValueError, msg=text) as caught:
                split_host_port(text)
            self.assertIn(repr(text), str(caught.exception))

    def test_join(self) -> None:
        """What is written is read again."""
        for host in ("edge1.warp.example", "192.0.2.1", "2001:db8::1"):
            self.assertEqual(split_host_port(join_host_port(host, 53)), (host, 53))
