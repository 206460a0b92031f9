"""
One zone in service: its source, its file, its secondaries.

Changes of one reactor turn become one serial, however many there were. A master file is looked at now and then, read
in slices, and taken if it is good; if it is not, the zone goes on as it was.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList, DeferredLock, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import SchedulerStopped
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.reactor import Reactor
from warp_base.slices import Slices
from warp_base.wall_clock import WallClock
from warp_dns.addresses import parse_address
from warp_dns.errors import DnsError, KeyLeftOut, ListenFailed
from warp_dns.message import names
from warp_dns.message.records import RecordLike
from warp_dns.message.tsig import KeyRing
from warp_dns.serve.files import ZoneFile, at_key, file_state
from warp_dns.serve.notify import Notifier
from warp_dns.serve.serials import KeptSerial
from warp_dns.settings import NotifySettings, ZoneSettings
from warp_dns.zone.data import Change
from warp_dns.zone.journal import Journal
from warp_dns.zone.live import LiveZone, Update, is_newer, serial_after
from warp_dns.zone.numbering import ZoneNumbering
from warp_dns.zone.source import Records, RecordSource
from warp_dns.zone.steps import Steps
from warp_dns.zone.transfer import TransferRule

MAX_PENDING_NAMES = 100_000  # of one turn; a source that publishes more at once is asked for its snapshot instead
MANY_NAMES = 50  # of one turn; some 2 ms, more of them are done in slices
PARTS_PER_STEP = 4  # of tables that are freed: each may hold hundreds of names


class Publisher(Protocol):
    """Receives the snapshots of a zone."""

    def publish(self, change: Change, changed_at: float) -> None:
        """Serve the next snapshot; the source changed at that instant of the reactor's clock."""

    def refuse(self, problem: str) -> None:
        """Say that a live record was left out."""


