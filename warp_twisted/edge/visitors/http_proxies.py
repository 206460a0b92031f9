"""
HTTP proxies in front of the edge: whom the proxy that asks speaks for, read from the head of each request.

A proxy keeps connections for many visitors, so on its connections nothing that is known of one request holds for the
next. Only proxies that the settings name are believed; from everybody else X-Forwarded-* is what a visitor says, and is
dropped (`http1.forwarding`). Who a visitor behind a chain of proxies is, is `policy.sources.forwarded`'s to say. What
the connection itself may do, such as how many there are of it, is not decided here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from warp_twisted.edge.policy.passage import Passage
from warp_twisted.edge.routes.limits import network_of
from warp_twisted.http1.forwarding import Forwarding
from warp_twisted.http1.grammar import OPTIONAL_WHITESPACE
from warp_twisted.http1.refusals import BAD_FORWARDED, MessageRefused
from warp_twisted.http1.target import DEFAULT_PORTS
from warp_twisted.policy.sources.forwarded import visitor_of
from warp_twisted.policy.sources.prefixes import PrefixSet
from warp_twisted.policy.visitor import Visitor as Source

_FOR, _PROTO = b"x-forwarded-for", b"x-forwarded-proto"
_NOBODY = PrefixSet.of([])


class HttpProxies:
    """
    Who is believed.

    :param addresses: of proxies that say in X-Forwarded-For for whom they speak.
    :param say_scheme: whether they say in X-Forwarded-Proto how the visitor came, too.
    """

    __slots__ = ("_addresses", "_say_scheme")

    def __init__(self, addresses: PrefixSet = _NOBODY, *, say_scheme: bool = False) -> None:
        self._addresses = addresses
        self._say_scheme = say_scheme

    def __bool__(self) -> bool:
        return bool(self._addresses)

    def __contains__(self, address: str) -> bool:
        return bool(self._addresses and address) and address in self._addresses  # a unix socket has no address

    def read(self, lines: Sequence[bytes], peer: str, scheme: str) -> tuple[str, str]:
        """
        Read who asks, and how the visitor came.

        :param lines: of the head, without their CR LF.
        :param peer: address of who sent them.
        :param scheme: of the connection.
        :returns: address and scheme: those of the connection where nothing else is said.
        :raises MessageRefused: if a proxy that is believed says what is no address, so that nobody knows who asks.
        """
        if peer not in self:
            return peer, scheme
        visitor = visitor_of(_values(lines, _FOR), peer, self._addresses)
        if visitor is None:
            raise MessageRefused(BAD_FORWARDED)
        if self._say_scheme:
            said = b",".join(_values(lines, _PROTO)).rpartition(b",")[2].strip(OPTIONAL_WHITESPACE).lower()
            if said in (b"http", b"https"):
                scheme = said.decode()
        return visitor, scheme


def _values(lines: Sequence[bytes], name: bytes) -> list[bytes]:
    """Return the values of a field; what is spelt in another way, such as with `_`, is another field."""
    end = len(name)
    return [line[end + 1 :] for line in lines if line[end : end + 1] == b":" and line[:end].lower() == name]


class SpokenFor:
    """
    A visitor behind a proxy; see `edge.exchange.interfaces.Asker`.

    :ivar passage: None: there is no connection of the visitor's own that could be limited.
    """

    __slots__ = ("address", "network", "passage", "scheme", "source")

    def __init__(self, address: str, scheme: str) -> None:
        self.address = address
        self.scheme = scheme
        self.network = network_of(address)
        self.source = Source(address, self.network)
        self.passage: Passage | None = None

    def chain_for(self, authorities: frozenset[bytes]) -> tuple[bytes, ...]:
        """Return nothing: what the proxy has proven, it has proven of itself."""
        return ()


class ProxiedHeads:
    """
    Reads on one connection of a proxy for whom each request is asked.

    :ivar asker: of the head that was read last.
    """

    __slots__ = ("_current", "_forwarding", "_own", "_ports", "asker")

    def __init__(self, current: Callable[[], HttpProxies], own: Forwarding, ports: Mapping[str, int]) -> None:
        """
        Begin.

        :param current: returns who is believed now, which may no longer be this proxy.
        :param own: what an origin is told of the proxy's own requests.
        :param ports: scheme → the public port, where it is known.
        """
        self._current = current
        self._own = own
        self._forwarding = own
        self._ports = ports
        self.asker = SpokenFor(own.address, own.scheme)

    def read(self, lines: Sequence[bytes]) -> Forwarding:
        """
        Read who asks, and return what the origin is told about that.

        :raises MessageRefused: as of `HttpProxies.read`.
        """
        own, asker = self._own, self.asker
        address, scheme = self._current().read(lines, own.address, own.scheme)
        if asker.address != address or asker.scheme != scheme:
            self.asker = SpokenFor(address, scheme)
            port = own.port
            if port and scheme != own.scheme:
                port = self._ports.get(scheme, DEFAULT_PORTS[scheme])
            self._forwarding = replace(own, address=address, scheme=scheme, port=port)
        return self._forwarding
