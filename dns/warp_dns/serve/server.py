"""
The server as a program uses it: zones and their sources in, sockets out.

Creates and closes the sockets and the workers. Answers are made in `responder`, zones are kept in `zones`; options, and
which reactor is used, are the caller's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from warp_base.fair_queue import FairQueue
from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_base.reactor import Reactor
from warp_base.slices import Slices
from warp_base.wall_clock import WallClock
from warp_dns.addresses import parse_address, show_address
from warp_dns.errors import DnsError, InvalidSettings, ListenFailed, refuse
from warp_dns.message import names
from warp_dns.message.tsig import KeyRing
from warp_dns.message.update import TakesUpdates
from warp_dns.serve import replica
from warp_dns.serve.assembly import make_responder
from warp_dns.serve.files import read_secrets
from warp_dns.serve.metrics import Counters, DnsCollector
from warp_dns.serve.querylog import QueryLog
from warp_dns.serve.tcp import BACKLOG, TcpFactory, bind_shared_tcp
from warp_dns.serve.udp import UdpPort, bind_udp, udp_port
from warp_dns.serve.workers import WorkerProcess
from warp_dns.serve.zones import ServedZone, ZoneSet
from warp_dns.settings import EdgeSettings, ServerSettings

UDP_SHARE, TCP_SHARE = 0.5, 0.25  # where visitors are served beside
TRANSFERS_SECONDS = 0.001  # in one turn
FILE_SECONDS = 2.0  # how often master files are looked at
_EPHEMERAL_TRIES = 16


class DnsServer:
    """
    An authoritative DNS server.

    :ivar counters: what it counts.
    :ivar collector: the same, for a Prometheus registry.
    :ivar is_ready: whether it is answering.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        zones: Sequence[ServedZone],
        settings: ServerSettings | None = None,
        *,
        workers: int = 1,
        wall: WallClock = MACHINE_WALL_CLOCK,
        udp_share: float = UDP_SHARE,
        tcp_share: float = TCP_SHARE,
        is_strict: bool = False,
        is_shared: bool = False,
        warn: Callable[[str], None] | None = None,
        place: str = "",
    ) -> None:
        """
        Read zones and secrets. A file that cannot be used is said, and what stands apart with it is left out.

        :param workers: how many processes answer UDP, this one among them.
        :param wall: for signatures, cookies and the first serial.
        :param udp_share: how much of the reactor's time queries over UDP may take, at each address.
        :param tcp_share: and those over TCP, all clients together; as much again for transfers.
        :param is_strict: raise for a file that cannot be used, too; for a check.
        :param is_shared: let another process of the same user answer at the same addresses.
        :param warn: told of what is odd in a zone that is served; without it the log is.
        :param place: what comes before the keys of `settings` in errors, such as `dns.`.
        :raises InvalidZone: if a zone's settings are not valid, or two have one name.
        :raises InvalidSettings: if anything else is not.
        """
        self._reactor = reactor
        self._wall = wall
        self._settings = settings or ServerSettings()
        self._worker_count = workers
        self._is_shared = is_shared
        self._udp_share = udp_share
        self.counters = Counters()
        self.collector = DnsCollector(self.counters)
        self.is_ready = False
        leave_out = refuse if is_strict else self._leave_out
        self._slices = Slices(reactor)
        with _placed(place):
            without = refuse if is_strict else lambda problem: self._leave_out(InvalidSettings(f"{place}{problem}"))
            self._secrets = read_secrets(self._settings, without)
            self._responder = make_responder(
                self._settings,
                self._secrets,
                self.counters,
                wall,
                workers=workers,
                discard=self._slices.discard,
                leave_out=without,
            )
        self._query_log = QueryLog(self._settings.query_log.one_in)
        self._transfers = Slices(reactor, TRANSFERS_SECONDS, tcp_share)
        self._tcp = TcpFactory(
            reactor,
            wall,
            self._transfers,
            FairQueue(reactor, share=tcp_share),
            self._responder,
            self._settings.tcp,
            self._query_log,
        )
        self._edges: Mapping[str, EdgeSettings] = self._settings.places.edges
        self._udp_ports: list[UdpPort] = []
        self._tcp_ports: list[Any] = []
        self._workers: list[WorkerProcess] = []
        self._hosts: list[str] = []
        self._loops: list[LoopingCall] = []
        self._zones = ZoneSet(
            reactor,
            wall,
            self._slices,
            self._responder,
            KeyRing(self._secrets.keys, self._secrets.left_out),
            self.counters,
            self._tell_workers,
            leave_out,
            warn or self._log_warning,
        )
        self._zones.replace(zones)

    def take_updates(self, takes: TakesUpdates) -> None:
        """Let others change zones by signed updates (RFC 2136), with `keys` of the settings; workers take none."""
        self._responder.take_updates(takes)

    def start(self, addresses: Sequence[str]) -> list[tuple[str, int]]:
        """
        Bind every address for UDP and TCP, follow the sources, and answer: `bind`, then `serve`.

        :returns: host and port of each, in the same order.
        :raises InvalidSettings: if one is not an address.
        :raises ListenFailed: if one cannot be bound; none is then.
        """
        bound = self.bind(addresses)
        self.serve()
        return bound

    def bind(self, addresses: Sequence[str]) -> list[tuple[str, int]]:
        """
        Bind every address for UDP and TCP: the part that may need privileges.

        :param addresses: such as `192.0.2.1:53`, `[2001:db8::1]:53` or `192.0.2.1`; port 0 picks a free one.
        :returns: host and port of each, in the same order.
        :raises InvalidSettings: if one is not an address.
        :raises ListenFailed: if one cannot be bound; none is then.
        """
        parsed = [parse_address(address) for address in addresses]
        bound: list[tuple[str, int]] = []
        try:
            for host, port in parsed:
                bound.append(self._listen(host, port))
        except ListenFailed:
            self._close_ports()
            raise
        self._hosts = [host for host, _ in bound]
        for host, port in bound:
            self._log.info("DNS on {address}, UDP and TCP", address=show_address(host, port))
        return bound

    def serve(self) -> None:
        """Follow the sources, and answer."""
        self._zones.start(self._hosts)
        for listening in self._udp_ports:
            listening.start()
        for worker in self._workers:
            worker.start()
        self._repeat(FILE_SECONDS, self._zones.look_at_files)
        if self._responder.limit is not None:
            self._repeat(1.0, self._responder.tick)
        self.is_ready = True

    def pause(self) -> Deferred[None]:
        """Answer nothing until `go_on`; fires when every socket is closed. The sources are followed."""
        self.is_ready = False
        self._tcp.close_all()
        return self._close_ports()

    def go_on(self, bound: Sequence[tuple[str, int]]) -> None:
        """
        Answer again.

        :param bound: what `bind` returned.
        :raises ListenFailed: if an address cannot be bound again; none is then.
        """
        self.bind([show_address(host, port) for host, port in bound])
        for listening in self._udp_ports:
            listening.start()
        for worker in self._workers:
            worker.start()
        self.is_ready = True

    def stop(self) -> Deferred[None]:
        """Stop answering; fires when every socket is closed and every worker gone."""
        self.is_ready = False
        for loop in self._loops:
            loop.stop()
        self._loops = []
        waits: list[Deferred[Any]] = self._zones.stop()
        self._tcp.close_all()
        waits.append(self._close_ports())
        self._transfers.stop()
        self._slices.stop()
        return _all(waits)

    def serial(self, zone: str) -> int:
        """Return the serial at which a zone is served."""
        return self._responder.zones[names.from_text(zone).lower()].serial

    def set_edges(self, edges: Mapping[str, EdgeSettings]) -> None:
        """Set the edges: where each is, its load, whether it drains."""
        self._edges = edges
        self._responder.set_edges(edges)
        self._tell_workers(lambda: iter([replica.SetEdges(dict(edges))]))

    def suspend(self, zone: str) -> None:
        """Answer SERVFAIL for what a zone does not hold: its live records are unknown."""
        self._zones.suspend(zone)

    def resume(self, zone: str) -> None:
        """Answer from a zone again, once everything is served that its source has published so far."""
        self._zones.resume(zone)

    def reload(self) -> None:
        """Read every master file again, changed or not."""
        self._zones.reload()

    def replace_zones(self, zones: Sequence[ServedZone]) -> None:
        """
        Serve these zones and no others; those whose settings are the same go on undisturbed.

        :raises InvalidZone: if the settings of one are not valid; nothing has changed then.
        """
        self._zones.replace(zones)

    async def fill_in_slices(self) -> None:
        """Take what the sources publish before the start, which then has little left to do in one piece."""
        await self._zones.fill_in_slices()

    async def replace_zones_in_slices(self, zones: Sequence[ServedZone]) -> None:
        """Do the same while answers go out; raises as `replace_zones` does."""
        await self._zones.replace_in_slices(zones)

    def _leave_out(self, problem: DnsError) -> None:
        self._log.error("left out, the rest is served: {problem}", problem=str(problem))

    def _log_warning(self, problem: str) -> None:
        self._log.warn("odd in a zone: {problem}", problem=problem)

    def _listen(self, host: str, port: int) -> tuple[str, int]:
        tries = _EPHEMERAL_TRIES if port == 0 else 1
        share = self._worker_count > 1 or self._is_shared
        while True:
            tries -= 1
            udp = bind_udp(host, port, share=share)
            bound = udp.getsockname()[1]
            try:
                listening = self._listen_tcp(host, bound)
            except (CannotListenError, OSError) as error:
                udp.close()
                if tries:
                    continue  # the port that UDP picked is in use for TCP
                reason = getattr(error, "socketError", error)
                raise ListenFailed(f"cannot serve DNS on TCP {host} port {bound}: {reason}") from error
            break
        self._tcp_ports.append(listening)
        self._tcp.share_time(self._tcp_ports)
        self._udp_ports.append(
            udp_port(self._reactor, udp, self._responder, self.counters, self._query_log, self._udp_share)
        )
        for _ in range(self._worker_count - 1):
            lent = bind_udp(host, bound, share=True)
            self._workers.append(WorkerProcess(self._reactor, self._slices, lent, self.counters, self._first_orders))
        return host, bound

    def _listen_tcp(self, host: str, port: int) -> Any:
        if not self._is_shared:
            return self._reactor.listenTCP(port, self._tcp, BACKLOG, host)
        with bind_shared_tcp(host, port) as bound:
            bound.listen(BACKLOG)
            return self._reactor.adoptStreamPort(bound.fileno(), bound.family, self._tcp)

    def _close_ports(self) -> Deferred[None]:
        self._tcp.share_time(())
        for port in self._udp_ports:
            port.stop()
        waits: list[Deferred[Any]] = [maybeDeferred(port.stopListening) for port in self._tcp_ports]
        waits += [worker.stop() for worker in self._workers]
        self._udp_ports, self._tcp_ports, self._workers = [], [], []
        return _all(waits)

    def _first_orders(self) -> Iterator[replica.Order]:
        """Return what a new worker is told; the zones as they are now, whatever comes before all is told."""
        first: list[replica.Order] = [
            replica.Begin(self._settings, self._secrets, self._worker_count),
            replica.SetEdges(dict(self._edges)),
            replica.SetSuspended(sorted(self._zones.silent), sorted(self._zones.incomplete)),
        ]
        return chain(first, *map(replica.serving, self._responder.zones.values()))

    def _tell_workers(self, orders: Callable[[], Iterator[replica.Order]], *, is_long: bool = False) -> None:
        for worker in self._workers:
            worker.send(orders(), is_long=is_long)

    def _repeat(self, seconds: float, call: Any) -> None:
        loop = LoopingCall(call)
        loop.clock = self._reactor
        loop.start(seconds, now=False)
        self._loops.append(loop)


@contextmanager
def _placed(place: str) -> Iterator[None]:
    """Put where the settings stand before what is said of one of their keys."""
    try:
        yield
    except DnsError as error:
        raise InvalidSettings(f"{place}{error}") from error


def _all(waits: Sequence[Deferred[Any]]) -> Deferred[None]:
    done: Deferred[None] = DeferredList(waits, consumeErrors=True).addCallback(lambda _: None)
    return done
