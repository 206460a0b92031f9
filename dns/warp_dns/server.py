"""
The server as a program uses it: zones and their sources in, sockets out.

Owns the life of the sockets, follows each zone's source, and publishes at most one serial a reactor turn however
many changes came in it. Answers are made in `responder`; options, files and which reactor is used are the caller's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from warp_dns import names
from warp_dns.errors import InvalidSettings, ListenFailed
from warp_dns.live import LiveZone, Update
from warp_dns.master import static_records
from warp_dns.metrics import Counters, DnsCollector
from warp_dns.responder import Identity, Responder
from warp_dns.settings import ServerSettings, ZoneSettings
from warp_dns.source import RecordLike, Records, RecordSource
from warp_dns.tcp import TcpFactory
from warp_dns.udp import UdpPort, bind_udp

DNS_PORT = 53
_EPHEMERAL_TRIES = 16


@dataclass(frozen=True, slots=True)
class ServedZone:
    """A zone to serve, and where its live records come from, if it has any."""

    settings: ZoneSettings
    source: RecordSource | None = None


class DnsServer:
    """
    An authoritative DNS server.

    :ivar counters: what it counts.
    :ivar collector: the same, for a Prometheus registry.
    """

    _log = Logger()

    def __init__(self, reactor: Any, zones: Sequence[ServedZone], settings: ServerSettings | None = None) -> None:
        """
        Read the zones.

        :raises InvalidZone: if one of them is not valid.
        """
        self._reactor = reactor
        self._settings = settings or ServerSettings()
        self.counters = Counters()
        self.collector = DnsCollector(self.counters)
        identity = self._settings.identity
        self._responder = Responder(
            self.counters,
            identity=Identity(version=identity.version, id=identity.id),
            udp_bytes=self._settings.udp_bytes,
        )
        self._tcp = TcpFactory(self._responder, self._settings.tcp)
        self._zones = [_FollowedZone(self, zone) for zone in zones]
        self._udp_ports: list[UdpPort] = []
        self._tcp_ports: list[Any] = []
        self.is_ready = False

    def start(self, addresses: Sequence[str]) -> list[tuple[str, int]]:
        """
        Bind every address for UDP and TCP, follow the sources, and answer.

        :param addresses: such as `192.0.2.1:53`, `[2001:db8::1]:53` or `192.0.2.1`; port 0 picks a free one.
        :returns: host and port of each, in the same order.
        :raises ListenFailed: if one cannot be bound; none is then.
        """
        bound: list[tuple[str, int]] = []
        try:
            for address in addresses:
                bound.append(self._listen(*parse_address(address)))
        except ListenFailed:
            self._close_ports()
            raise
        for zone in self._zones:
            zone.follow()
        for port in self._udp_ports:
            port.start()
        self.is_ready = True
        return bound

    def stop(self) -> Deferred[None]:
        """Stop answering; fires when every socket is closed."""
        self.is_ready = False
        for zone in self._zones:
            zone.leave()
        self._tcp.close_all()
        return self._close_ports()

    def serial(self, zone: str) -> int:
        """Return the serial at which a zone is served."""
        return self._responder.zones[names.from_text(zone).lower()].serial

    def _listen(self, host: str, port: int) -> tuple[str, int]:
        tries = _EPHEMERAL_TRIES if port == 0 else 1
        while True:
            tries -= 1
            udp = bind_udp(host, port)
            bound = udp.getsockname()[1]
            try:
                listening = self._reactor.listenTCP(bound, self._tcp, interface=host)
            except CannotListenError as error:
                udp.close()
                if tries:
                    continue  # the port that UDP picked is in use for TCP
                raise ListenFailed(f"cannot serve DNS on TCP {host} port {bound}: {error.socketError}") from error
            self._tcp_ports.append(listening)
            self._udp_ports.append(UdpPort(self._reactor, udp, self._responder, self.counters))
            return host, bound

    def _close_ports(self) -> Deferred[None]:
        for port in self._udp_ports:
            port.stop()
        closing = [maybeDeferred(port.stopListening) for port in self._tcp_ports]
        self._udp_ports, self._tcp_ports = [], []
        done: Deferred[None] = gatherResults(closing).addCallback(lambda _: None)
        return done

    def _serve(self, zone: LiveZone) -> None:
        self._responder.serve(zone.zone)
        self.counters.serials[names.to_text(zone.zone.apex)] = zone.zone.serial

    def _publish(self, zone: LiveZone, update: Update, since: float) -> None:
        for problem in update.refused:
            self.counters.refused_records[0] += 1
            self._log.warn("live records refused: {problem}", problem=problem)
        if update.change is not None:
            self._responder.advance(update.change)
            self.counters.changed(names.to_text(zone.zone.apex), zone.zone.serial, self._reactor.seconds() - since)


class _FollowedZone:
    """One zone and its subscription; changes of one reactor turn become one serial."""

    def __init__(self, server: DnsServer, served: ServedZone) -> None:
        self._server = server
        self._source = served.source
        reactor = server._reactor
        serial = int(reactor.seconds()) & 0xFFFFFFFF if self._source else None
        self._zone = LiveZone(static_records(served.settings), serial)
        self._pending: dict[str, Sequence[RecordLike]] = {}
        self._pending_since = 0.0
        self._call: Any = None
        self._unsubscribe: Callable[[], None] | None = None
        server._serve(self._zone)

    def follow(self) -> None:
        if self._source is None:
            return
        self._unsubscribe = self._source.subscribe(self._changed)
        update = self._zone.replace_live(self._source.snapshot())
        self._server._publish(self._zone, update, self._server._reactor.seconds())

    def leave(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _changed(self, changes: Records) -> None:
        reactor = self._server._reactor
        if self._call is None:
            self._pending_since = reactor.seconds()
            self._call = reactor.callLater(0, self._apply)
        self._pending.update(changes)

    def _apply(self) -> None:
        self._call = None
        changes, self._pending = self._pending, {}
        self._server._publish(self._zone, self._zone.update(changes), self._pending_since)


def parse_address(text: str) -> tuple[str, int]:
    """
    Read an address to listen on.

    :raises InvalidSettings: if it is not an IP address with an optional port.
    """
    host, port = text, str(DNS_PORT)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise InvalidSettings(f"{text!r}: [IPv6 address]:port is expected")
        port = rest[1:] or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidSettings(f"{text!r}: {port!r} is not a port")
    try:
        return str(ip_address(host)), int(port)
    except ValueError as error:
        raise InvalidSettings(f"{text!r}: {host!r} is not an IP address") from error
