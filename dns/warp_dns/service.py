"""
The DNS server as a service of twistd: the server, the edges it follows, and the site that tells how it does.

SIGHUP reads the configuration's zones and every master file again; what else is configured takes a restart.
"""

import signal
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.logger import Logger

from warp_dns.configuration import DnsFile, read_configuration
from warp_dns.errors import DnsError
from warp_dns.follow import EdgeRecords
from warp_dns.server import DnsServer, ServedZone
from warp_dns.service_notify import SystemdNotifier
from warp_dns.settings import ZoneSettings
from warp_dns.web import watch_site


class DnsService(Service):
    """Runs a server as a configuration file says."""

    _log = Logger()
    name = "warp-dns"

    def __init__(
        self, reactor: Any, path: str, file: DnsFile, *, notify_socket: str = "", watchdog_usec: str = ""
    ) -> None:
        """
        Read zones and secrets.

        :param path: where the configuration came from, for reading it again.
        :param notify_socket: systemd's `NOTIFY_SOCKET`, and `watchdog_usec` its `WATCHDOG_USEC`.
        :raises DnsError: if something in it is not valid.
        """
        self._reactor = reactor
        self._path = path
        self._file = file
        self._edges: dict[tuple[str, str], EdgeRecords] = {}
        self._web: Any = None
        self.server = DnsServer(reactor, [self._served(zone) for zone in file.zones], file.server, workers=file.workers)
        for zone in file.zones:
            if zone.follow:
                self.server.suspend(zone.name)
        self._systemd = SystemdNotifier(reactor, notify_socket, watchdog_usec, lambda: self.is_ready)

    @property
    def is_ready(self) -> bool:
        """Whether every zone is answered from."""
        return self.server.is_ready and all(edge.is_current for edge in self._edges.values())

    def privilegedStartService(self) -> None:
        """Bind port 53 before twistd gives up its privileges."""
        super().privilegedStartService()
        self.server.bind(self._file.listen)

    def startService(self) -> None:
        """Answer."""
        super().startService()
        self.server.serve()
        for edge in self._edges.values():
            edge.start()
        if self._file.metrics:
            endpoint = serverFromString(self._reactor, self._file.metrics)
            self._web = endpoint.listen(watch_site(self.server.collector, lambda: self.is_ready))
            self._web.addErrback(self._log_web_failure)
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self.reload))
        self._systemd.start()

    async def _stop(self) -> None:
        self._systemd.stop()
        for edge in self._edges.values():
            edge.stop()
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
        """Read the configuration's zones and every master file again; what is not valid changes nothing."""
        try:
            file = read_configuration(self._path)
            before = set(self._edges)
            zones = [self._served(zone) for zone in file.zones]
            self.server.replace_zones(zones)
        except DnsError as error:
            self._log.error("reload refused, all stays as it was: {problem}", problem=str(error))
            return
        wanted = {(zone.name, zone.follow) for zone in file.zones if zone.follow}
        for key in set(self._edges) - wanted:
            self._edges.pop(key).stop()
        for key in wanted - before:
            self.server.suspend(key[0])
            self._edges[key].start()
        self.server.reload()
        self._log.info("configuration read again: {count} zones", count=len(zones))

    def _served(self, zone: ZoneSettings) -> ServedZone:
        if not zone.follow:
            return ServedZone(zone)
        key = (zone.name, zone.follow)
        if key not in self._edges:
            self._edges[key] = EdgeRecords(
                self._reactor, zone.follow, zone.stale_seconds, lambda current: self._set_current(zone.name, current)
            )
        return ServedZone(zone, self._edges[key])

    def _set_current(self, zone: str, is_current: bool) -> None:
        if is_current:
            self.server.resume(zone)
        else:
            self.server.suspend(zone)

    def _log_web_failure(self, failure: Any) -> None:
        self._log.failure("cannot serve metrics on {endpoint}", failure, endpoint=self._file.metrics)
