"""
Proxies in front of the edge: who says in a PROXY header, before the first byte of a connection, whom it speaks for.

Only those that the settings name are asked for a header, and must send one; from everybody else it is what a visitor
says, which neither HTTP nor TLS understands. What is behind the header is the visitor's connection: its address counts
for limits, bans, the policy, logs and what origins are told.
"""

from collections.abc import Callable

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_twisted.edge.routes.limits import plain_address
from warp_twisted.policy.sources.prefixes import PrefixSet
from warp_twisted.policy.sources.proxy_protocol import ProxyHeader, ProxyProtocolError

HEADER_SECONDS = 5.0  # a proxy sends it at once
NOBODY = PrefixSet.of([])
MAX_WAITING = 1_000  # connections of proxies without a whole header


class AnnouncedFactory(ServerFactory):
    """
    Lets proxies say whom they speak for, then hands the connection to a factory of visitors.

    :param let_in: makes the protocol of a visitor at an address, or None to refuse it.
    :param proxies: who must begin with a header; may be replaced while it runs.
    """

    noisy = False

    def __init__(
        self, let_in: Callable[[IAddress | None], Protocol | None], clock: IReactorTime, proxies: PrefixSet = NOBODY
    ) -> None:
        self.let_in = let_in
        self._clock = clock
        self._waiting = 0
        self.proxies = proxies

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Make the connection of a visitor, or that of a proxy which is to say whose it is."""
        if not self.proxies:
            return self.let_in(addr)
        address = plain_address(getattr(addr, "host", ""))
        if not address or address not in self.proxies:
            return self.let_in(addr)
        if self._waiting >= MAX_WAITING:
            return None
        self._waiting += 1
        return _Announcement(self, addr, self._clock)

    def waits_no_more(self) -> None:
        """A connection has its header, or is gone."""
        self._waiting -= 1


class _Announcement(Protocol):
    """A proxy's connection until its header is read; then the transport belongs to the visitor's protocol."""

    _log = Logger()

    def __init__(self, factory: AnnouncedFactory, addr: IAddress | None, clock: IReactorTime) -> None:
        self._factory = factory
        self._address = addr
        self._header = ProxyHeader()
        self._is_over = False
        self._deadline = clock.callLater(HEADER_SECONDS, self._refuse, f"no header within {HEADER_SECONDS:g} s")

    def dataReceived(self, data: bytes) -> None:
        if self._is_over:
            return
        try:
            spoken = self._header.feed(data)
        except ProxyProtocolError as error:
            self._refuse(str(error))
            return
        if spoken is None:
            return
        self._end()
        address = self._address
        if spoken.address is not None:
            kind = IPv6Address if ":" in spoken.address else IPv4Address
            address = kind("TCP", spoken.address, spoken.port or 0)
        transport = self.transport
        visitor = self._factory.let_in(address)
        if visitor is None:
            transport.abortConnection()  # type: ignore[union-attr]  # set while connected
            return
        transport.protocol = visitor  # type: ignore[union-attr]
        visitor.makeConnection(transport)
        if self._header.rest:
            visitor.dataReceived(self._header.rest)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end()

    def _end(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._factory.waits_no_more()
            if self._deadline.active():
                self._deadline.cancel()

    def _refuse(self, reason: str) -> None:
        self._end()
        self._log.warn(
            "a proxy's connection was closed, as it did not say whose it is: {address}: {reason}",
            address=getattr(self._address, "host", ""),
            reason=reason,
        )
        self.transport.abortConnection()  # type: ignore[union-attr]
