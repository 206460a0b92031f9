"""
The DNS server as a service of twistd: the server, the edges it follows, and the site that tells how it does.

SIGHUP reads the configuration's zones and every master file again; what else is configured takes a restart.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Never

import msgspec
from prometheus_client.registry import Collector
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import SchedulerStopped
from twisted.internet.threads import deferToThreadPool
from twisted.logger import ILogObserver, Logger
from twisted.python.failure import Failure

from warp_base.hangup import Hangups
from warp_base.loop.process_metrics import ProcessCollector
from warp_base.loop.turn_times import TurnCollector, TurnTimes
from warp_base.nonblocking_writer import DroppedLinesCollector
from warp_base.reactor import Reactor
from warp_base.slices import Slices
from warp_base.yaml_reader import changed_keys
from warp_dns.addresses import check_addresses
from warp_dns.beside.records import EdgeRecords
from warp_dns.beside.serials import EdgeSerials
from warp_dns.errors import DnsError, InvalidSettings
from warp_dns.program.configuration import DnsFile, read_configuration
from warp_dns.program.systemd import SystemdNotifier
from warp_dns.program.web import watch_site
from warp_dns.serve.serials import SerialFile
from warp_dns.serve.server import DnsServer
from warp_dns.serve.zones import ServedZone
from warp_dns.settings import ZoneSettings

UDP_SHARE, TCP_SHARE = 1.0, 0.5  # of the process's time: nothing is served beside, and UDP is what resolvers use


class _Asked(NamedTuple):
    """What an edge is asked for: the kind, the zone's name, and the edge's socket."""

    what: type[EdgeRecords | EdgeSerials]
    zone: str
    path: str


class DnsService(Service):
    """Runs a server as a configuration file says."""

    _log = Logger()
    name = "warp-dns"

    def __init__(
        self,
        reactor: Reactor,
        path: str,
        file: DnsFile,
        *,
        notify_socket: str = "",
        watchdog_usec: str = "",
        turn_times: TurnTimes | None = None,
        hangups: Hangups | None = None,
        give_up: Callable[[], Never] | None = None,
        log_observer: ILogObserver | None = None,
        is_check: bool = False,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        """
        Read zones and secrets.

        :param path: where the configuration came from, for reading it again.
        :param notify_socket: systemd's `NOTIFY_SOCKET`, and `watchdog_usec` its `WATCHDOG_USEC`.
        :param turn_times: how long the reactor's turns take, for the metrics.
        :param hangups: requests to reload, noted since before the configuration was read.
        :param log_observer: where the application's log goes, None for where twistd says.
        :param is_check: refuse files, too, without which a part would be left out.
        :param warn: told of what is odd in a zone; without it the log is.
        :param give_up: ends the process when an address cannot be had; without it the error is raised.
        :raises DnsError: if something in it is not valid.
        """
        self._reactor = reactor
        self._path = path
        self._file = file
        check_addresses(file.listen, "listen")
        if file.metrics:
            metrics_endpoint(reactor, file.metrics)
        self._asked: dict[_Asked, EdgeRecords | EdgeSerials] = {}
        self._zones = file.zones
        self._web: Any = None
        self._turn_times = turn_times
        self._hangups = hangups or Hangups()
        self._give_up = give_up
        self._log_observer = log_observer
        self._reloading: Deferred[None] | None = None
        self._reload_again = False
        self.server = DnsServer(
            reactor,
            self._all_served(file),
            file.server,
            workers=file.workers,
            udp_share=UDP_SHARE,
            tcp_share=TCP_SHARE,
            is_strict=is_check,
            warn=warn,
        )
        for zone in file.zones:
            if zone.follow:
                self.server.suspend(zone.name)
        self._systemd = SystemdNotifier(reactor, notify_socket, watchdog_usec, lambda: self.is_ready)

    @property
    def is_ready(self) -> bool:
        """Whether every zone is answered from."""
        return self.server.is_ready and all(
            asked.is_current for asked in self._asked.values() if isinstance(asked, EdgeRecords)
        )

    def setServiceParent(self, parent: Any) -> None:
        """Join the application, and give it its log."""
        if self._log_observer is not None:
            parent.setComponent(ILogObserver, self._log_observer)
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        """Bind port 53 before twistd gives up its privileges."""
        super().privilegedStartService()
        try:
            self.server.bind(self._file.listen)
        except DnsError as error:
            if self._give_up is None:
                raise
            self._log.critical("the DNS server cannot start: listen: {problem}", problem=str(error))
            self._give_up()

    def startService(self) -> None:
        """Answer."""
        super().startService()
        self.server.serve()
        for asked in self._asked.values():
            asked.start()
        if self._file.metrics:
            endpoint = metrics_endpoint(self._reactor, self._file.metrics)
            self._web = endpoint.listen(watch_site(self._collectors(), lambda: self.is_ready, Slices(self._reactor)))
            self._web.addErrback(self._log_web_failure)
        self._hangups.follow(self._reactor, self.reload)
        self._systemd.start()

    def _collectors(self) -> list[Collector]:
        turns = [] if self._turn_times is None else [TurnCollector("warp_dns", self._turn_times)]
        return [self.server.collector, DroppedLinesCollector("warp_dns"), ProcessCollector(), *turns]

    async def _stop(self) -> None:
        self._systemd.stop()
        self._reload_again = False
        for asked in self._asked.values():
            asked.stop()
        if self._web is not None:
            port = await self._web
            if port is not None:
                await port.stopListening()
        await self.server.stop()

    def stopService(self) -> Deferred[None]:
        """Stop answering."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def reload(self) -> None:
        """
        Read the configuration's zones and every master file again; what is not valid changes nothing.

        Answers go out meanwhile. What asks for it again before that is done has it done once more afterwards.
        """
        if self._reloading is not None:
            self._reload_again = True
            return
        self._reloading = Deferred.fromCoroutine(self._reload()).addBoth(self._reloaded)

    def _reloaded(self, result: object) -> None:
        self._reloading = None
        if isinstance(result, Failure) and not result.check(SchedulerStopped):
            self._log.failure("reading the configuration again failed", result)
        if self._reload_again:
            self._reload_again = False
            self.reload()

    async def _reload(self) -> None:
        before = set(self._asked)
        try:
            file = await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), read_configuration, self._path)
            zones = self._all_served(file)
            await self.server.replace_zones_in_slices(zones)
        except DnsError as error:
            for key in set(self._asked) - before:  # made for zones that are not served
                del self._asked[key]
            problem = f"{self._path}: {str(error).removeprefix(f'{self._path}: ')}"
            self._log.error("reload refused, all stays as it was: {problem}", problem=problem)
            return
        wanted = {_Asked(EdgeRecords, zone.name, zone.follow) for zone in file.zones if zone.follow}
        wanted |= {_Asked(EdgeSerials, zone.name, zone.follow) for zone in file.zones if zone.follow_serials}
        for key in set(self._asked) - wanted:
            self._asked.pop(key).stop()
        for key in wanted - before:
            if key.what is EdgeRecords:
                self.server.suspend(key.zone)
            self._asked[key].start()
        self.server.reload()
        self._log.info(
            "configuration read again: {count} zones; {taken}; after a restart: {later}",
            count=len(zones),
            taken=_changes(self._zones, file.zones),
            later=", ".join(key for key in changed_keys(self._file, file) if key != "zones") or "nothing",
        )
        self._zones = file.zones

    def _all_served(self, file: DnsFile) -> list[ServedZone]:
        return [self._served(zone, f"zones[{index}]") for index, zone in enumerate(file.zones)]

    def _served(self, zone: ZoneSettings, key: str) -> ServedZone:
        if zone.follow_serials and not zone.follow:
            raise InvalidSettings(f"{key}.follow_serials: expected the socket of an edge in follow, got none")
        if not zone.follow:
            return ServedZone(zone, key=key)
        return ServedZone(
            zone, self._records(zone), key, self._serials(zone).numbering if zone.follow_serials else None
        )

    def _records(self, zone: ZoneSettings) -> EdgeRecords:
        key = _Asked(EdgeRecords, zone.name, zone.follow)
        found = self._asked.get(key)
        if not isinstance(found, EdgeRecords):
            found = self._asked[key] = EdgeRecords(
                self._reactor, zone.follow, zone.stale_seconds, lambda current: self._set_current(zone.name, current)
            )
        return found

    def _serials(self, zone: ZoneSettings) -> EdgeSerials:
        key = _Asked(EdgeSerials, zone.name, zone.follow)
        found = self._asked.get(key)
        if not isinstance(found, EdgeSerials):
            found = self._asked[key] = EdgeSerials(self._reactor, zone.follow, zone.name)
        return found

    def _set_current(self, zone: str, is_current: bool) -> None:
        if is_current:
            self.server.resume(zone)
        else:
            self.server.suspend(zone)

    def _log_web_failure(self, failure: Any) -> None:
        self._log.failure("cannot serve metrics on {endpoint}", failure, endpoint=self._file.metrics)


