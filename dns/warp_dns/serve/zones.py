"""
The zones of one server: which are served, which replace which, and which cannot be served now.

A zone whose master file is bad is left out: it is answered with SERVFAIL, so that resolvers ask another server, until
the file is good, which is tried again when it changes. The other zones are served. What is wrong with the settings
themselves refuses all of them. Everything that happens is told to the responder and to the workers.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import SchedulerStopped
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.reactor import Reactor
from warp_base.slices import Slices
from warp_base.wall_clock import WallClock
from warp_dns.errors import BadMasterFile, DnsError, InvalidRecord, InvalidZone
from warp_dns.message import names
from warp_dns.message.tsig import KeyRing
from warp_dns.serve import replica
from warp_dns.serve.files import FileState, ZoneFile, state_of
from warp_dns.serve.followed import PARTS_PER_STEP, FollowedZone, clock_serial
from warp_dns.serve.metrics import Counters
from warp_dns.serve.responder import Responder
from warp_dns.settings import ZoneSettings
from warp_dns.zone.cache import MANY_NAMES
from warp_dns.zone.data import Change, Zone
from warp_dns.zone.master import static_records
from warp_dns.zone.numbering import ZoneNumbering
from warp_dns.zone.source import RecordSource
from warp_dns.zone.transfer import Transferable


@dataclass(frozen=True, slots=True)
class ServedZone:
    """
    A zone to serve, and where its live records come from, if it has any.

    :ivar key: where its settings stand, for errors: `zones[0]`; without one they name the zone.
    :ivar numbering: says which serials it has, where it is not this server alone that numbers it.
    """

    settings: ZoneSettings
    source: RecordSource | None = None
    key: str = ""
    numbering: ZoneNumbering | None = None

    @property
    def place(self) -> str:
        """What errors call it."""
        return self.key or f"zone {self.settings.name}"


class TellsWorkers(Protocol):
    """Passes orders on to every worker process."""

    def __call__(self, orders: Callable[[], Iterator[replica.Order]], *, is_long: bool = False) -> None:
        """Tell them; `is_long` where there are many values."""


class ZoneSet:
    """
    The zones of one server.

    :param tell: tells the workers.
    :param leave_out: told of a zone that cannot be served now; it may raise what it is told, to refuse instead.
    :param warn: told of what is odd in a zone that is served.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        wall: WallClock,
        slices: Slices,
        responder: Responder,
        keys: KeyRing,
        counters: Counters,
        tell: TellsWorkers,
        leave_out: Callable[[DnsError], None],
        warn: Callable[[str], None],
    ) -> None:
        self._reactor = reactor
        self._wall = wall
        self._slices = slices
        self._responder = responder
        self._keys = keys
        self._counters = counters
        self._tell = tell
        self._leave_out = leave_out
        self._warn = warn
        self._hosts: Sequence[str] | None = None  # from which notices are sent; None: not started
        self._wanted: Sequence[ServedZone] = ()
        self._zones: dict[bytes, FollowedZone] = {}
        self._bad: dict[bytes, FileState | None] = {}  # by apex: the state of the master file that was bad
        self._suspended: frozenset[bytes] = frozenset()
        self._replacing = DeferredLock()
        self._trying: Deferred[None] | None = None

    @property
    def silent(self) -> frozenset[bytes]:
        """The apexes of zones that are answered with SERVFAIL now."""
        return frozenset(self._bad.keys() - self._zones.keys())

    @property
    def incomplete(self) -> frozenset[bytes]:
        """The apexes of zones whose live records are unknown: what is there is answered, all else with SERVFAIL."""
        return self._suspended

    def start(self, hosts: Sequence[str]) -> None:
        """
        Follow the sources.

        :param hosts: the addresses that are served.
        """
        self._hosts = hosts
        for zone in self._zones.values():
            zone.start(hosts)

    def stop(self) -> list[Deferred[Any]]:
        """Follow no more; what is returned fires when all is still."""
        waits: list[Deferred[Any]] = [zone.stop() for zone in self._zones.values()]
        if self._trying is not None:
            waits.append(self._trying)
        return waits

    def suspend(self, zone: str) -> None:
        """Answer SERVFAIL for what a zone does not hold, and tell no secondary: its live records are unknown."""
        apex = names.from_text(zone).lower()
        self._suspended |= {apex}
        followed = self._zones.get(apex)
        if followed is not None:
            followed.suspend()
        self._tell_silent()

    def resume(self, zone: str) -> None:
        """Answer from a zone again, once everything is served that its source has published so far."""
        apex = names.from_text(zone).lower()

        def resumed() -> None:
            self._suspended -= {apex}
            self._tell_silent()
            if followed is not None:
                followed.resume()

        followed = self._zones.get(apex)
        if followed is None:
            resumed()
        else:
            followed.when_applied(resumed)

    def reload(self) -> None:
        """Read every master file again, changed or not."""
        for zone in self._zones.values():
            zone.reload()
        self._try_again()

    def look_at_files(self) -> None:
        """Read the master files again that have changed."""
        for zone in self._zones.values():
            zone.look_at_file()
        for served in self._wanted:
            apex = _apex_of(served)
            if apex in self._bad and state_of(served.settings.master_file) != self._bad[apex]:
                self._try_again()
                return

    def replace(self, zones: Sequence[ServedZone]) -> None:
        """
        Serve these zones and no others; those whose settings are the same go on undisturbed.

        :raises InvalidZone: if the settings of one are not valid; nothing has changed then.
        """
        made: list[FollowedZone | _BadFile] = []
        for served in zones:
            zone: FollowedZone | _BadFile | None = self._current(served)
            if zone is None:
                with _of_zone(served):
                    try:
                        serial, is_live = clock_serial(self._wall), served.source is not None
                        zone = self._make(served, ZoneFile.read(served.settings, serial, is_live=is_live))
                    except BadMasterFile as error:
                        zone = _BadFile(state_of(served.settings.master_file), error)
            made.append(zone)
        self._replace(zones, made)

    async def replace_in_slices(self, zones: Sequence[ServedZone]) -> None:
        """
        Do the same while answers go out; one such replacement at a time.

        :raises InvalidZone: if the settings of one are not valid; nothing has changed then.
        """
        await self._replacing.acquire()
        try:
            made: list[FollowedZone | _BadFile] = []
            for served in zones:
                zone: FollowedZone | _BadFile | None = self._current(served)
                if zone is None:
                    with _of_zone(served):
                        zone = await self._made_in_slices(served)
                made.append(zone)
            self._replace(zones, made)
        finally:
            self._replacing.release()

    async def _made_in_slices(self, served: ServedZone) -> "FollowedZone | _BadFile":
        state = state_of(served.settings.master_file)
        try:
            file = await ZoneFile.read_in_slices(
                self._reactor,
                self._slices,
                served.settings,
                clock_serial(self._wall),
                is_live=served.source is not None,
            )
        except BadMasterFile as error:
            return _BadFile(state, error)
        zone = self._make(served, file)
        await self._slices.result_of(zone.filling())
        return zone

    async def fill_in_slices(self) -> None:
        """Take what the sources publish, of zones that are not started."""
        for zone in list(self._zones.values()):
            await self._slices.result_of(zone.filling())
            self._begin_to_serve(zone.live.zone, zone)

    def publish(self, change: Change, changed_at: float) -> None:
        """Serve the next snapshot of a zone (`followed.Publisher`)."""
        before = self._responder.zones[change.zone.apex]
        self._responder.advance(change)
        if len(change.touched) > MANY_NAMES:
            self._slices.discard(list(before.shards), PARTS_PER_STEP)
        self._tell(lambda: replica.advancing(change), is_long=len(change.touched) > replica.OWNERS_PER_VALUE)
        zone = change.zone
        self._counters.changed(names.to_text(zone.apex), zone.serial, self._reactor.seconds() - changed_at)

    def refuse(self, problem: str) -> None:
        """Say that a live record was left out (`followed.Publisher`)."""
        self._counters.refused_records[0] += 1
        self._log.warn("live records refused: {problem}", problem=problem)

    def _current(self, served: ServedZone) -> FollowedZone | None:
        """Return the zone that is served with these settings already, if one is."""
        try:
            zone = self._zones.get(_apex_of(served))
        except InvalidRecord:
            return None  # whoever reads the zone says so
        return zone if zone is not None and zone.is_of(served.settings, served.source) else None

    def _make(self, served: ServedZone, file: ZoneFile) -> FollowedZone:
        for warning in file.warnings:
            self._warn(f"{served.place}: {warning}")
        return FollowedZone(
            self._reactor,
            self._wall,
            self._slices,
            served.settings,
            file,
            served.source,
            self,
            self._keys,
            served.numbering,
        )

    def _replace(self, zones: Sequence[ServedZone], made: "Sequence[FollowedZone | _BadFile]") -> None:
        fresh: dict[bytes, FollowedZone | _BadFile] = {}
        for served, zone in zip(zones, made, strict=True):
            if (apex := _apex_of(served)) in fresh:
                raise InvalidZone(f"{served.place}.name: zone {served.settings.name} is given twice")
            fresh[apex] = zone
            if isinstance(zone, _BadFile) and (apex not in self._bad or self._bad[apex] != zone.state):
                self._leave_out(InvalidZone(f"{served.place}.{zone.error}"))
        self._wanted = zones
        for apex in self._zones.keys() - fresh.keys():
            self._drop(apex)
        for apex in self._bad.keys() - fresh.keys():
            del self._bad[apex]
            self._withdraw(apex)
        for served, zone in zip(zones, fresh.values(), strict=True):
            if isinstance(zone, _BadFile):
                self._keep_without(served, zone)
            elif self._zones.get(zone.live.zone.apex) is not zone:
                self._take(zone)
        self._counters.zones_left_out = len(self._bad)
        self._tell_silent()

    def _keep_without(self, served: ServedZone, bad: "_BadFile") -> None:
        """Go on with the zone as it was before, if it was, else answer with SERVFAIL."""
        apex = _apex_of(served)
        if apex not in self._zones and apex not in self._bad:
            nobody = ZoneSettings(name=served.settings.name, nameservers={"invalid": []})
            self._begin_to_serve(static_records(nobody, b"").zone)
        self._bad[apex] = bad.state

    def _take(self, zone: FollowedZone) -> None:
        apex = zone.live.zone.apex
        before = self._zones.pop(apex, None)
        if before is not None:
            if zone.numbering is None:
                zone.live.come_after(before.live.zone.serial)
            before.stop()
        self._zones[apex] = zone
        if apex in self._suspended:
            zone.suspend()
        self._bad.pop(apex, None)
        snapshot = zone.live.zone
        self._begin_to_serve(snapshot, zone)
        self._counters.serials[names.to_text(apex)] = snapshot.serial
        if self._hosts is not None:
            zone.start(self._hosts)

    def _begin_to_serve(self, snapshot: Zone, zone: FollowedZone | None = None) -> None:
        if zone is None:
            self._responder.serve(snapshot)
        else:
            self._responder.serve(snapshot, Transferable(zone.rule, zone.live.journal, zone.numbering))
        self._tell(lambda: replica.serving(snapshot), is_long=True)

    def _drop(self, apex: bytes) -> None:
        self._zones.pop(apex).stop()
        self._bad.pop(apex, None)
        self._counters.serials.pop(names.to_text(apex), None)
        self._withdraw(apex)

    def _withdraw(self, apex: bytes) -> None:
        self._responder.withdraw(apex)
        self._tell(lambda: iter([replica.Withdraw(apex)]))

    def _tell_silent(self) -> None:
        silent, incomplete = self.silent, self.incomplete
        self._responder.set_suspended(silent, incomplete)
        self._tell(lambda: iter([replica.SetSuspended(sorted(silent), sorted(incomplete))]))

    def _try_again(self) -> None:
        """Read the files again that were bad."""
        if self._bad and self._trying is None:
            self._trying = Deferred.fromCoroutine(self.replace_in_slices(self._wanted)).addBoth(self._tried)

    def _tried(self, result: object) -> None:
        self._trying = None
        if isinstance(result, Failure) and not result.check(SchedulerStopped):
            self._log.failure("reading zone files that were bad failed", result)


@dataclass(frozen=True, slots=True)
class _BadFile:
    """A zone that cannot be served, and the state of its master file."""

    state: FileState | None
    error: BadMasterFile


def _apex_of(served: ServedZone) -> bytes:
    return names.from_text(served.settings.name).lower()


@contextmanager
def _of_zone(served: ServedZone) -> Iterator[None]:
    """Put where a zone's settings stand before what is said of one."""
    try:
        yield
    except DnsError as error:
        raise InvalidZone(f"{served.place}.{error}") from error
