"""
Telling the firewall whom this edge has banned, so that the kernel drops them before they cost a connection.

The edge has no right to change the firewall: it writes `ban_records` to the socket of a helper that has, and that can
do nothing else. A helper that is away, slow or dead costs nothing: what waits to be told is only the names of networks,
and the edge turns the banned away by itself as before. Whenever a connection is made, and when who is spared changes,
everything is told anew. A network in which anybody is never banned is not told.
"""

from collections.abc import Callable, Iterable

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IDelayedCall, IPullProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import LoopingCall
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from warp_base.reactor import Reactor
from warp_twisted.edge.policy.banning import Banning
from warp_twisted.edge.routes.limits import network_of
from warp_twisted.policy.ban_records import BEGINNING, ban_record, let_in_record
from warp_twisted.policy.bans import MAX_BANS

RECORDS_AT_ONCE = 128  # 1 ms
CONNECT_SECONDS = 5.0
RETRY_SECONDS = 1.0  # doubled from time to time
MAX_RETRY_SECONDS = 60.0
STEADY_SECONDS = 10.0  # after which a connection counts as a success
LOOK_SECONDS = 2.0


@implementer(IPullProducer)
class BansConnection(Protocol):
    """One connection to the helper: it is written to when it has taken what was written before."""

    transport: Connection

    def __init__(self, owner: "FirewallBans") -> None:
        self._owner = owner
        self._is_writing = False

    def connectionMade(self) -> None:
        """It has begun."""
        self._owner.connected(self)

    def connectionLost(self, reason: Failure = Failure(CancelledError())) -> None:  # noqa: B008 -- as of Protocol
        """It is over."""
        self._owner.lost(reason)

    def wake(self) -> None:
        """There is something to be told."""
        if not self._is_writing:
            self._is_writing = True
            self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """Write the next records."""
        records = self._owner.next_records()
        if records:
            self.transport.write(records)
        else:
            self._is_writing = False
            self.transport.unregisterProducer()

    def stopProducing(self) -> None:
        """The connection is closed."""


class FirewallBans(Collector):
    """
    Tells one helper.

    :param banning: the bans of this edge.
    :param edges: returns the addresses of all edges, which are never banned.
    """

    _log = Logger()

    def __init__(self, banning: Banning, edges: Callable[[], Iterable[str]], reactor: Reactor) -> None:
        self._banning = banning
        self._edges = edges
        self._reactor = reactor
        self._path: str | None = None
        self._connecting: Deferred[Protocol] | None = None
        self._connection: BansConnection | None = None
        self._connected_at = 0.0
        self._retry: IDelayedCall | None = None
        self._retry_seconds = RETRY_SECONDS
        self._has_complained = False
        self._begins = False
        self._rest: list[str] = []  # of those that there were at the beginning
        self._changed: dict[str, None] = {}
        self._spared: tuple[object, object, frozenset[str]] = (None, None, frozenset())
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    # To whom.

    def follow(self, path: str | None) -> None:
        """
        Tell the helper behind a socket from now on.

        :param path: None for nobody.
        """
        if path == self._path:
            return
        self.stop()
        self._path = path
        if path is not None:
            self._banning.changed = self._note
            self._looking.start(LOOK_SECONDS, now=False)
            self._connect()

    def stop(self) -> None:
        """Tell nobody any more; the helper takes all bans out."""
        self._path = None
        self._banning.changed = lambda network: None
        if self._looking.running:
            self._looking.stop()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._connecting is not None:
            self._connecting.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.transport.abortConnection()

    def _connect(self) -> None:
        self._retry = None
        assert self._path is not None  # noqa: S101 -- no retry outlives it
        factory = Factory.forProtocol(lambda: BansConnection(self))
        factory.noisy = False
        self._connecting = UNIXClientEndpoint(self._reactor, self._path, CONNECT_SECONDS).connect(factory)
        self._connecting.addErrback(self._failed).addBoth(self._connecting_ended)

    def _connecting_ended(self, result: object) -> None:
        self._connecting = None

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._try_again(failure)

    def connected(self, connection: BansConnection) -> None:
        """A connection is there."""
        self._connection = connection
        self._connected_at = self._reactor.seconds()
        self._log.info("bans are put into the firewall")
        self._has_complained = False
        self._begin()

    def lost(self, reason: Failure) -> None:
        """The connection is over; nothing happens if it was ended here."""
        if self._connection is None:
            return
        self._connection = None
        if self._reactor.seconds() - self._connected_at > STEADY_SECONDS:
            self._retry_seconds = RETRY_SECONDS
        self._try_again(reason)

    def _try_again(self, reason: Failure) -> None:
        if not self._has_complained:
            self._has_complained = True
            self._log.warn(
                "bans are not put into the firewall until its helper answers at {path}: {reason}",
                path=self._path,
                reason=reason.getErrorMessage(),
            )
        self._retry = self._reactor.callLater(self._retry_seconds, self._connect)
        self._retry_seconds = min(MAX_RETRY_SECONDS, 2 * self._retry_seconds)

    # What.

    def _begin(self) -> None:
        """Tell everything anew."""
        self._begins = True
        self._changed.clear()
        self._spared = self._who_is_spared()
        self._wake()

    def _note(self, network: str) -> None:
        """A ban has begun, or was ended by an operator; one whose time is over ends in the firewall by itself."""
        if self._connection is None:
            return
        self._changed[network] = None
        if len(self._changed) > MAX_BANS:  # the helper takes nothing, and what it would have to take only grows
            self._begin()
        self._wake()

    def _wake(self) -> None:
        if self._connection is not None:
            self._connection.wake()

    def _look(self) -> None:
        if self._who_is_spared() != self._spared:  # a set of prefixes is another one whenever it was read anew
            self._begin()

    def _who_is_spared(self) -> tuple[object, object, frozenset[str]]:
        banning = self._banning
        return banning.bans.never, banning.proxies, frozenset(network_of(address) for address in self._edges())

    def next_records(self) -> bytes:
        """Return what is to be told next; nothing if everything is."""
        records = []
        if self._begins:
            self._begins = False
            self._rest = self._banning.bans.networks()
            records.append(BEGINNING)
        while len(records) < RECORDS_AT_ONCE and (self._changed or self._rest):
            if self._changed:
                network = next(iter(self._changed))
                del self._changed[network]
            else:
                network = self._rest.pop()
            seconds = self._banning.seconds_left(network)
            is_told = seconds > 0 and network not in self._spared[2] and not self._banning.spares_some_of(network)
            records.append(ban_record(network, seconds) if is_told else let_in_record(network))
        return b"".join(records)

    def collect(self) -> Iterable[Metric]:
        """Build the families of one scrape; none where nobody is told."""
        if self._path is not None:
            yield GaugeMetricFamily(
                "warp_edge_firewall_bans_connected",
                "Whether bans are put into the firewall.",
                value=float(self._connection is not None),
            )
