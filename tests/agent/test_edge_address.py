"""Tests of `warp_twisted.agent.edge_address`."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.edge_address import EdgeAddress, parse_edge
from warp_twisted.errors import InvalidSettings


class ParseEdgeTests(SynchronousTestCase):
    """Addresses of edges, as files and peers write them."""

    @settings(deadline=None, max_examples=300)
    @given(st.text(max_size=30) | st.from_regex(r"\A[\[\]a-z:.0-9]{0,12}:[0-9]*\Z"))
    def test_any_text_is_taken_or_refused(self, text: str) -> None:
        """Whatever a list of edges holds, it is an address or `InvalidSettings`."""
        with contextlib.suppress(InvalidSettings):
            edge = parse_edge(text, "x")
            self.assertTrue(edge.host and 0 < edge.port < 65536)

    def test_forms(self) -> None:
        """A host, a host and port, an IPv6 address with and without a port; names in small letters."""
        for text, host, port in (
            ("edge1.example", "edge1.example", 7844),
            ("EDGE1.example:1", "edge1.example", 1),
            ("[2001:db8::1]:443", "2001:db8::1", 443),
            ("[2001:db8::1]", "2001:db8::1", 7844),
            ("2001:db8::1", "2001:db8::1", 7844),
        ):
            self.assertEqual(parse_edge(text, "x"), EdgeAddress(host, port))

    def test_refused(self) -> None:
        """What is no address is refused, naming the key."""
        for text in ("", ":1", "a:", "a:0", "a:65536", "a:x", "[::1", "[::1]x", "a b:1", "http://a:1", "a:\u00b2",
                     "a:" + "1" * 9999):  # fmt: skip
            error = self.assertRaises(InvalidSettings, parse_edge, text, "edges[1]")
            self.assertTrue(str(error).startswith("edges[1]: expected host:port, got "), error)

    def test_text(self) -> None:
        """What is parsed is written the same way."""
        for text in ("edge1.example:7844", "192.0.2.1:1", "[2001:db8::1]:65535"):
            self.assertEqual(str(parse_edge(text, "x")), text)