class FollowedZone:
    """A zone that follows its source and its master file."""

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        wall: WallClock,
        slices: Slices,
        settings: ZoneSettings,
        file: ZoneFile,
        source: RecordSource | None,
        publisher: Publisher,
        keys: KeyRing,
        numbering: ZoneNumbering | None = None,
    ) -> None:
        """
        Begin with the zone's static records.

        :param wall: says which serial comes first.
        :param slices: for work that is long.
        :param keys: for signing notices.
        :param numbering: says which serials the zone has; None: each change has the next one.
        :raises DnsError: naming the key among the zone's settings, if a value is not good.
        """
        self._reactor = reactor
        self._slices = slices
        self._settings = settings
        self._source = source
        self._publisher = publisher
        self._file_state = file.state
        static = file.static
        self.numbering = numbering
        self._kept: KeptSerial | None = None
        serial = None
        if numbering is not None:
            serial = numbering.serial
        elif source is not None or static.zone.serial == 0:
            serial = clock_serial(wall) if file.first is None else file.first.serial
            if file.first is not None:
                self._kept = KeptSerial(reactor, file.first)
        self.live = LiveZone(static, serial)
        if numbering is not None:
            self.live.journal = Journal(0, 0)  # what is transferred is the numbering's
        self.rule = TransferRule(settings.transfer.networks, settings.transfer.keys)
        for index, name in enumerate(settings.transfer.keys):
            with at_key(f"transfer.keys[{index}]"), suppress(KeyLeftOut):
                keys.key(name)
        self._notifiers: list[Notifier] = []
        for index, target in enumerate(settings.notify):
            with suppress(KeyLeftOut):  # which was said
                self._notifiers.append(self._notifier(static.apex, target, keys, f"notify[{index}]"))
        self._filled: Records | None = None
        self._pending: dict[str, Sequence[RecordLike]] = {}
        self._pending_since = 0.0
        self._call: IDelayedCall | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._reading: Deferred[None] | None = None
        self._applying: Deferred[None] | None = None
        self._told_serial: int | None = None
        self._long_work = DeferredLock()  # held by what changes the zone in slices
        self._when_applied: list[Callable[[], None]] = []
        self._is_suspended = False
        self._is_stopped = False

    def is_of(self, settings: ZoneSettings, source: RecordSource | None) -> bool:
        """Whether the zone was created with these."""
        return settings == self._settings and source is self._source

    def filling(self) -> Steps[None]:
        """Take what the source publishes now, in short steps, so that little is left to do at the start."""
        if self._source is not None:
            self._filled = self._source.snapshot()
            for problem in (yield from self.live.updating(self._filled)).refused:
                self._publisher.refuse(problem)

    def start(self, local_hosts: Sequence[str]) -> None:
        """
        Follow the source, and tell the secondaries where the zone is.

        :param local_hosts: the addresses that are served, from which notices are sent.
        """
        for notifier in tuple(self._notifiers):
            try:
                notifier.start(local_hosts)
            except ListenFailed as error:
                self._notifiers.remove(notifier)
                self._log.error("no notices to {host}: {problem}", host=notifier.host, problem=str(error))
        if self.numbering is not None:
            self.numbering.forget_own()
            self.numbering.renumber = lambda: self._changed({})
        if self._source is not None:
            self._unsubscribe = self._source.subscribe(self._changed)
            snapshot, filled = self._source.snapshot(), self._filled
            self._filled = None
            if filled is None:
                update = self.live.replace_live(snapshot)
            else:
                changes = {name: members for name, members in snapshot.items() if filled.get(name) is not members}
                update = self.live.update({**changes, **{name: () for name in filled if name not in snapshot}})
            self._publish(update, self._reactor.seconds())
        if self._kept is not None:
            self._kept.served(self.live.zone.serial)
        self._tell()

    def stop(self) -> Deferred[object]:
        """Unsubscribe from the source, and stop notifying secondaries."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self._is_stopped = True
        if self._call is not None:
            self._call.cancel()
            self._call = None
        waits: list[Deferred[Any]] = [maybeDeferred(notifier.stop) for notifier in self._notifiers]
        if self._kept is not None:
            waits.append(self._kept.stop())
        waits += [work for work in (self._reading, self._applying) if work is not None]
        done: Deferred[object] = DeferredList(waits).addCallback(lambda _: None)
        return done

    def suspend(self) -> None:
        """Tell the secondaries nothing for now: who asks is answered with SERVFAIL."""
        self._is_suspended = True

    def resume(self) -> None:
        """Tell the secondaries where the zone is, and each change again."""
        if self._is_suspended:
            self._is_suspended = False
            self._tell()

    def when_applied(self, call: Callable[[], None]) -> None:
        """Call when everything that the source has published so far is served: at once, or after the work on it."""
        if self._call is None and self._applying is None:
            call()
        else:
            self._when_applied.append(call)

    def look_at_file(self) -> None:
        """Read the master file again if it has changed."""
        if not self._settings.master_file or self._reading is not None:
            return
        if file_state(self._settings) != self._file_state:
            self.reload()

    def reload(self) -> None:
        """Read the master file again, while answers go out."""
        if self._reading is not None or not self._settings.master_file:
            return
        self._file_state = file_state(self._settings)
        self._reading = Deferred.fromCoroutine(self._read_again()).addBoth(self._reading_done)

    async def _read_again(self) -> None:
        try:
            file = await ZoneFile.read_in_slices(
                self._reactor, self._slices, self._settings, is_live=self._source is not None
            )
            await self._long_work.acquire()
            try:
                await self._reserve(file.static.zone.serial)
                update = await self._slices.result_of(self.live.replacing_static(file.static))
                self._publish(update, self._reactor.seconds())
            finally:
                self._long_work.release()
        except DnsError as error:
            problem = str(error).removeprefix("master_file: ")
            self._log.error("zone file refused, the old one stays: {problem}", problem=problem)
            return
        for warning in file.warnings:
            self._log.warn("odd in a zone: {problem}", problem=warning)
        zone = self.live.zone
        self._log.info("zone {zone} read again, serial {serial}", zone=names.to_text(zone.apex), serial=zone.serial)

    def _notifier(self, apex: bytes, target: NotifySettings, keys: KeyRing, path: str) -> Notifier:
        with at_key(f"{path}.address"):
            address = parse_address(target.address)
        with at_key(f"{path}.key"):
            key = keys.key(target.key) if target.key else None
        return Notifier(self._reactor, apex, *address, key)

    def _reading_done(self, result: object) -> None:
        self._reading = None
        if isinstance(result, Failure) and not result.check(SchedulerStopped):
            self._log.failure("reading a zone file failed", result)

    def _changed(self, changes: Records) -> None:
        if self._is_stopped:
            return
        if self._call is None and self._applying is None:
            self._pending_since = self._reactor.seconds()
            self._call = self._reactor.callLater(0, self._apply)
        if len(self._pending) < MAX_PENDING_NAMES:
            self._pending.update(changes)

    def _apply(self) -> None:
        self._call = None
        if self._kept is not None and not self._kept.covers(serial_after(self.live.zone.serial)):
            self._applying = self._reserve().addBoth(self._applied)
            return
        changes, self._pending = self._pending, {}
        if len(changes) > MANY_NAMES:
            self._applying = Deferred.fromCoroutine(self._apply_many(changes)).addBoth(self._applied)
            return
        self._publish(self.live.update(changes), self._pending_since)
        self._tell_applied()

    async def _apply_many(self, changes: Records) -> None:
        await self._long_work.acquire()
        try:
            if len(changes) >= MAX_PENDING_NAMES and self._source is not None:
                steps = self.live.replacing_live(self._source.snapshot())
            else:
                steps = self.live.updating(changes)
            self._publish(await self._slices.result_of(steps), self._pending_since)
        finally:
            self._long_work.release()

    def _applied(self, result: object) -> None:
        self._applying = None
        if isinstance(result, Failure):
            if not result.check(SchedulerStopped):
                self._log.failure("applying live records failed", result)
            return
        if self._pending:
            self._pending_since = self._reactor.seconds()
            self._call = self._reactor.callLater(0, self._apply)
        else:
            self._tell_applied()

    def _tell_applied(self) -> None:
        calls, self._when_applied = self._when_applied, []
        for call in calls:
            call()

    def _publish(self, update: Update, since: float) -> None:
        for problem in update.refused:
            self._publisher.refuse(problem)
        for parts in update.unused:
            self._slices.discard(parts, PARTS_PER_STEP)
        change, told = update.change, self._told_serial
        if self.numbering is not None:
            change = self.numbering.settle(self.live, change)
        if change is None:
            return
        self._publisher.publish(change, since)
        self._told_serial = self.live.zone.serial
        if self.numbering is not None and (self._told_serial == told or self.numbering.zone is None):
            return  # no secondary is to come
        if self._kept is not None:
            self._kept.served(self.live.zone.serial)
        self._tell()

    def _reserve(self, offered: int = 0) -> Deferred[None]:
        """Fire when the next serial may be served, or the one that a file offers, if that is newer."""
        if self._kept is None:
            return succeed(None)
        current = self.live.zone.serial
        return self._kept.reserve(offered if is_newer(offered, current) else serial_after(current))

    def _tell(self) -> None:
        if self._is_suspended or (self.numbering is not None and self.numbering.zone is None):
            return
        for notifier in self._notifiers:
            notifier.tell(self.live.zone.soa)


def clock_serial(wall: WallClock) -> int:
    """Return the serial of a zone that begins now and was never served."""
    return int(wall.now()) & 0xFFFFFFFF
