"""
What an origin is told about the visitor: X-Forwarded-*, Forwarded (RFC 7239) and Via.

These fields are the edge's own statement. Whatever a visitor sends under these names is dropped, never
appended to, so an origin may believe them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Forwarding:
    """
    The facts about one visitor connection.

    :param address: the visitor's IP address, without a port or an IPv6 zone.
    :param scheme: `http` or `https`, as the visitor connected.
    :param via: the pseudonym in Via (RFC 9110 §7.6.3), or empty to send no Via.
    """

    address: str
    scheme: str
    via: str = "warp"

    def lines(self, authority: bytes) -> bytes:
        """
        Return the field lines for one request.

        :param authority: host and port as the visitor named them; already checked, so it needs no quoting of its own.
        """
        address = self.address.encode("ascii")
        scheme = self.scheme.encode("ascii")
        node = b'"[%b]"' % address if b":" in address else address
        via = b"Via: 1.1 %b\r\n" % self.via.encode("ascii") if self.via else b""
        return (
            b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n"
            b'Forwarded: for=%b;proto=%b;host="%b"\r\n%b' % (address, scheme, authority, node, scheme, authority, via)
        )