def _changes(before: Sequence[ZoneSettings], after: Sequence[ZoneSettings]) -> str:
    """Say which zones are new, set otherwise, or gone."""
    old, new = ({zone.name: zone for zone in zones} for zones in (before, after))
    groups = (
        ("new", [name for name in new if name not in old]),
        ("changed", [name for name in new if name in old and new[name] != old[name]]),
        ("gone", [name for name in old if name not in new]),
    )
    return ", ".join(f"{word}: {' '.join(names)}" for word, names in groups if names) or "no settings changed"


def check_file(reactor: Reactor, path: str, file: DnsFile) -> str:
    """
    Look at everything that a configuration names, without listening or writing.

    :returns: what is odd, although it would be served; empty if nothing.
    :raises DnsError: naming the key, and what cannot be used.
    """
    for index, zone in enumerate(file.zones):
        if zone.serial_file:
            try:
                SerialFile(zone.serial_file).read()
            except DnsError as error:
                raise InvalidSettings(f"zones[{index}].serial_file: {error}") from error
    zones = [msgspec.structs.replace(zone, serial_file="") for zone in file.zones]
    warnings: list[str] = []
    DnsService(reactor, path, msgspec.structs.replace(file, zones=zones), is_check=True, warn=warnings.append)
    return "; ".join(warnings)


def metrics_endpoint(reactor: Reactor, text: str) -> Any:
    """
    Return where metrics are served.

    :raises InvalidSettings: if the text is no endpoint.
    """
    try:
        return serverFromString(reactor, text)
    except Exception as error:  # each kind of endpoint raises as it likes
        raise InvalidSettings(
            f"metrics: expected an endpoint such as tcp:9153:interface=127.0.0.1, got {text!r} ({error})"
        ) from error
