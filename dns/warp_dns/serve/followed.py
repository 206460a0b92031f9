"""
One zone in service: its source, its files, its secondaries.

Changes of one reactor turn become one serial, however many there were. A master file is looked at now and then, read
in a thread, and taken if it is good; if it is not, the zone goes on as it was.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from warp_base.reactor import Reactor
from warp_dns.addresses import parse_address
from warp_dns.errors import DnsError, InvalidSettings, InvalidZone
from warp_dns.message import names
from warp_dns.message.records import SOA, RecordLike, soa_serial
from warp_dns.message.tsig import KeyRing
from warp_dns.serve.files import SerialFile, read_zone, state_of
from warp_dns.serve.notify import Notifier
from warp_dns.settings import NotifySettings, ZoneSettings
from warp_dns.zone.data import Change
from warp_dns.zone.live import LiveZone, Update
from warp_dns.zone.master import StaticRecords
from warp_dns.zone.source import Records, RecordSource
from warp_dns.zone.transfer import TransferRule

MAX_PENDING_NAMES = 100_000  # of one turn; a source that publishes more at once is asked for its snapshot instead


class Publisher(Protocol):
    """Who serves the snapshots that a zone makes."""

    def publish(self, change: Change, changed_at: float) -> None:
        """Serve the next snapshot; the source changed at that time."""

    def refuse(self, problem: str) -> None:
        """Say that a live record was left out."""


class FollowedZone:
    """A zone that follows its source and its master file."""

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        settings: ZoneSettings,
        source: RecordSource | None,
        publisher: Publisher,
        keys: KeyRing,
        after: int | None = None,
    ) -> None:
        """
        Read the zone's static records.

        :param keys: for signing notices.
        :param after: the serial at which the zone was served until now.
        :raises DnsError: naming the key among the zone's settings, if they make no zone, or a file is not good.
        """
        self._reactor = reactor
        self._settings = settings
        self._source = source
        self._publisher = publisher
        self._file_state = state_of(settings.master_file) if settings.master_file else None
        static = _read_static(settings)
        self._serial_file = SerialFile(settings.serial_file) if settings.serial_file else None
        serial = None
        if source is not None or soa_serial(static.owners[static.apex][SOA].rdatas[0]) == 0:
            serial = int(reactor.seconds()) & 0xFFFFFFFF
            if self._serial_file is not None:
                with _at("serial_file"):
                    serial = self._serial_file.first(serial)
        self.live = LiveZone(static, serial, after)
        self.rule = TransferRule(settings.transfer.networks, settings.transfer.keys)
        for index, name in enumerate(settings.transfer.keys):
            with _at(f"transfer.keys[{index}]"):
                keys.key(name)
        self._notifiers = [
            self._notifier(static.apex, target, keys, f"notify[{index}]")
            for index, target in enumerate(settings.notify)
        ]
        self._pending: dict[str, Sequence[RecordLike]] = {}
        self._pending_since = 0.0
        self._call: Any = None
        self._unsubscribe: Callable[[], None] | None = None
        self._reading: Deferred[None] | None = None

    def has_name(self, name: str) -> bool:
        """Whether this is the zone of that name."""
        return names.from_text(name).lower() == self.live.zone.apex

    def is_of(self, settings: ZoneSettings, source: RecordSource | None) -> bool:
        """Whether the zone was made of these."""
        return settings == self._settings and source is self._source

    def start(self, local_hosts: Sequence[str]) -> None:
        """
        Follow the source, and tell the secondaries where the zone is.

        :param local_hosts: the addresses that are served, from which notices are sent.
        """
        for notifier in self._notifiers:
            notifier.start(local_hosts)
        if self._source is not None:
            self._unsubscribe = self._source.subscribe(self._changed)
            self._publish(self.live.replace_live(self._source.snapshot()), self._reactor.seconds())
        self._tell()

    def stop(self) -> Deferred[object]:
        """Let go of the source and the secondaries."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._call is not None:
            self._call.cancel()
            self._call = None
        waits = [maybeDeferred(notifier.stop) for notifier in self._notifiers]
        if self._reading is not None:
            waits.append(self._reading)
        done: Deferred[object] = DeferredList(waits).addCallback(lambda _: None)
        return done

    def look_at_file(self) -> None:
        """Read the master file again if it has changed."""
        if not self._settings.master_file or self._reading is not None:
            return
        if state_of(self._settings.master_file) != self._file_state:
            self.reload()

    def reload(self) -> None:
        """Read the master file again, beside the reactor."""
        if self._reading is not None or not self._settings.master_file:
            return
        self._file_state = state_of(self._settings.master_file)
        reading = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), read_zone, self._settings)
        reading.addCallback(self._take_static)
        reading.addErrback(self._keep_static)
        self._reading = reading.addBoth(self._reading_done)

    def _notifier(self, apex: bytes, target: NotifySettings, keys: KeyRing, place: str) -> Notifier:
        with _at(f"{place}.address"):
            address = parse_address(target.address)
        with _at(f"{place}.key"):
            key = keys.key(target.key) if target.key else None
        return Notifier(self._reactor, apex, *address, key)

    def _take_static(self, static: Any) -> None:
        self._publish(self.live.replace_static(static), self._reactor.seconds())
        self._log.info(
            "zone {zone} read again, serial {serial}", zone=names.to_text(static.apex), serial=self.live.zone.serial
        )

    def _keep_static(self, failure: Any) -> None:
        failure.trap(DnsError)
        self._log.error("zone file refused, the old one stays: {problem}", problem=str(failure.value))

    def _reading_done(self, failure: Any) -> None:
        self._reading = None
        if failure is not None:
            self._log.failure("reading a zone file failed", failure)

    def _changed(self, changes: Records) -> None:
        if self._call is None:
            self._pending_since = self._reactor.seconds()
            self._call = self._reactor.callLater(0, self._apply)
        if len(self._pending) < MAX_PENDING_NAMES:
            self._pending.update(changes)

    def _apply(self) -> None:
        self._call = None
        changes, self._pending = self._pending, {}
        if len(changes) >= MAX_PENDING_NAMES and self._source is not None:
            update = self.live.replace_live(self._source.snapshot())
        else:
            update = self.live.update(changes)
        self._publish(update, self._pending_since)

    def _publish(self, update: Update, since: float) -> None:
        for problem in update.refused:
            self._publisher.refuse(problem)
        if update.change is None:
            return
        self._publisher.publish(update.change, since)
        if self._serial_file is not None:
            try:
                self._serial_file.note(self.live.zone.serial)
            except DnsError as error:
                self._log.error("the serial is not kept: {problem}", problem=str(error))
        self._tell()

    def _tell(self) -> None:
        for notifier in self._notifiers:
            notifier.tell(self.live.zone.soa)


@contextmanager
def _at(key: str) -> Iterator[None]:
    """Put a key's path before what is said of its value."""
    try:
        yield
    except DnsError as error:
        raise InvalidSettings(f"{key}: {error}") from error


def _read_static(settings: ZoneSettings) -> StaticRecords:
    try:
        return read_zone(settings)
    except InvalidZone as error:
        is_of_file = settings.master_file and str(error).startswith(settings.master_file)
        raise InvalidZone(f"master_file: {error}" if is_of_file else f"{error}") from error
