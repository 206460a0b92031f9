"""
What an origin is told about the visitor: X-Forwarded-*, Forwarded (RFC 7239), and what edge.yaml names.

These fields are the edge's own statement. Whatever a visitor sends under these names is dropped, never
appended to, so an origin may believe them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Fact(Enum):
    """What a field says that the edge can be asked to set."""

    ADDRESS = "address"
    PORT = "port"
    SCHEME = "scheme"
    SECURE = "secure"


# Field → what it says, in the spelling in which it is sent.
FACTS = {
    **dict.fromkeys(("X-Real-IP", "X-Client-IP", "X-Cluster-Client-IP", "Client-IP", "True-Client-IP"), Fact.ADDRESS),
    **dict.fromkeys(("CF-Connecting-IP", "Fastly-Client-IP", "X-Envoy-External-Address"), Fact.ADDRESS),
    "X-Forwarded-Port": Fact.PORT,
    **dict.fromkeys(("X-Forwarded-Scheme", "X-Scheme", "X-URL-Scheme"), Fact.SCHEME),
    **dict.fromkeys(("X-Forwarded-SSL", "Front-End-HTTPS"), Fact.SECURE),
}
_SPELLINGS = {name.lower(): name for name in FACTS}


@dataclass(frozen=True, slots=True)
class Statements:
    """
    The further fields that the edge sets, compiled once from settings.

    :param fields: each with what it says.
    :param ports: scheme → the public port, where it is not the one that the visitor's connection came to.
    """

    fields: tuple[tuple[str, Fact], ...] = ()
    ports: tuple[tuple[str, int], ...] = ()

    @property
    def needs_port(self) -> bool:
        """Whether a field says the port."""
        return any(fact is Fact.PORT for _, fact in self.fields)


def parse_statements(names: Iterable[str]) -> tuple[tuple[str, Fact], ...]:
    """
    Say what fields say.

    :param names: in any case.
    :raises ValueError: naming the first one that the edge has nothing to say in.
    """
    spelled = [(name, _SPELLINGS.get(name.lower())) for name in names]
    for name, spelling in spelled:
        if spelling is None:
            raise ValueError(f"expected one of {', '.join(sorted(FACTS))}, got {name!r}")
    return tuple((spelling, FACTS[spelling]) for spelling in dict.fromkeys(each for _, each in spelled if each))


@dataclass(frozen=True, slots=True)
class Forwarding:
    """
    The facts about one visitor connection.

    :param address: the visitor's IP address, without a port or an IPv6 zone.
    :param scheme: `http` or `https`, as the visitor connected.
    :param statements: what else is set.
    :param port: that the visitor connected to; 0 where there is none, and then no field says it.
    """

    address: str
    scheme: str
    statements: tuple[tuple[str, Fact], ...] = ()
    port: int = 0

    def lines(self, authority: bytes) -> bytes:
        """
        Return the field lines for one request.

        :param authority: host and port as the visitor named them; already checked, so it needs no quoting of its own.
        """
        address = self.address.encode("ascii")
        scheme = self.scheme.encode("ascii")
        node = b'"[%b]"' % address if b":" in address else address
        return (
            b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n"
            b'Forwarded: for=%b;proto=%b;host="%b"\r\n' % (address, scheme, authority, node, scheme, authority)
        ) + (self._stated() if self.statements else b"")

    def _stated(self) -> bytes:
        """Return the lines of what else is set."""
        values = {
            Fact.ADDRESS: self.address,
            Fact.PORT: str(self.port) if self.port else "",
            Fact.SCHEME: self.scheme,
            Fact.SECURE: "on" if self.scheme == "https" else "off",
        }
        return "".join(f"{name}: {values[fact]}\r\n" for name, fact in self.statements if values[fact]).encode("ascii")
