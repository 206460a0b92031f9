"""Tests for `warp_twisted.policy.sources.proxy_protocol`."""

from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.sources.proxy_protocol import (
    MAX_V1,
    MAX_V2_REST,
    V2_SIGNATURE,
    ProxyHeader,
    ProxyProtocolError,
    Spoken,
)

ports = st.integers(0, 65_535)


def v1(source: IPv4Address | IPv6Address, port: int) -> bytes:
    """Write a header of version 1 as HAProxy does."""
    to = "192.0.2.1" if source.version == 4 else "2001:db8::1"
    return f"PROXY TCP{source.version} {source} {to} {port} 443\r\n".encode()


def v2(source: IPv4Address | IPv6Address, port: int, extensions: bytes = b"", command: int = 0x21) -> bytes:
    """Write a header of version 2."""
    to = IPv4Address("192.0.2.1") if source.version == 4 else IPv6Address("2001:db8::1")
    body = source.packed + to.packed + port.to_bytes(2) + (443).to_bytes(2) + extensions
    family = 0x11 if source.version == 4 else 0x21
    return V2_SIGNATURE + bytes([command, family]) + len(body).to_bytes(2) + body


def feed_all(pieces: list[bytes]) -> tuple[Spoken | None, bytes]:
    """Feed pieces until the header is complete; return what it said, and all that was not of it."""
    header = ProxyHeader()
    for number, piece in enumerate(pieces):
        spoken = header.feed(piece)
        if spoken is not None:
            return spoken, header.rest + b"".join(pieces[number + 1 :])
    return None, b""


class GoodHeaderTests(SynchronousTestCase):
    """Headers as proxies write them."""

    @given(st.ip_addresses(), ports, st.sampled_from([v1, v2]), st.binary(max_size=20), st.lists(st.integers(0, 250)))
    def test_however_it_is_cut(
        self,
        source: IPv4Address | IPv6Address,
        port: int,
        write: object,
        after: bytes,
        cuts: list[int],
    ) -> None:
        """Address, port and what follows are the same for any cut into pieces."""
        data = (v1 if write is v1 else v2)(source, port) + after
        places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        spoken, rest = feed_all([data[a:b] for a, b in pairwise(places)])
        assert spoken is not None
        assert spoken.address is not None
        expected = IPv4Address(source) if source.version == 4 else IPv6Address(source)
        self.assertEqual((type(expected)(spoken.address), spoken.port, rest), (expected, port, after))

    def test_of_the_proxy_itself(self) -> None:
        """LOCAL and UNKNOWN keep the connection's own address."""
        for data in (
            b"PROXY UNKNOWN\r\n",
            b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
            v2(IPv4Address(1), 1, command=0x20),
        ):
            self.assertEqual(feed_all([data + b"GET"]), (Spoken(), b"GET"))

    def test_extensions_are_left_out(self) -> None:
        """TLVs after the addresses say nothing about who asks."""
        spoken, rest = feed_all([v2(IPv4Address("203.0.113.9"), 7, b"\x04\x00\x10" + b"n" * 16) + b"x"])
        self.assertEqual((spoken, rest), (Spoken(address="203.0.113.9", port=7), b"x"))


class BadHeaderTests(SynchronousTestCase):
    """Everything else."""

    def test_refused(self) -> None:
        """Each kind is refused at once, with its reason."""
        ipv4 = IPv4Address("203.0.113.9")
        for data, reason in {
            b"GET / HTTP/1.1\r\n": "does not begin",
            b"\x16\x03\x01": "does not begin",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 1\r\n": "six words",
            b"PROXY  TCP4 203.0.113.9 192.0.2.1 1 2\r\n": "six words",
            b"PROXY UDP4 203.0.113.9 192.0.2.1 1 2\r\n": "six words",
            b"PROXY TCP4 ::1 ::2 1 2\r\n": "addresses of its family",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 65536 2\r\n": "a port that is none",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 -1 2\r\n": "a port that is none",
            b"PROXY TCP4 203.0.113.\xe9 192.0.2.1 1 2\r\n": "beyond ASCII",
            b"PROXY TCP4 " + b"1" * MAX_V1: "no CR LF",
            v2(ipv4, 1, command=0x31): "the command 0x31",
            V2_SIGNATURE + b"\x21\x12\x00\x0c" + bytes(12): "neither TCP over IPv4",
            V2_SIGNATURE + b"\x21\x11\x00\x04" + bytes(4): "neither TCP over IPv4",
            V2_SIGNATURE + b"\x21\x11" + (MAX_V2_REST + 1).to_bytes(2): "longer than",
        }.items():
            with self.assertRaisesRegex(ProxyProtocolError, reason):
                feed_all([data])

    @given(st.binary(max_size=300) | st.binary(max_size=200).map(lambda data: V2_SIGNATURE + data)
           | st.binary(max_size=200).map(lambda data: b"PROXY TCP4 " + data))  # fmt: skip
    def test_any_bytes(self, data: bytes) -> None:
        """Whatever comes is a header, the beginning of one, or refused; and never held beyond a header's length."""
        header = ProxyHeader()
        try:
            spoken = header.feed(data)
        except ProxyProtocolError:
            return
        if spoken is None:
            self.assertLessEqual(len(data), 16 + MAX_V2_REST)
        else:
            self.assertTrue(data.endswith(header.rest))
