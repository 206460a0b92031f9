"""
Keeps the registry's record of who numbers the zone: looks at it twice a second, and does what `states` says.

What is written is compared with what was seen (compare-and-set), and a range of serials counts from the registry's
answer on, so that two edges never number under one record.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from warp_dns.zone.live import is_newer, serial_after
from warp_dns.zone.numbering import ZoneNumbering
from warp_twisted.edge.numbering.records import (
    RANGE,
    NumberingRecord,
    decode_record,
    encode_record,
    key_of,
    renewed,
    taken,
)
from warp_twisted.edge.numbering.states import Act, Watching
from warp_twisted.registry.errors import RegistryError
from warp_twisted.registry.store import Expect, Put, Store

FIRST_SECONDS = 3.0  # in which an edge that has just started hears what the others have; then its zone is whole
EARLY_SECONDS = 0.4  # before a beat is due, so that it is not late by a whole look


class Holding:
    """
    This edge's part in who numbers a zone.

    :param own: this edge's name.
    :param first_serial: returns the serial to begin with, if all that were given before are older.
    :param is_away: whether the registry takes no changes now.
    :ivar holder: the edge that numbers the zone, as the record was seen last; empty: none.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        clock: IReactorTime,
        own: str,
        zone: str,
        numbering: ZoneNumbering,
        first_serial: Callable[[], int],
        is_away: Callable[[], bool],
    ) -> None:
        self._store = store
        self._clock = clock
        self._own = own
        self._key = key_of(zone)
        self._zone = zone
        self._numbering = numbering
        self._first_serial = first_serial
        self._is_away = is_away
        self._watching = Watching(own)
        self._problem = ""
        self._is_left = False
        self._not_before = float("inf")
        self.holder = ""

    @property
    def held(self) -> NumberingRecord | None:
        """The record that this edge holds; None: another edge numbers the zone, or none."""
        return self._watching.held

    @property
    def unchanged_seconds(self) -> float:
        """For how long the record was seen unchanged, or not at all: about a second while an edge numbers the zone."""
        return self._watching.unchanged_seconds(self._clock.seconds())

    def begin(self) -> None:
        """Take part from now on, but do not number at once: what the others have is not known yet."""
        self._not_before = self._clock.seconds() + FIRST_SECONDS

    async def look(self) -> None:
        """Look at the record, and do what follows."""
        self._is_left = False
        try:
            await self._look()
            self._problem = ""
        except (RegistryError, ValueError) as error:
            if str(error) != self._problem:
                self._problem = str(error)
                self._log.warn("who numbers zone {zone} cannot be settled: {error}", zone=self._zone, error=error)

    async def _look(self) -> None:
        item = await self._store.get(self._key)
        record = decode_record(item.value) if item is not None else None
        version = item.modified if item is not None else 0
        now = self._clock.seconds()
        seen = self._watching.see(now, record, version, is_away=self._is_away())
        self.holder = record.holder if record is not None else ""
        act = self._watching.decide(now + EARLY_SECONDS, seen)
        if act is Act.LEAVE:
            self._log.info("edge {edge} numbers zone {zone} from now on", edge=self.holder, zone=self._zone)
            self._watching.wrote(now, None)
            self._numbering.end()
        elif act is Act.TAKE and now >= self._not_before:
            await self._take(taken(record, self._own, self._at_least(record)), version)
        elif act is Act.BEAT and self.held is not None:
            await self._beat(renewed(self.held, self._numbering.serial), version)

    def _at_least(self, record: NumberingRecord | None) -> int:
        """Return a serial after all that this edge knows of: the record may be one of a backup, which knows less."""
        serial, known = self._first_serial(), None
        if self.held is not None:
            known = self.held.last
        elif self._numbering.zone is not None and (record is None or is_newer(self._numbering.serial, record.last)):
            known = self._numbering.serial + RANGE & 0xFFFFFFFF
        return serial if known is None or is_newer(serial, known) else serial_after(known)

    async def _take(self, record: NumberingRecord, version: int) -> None:
        self._watching.wrote(self._clock.seconds(), None)
        self._numbering.end()
        if await self._write(record, version):
            self._log.info(
                "this edge numbers zone {zone} from now on, beginning with serial {serial}",
                zone=self._zone, serial=record.first,
            )  # fmt: skip
            self._watching.wrote(self._clock.seconds(), record)
            self.holder = self._own
            self._numbering.begin(record.first, record.last)

    async def _beat(self, record: NumberingRecord, version: int) -> None:
        now = self._clock.seconds()
        if await self._write(record, version):
            self._watching.wrote(now, record)
            self._numbering.extend(record.last)

    async def _write(self, record: NumberingRecord, version: int) -> bool:
        """Write the record if it is still what was seen, and this edge has not left meanwhile."""
        written: Deferred[bool] = self._store.transact(
            [Expect(self._key, version)], [Put(self._key, encode_record(record))]
        )
        return await written and not self._is_left

    def leave(self) -> None:
        """Number no more until `begin`: another process of this edge is going to."""
        self._is_left = True
        self._not_before = float("inf")
        self._watching.wrote(self._clock.seconds(), None)
        self._numbering.end()

    async def give_up(self) -> None:
        """Number no more, and say so in the record, so that another edge begins at once."""
        held = self.held
        self.leave()
        if held is None or self._is_away():
            return
        try:
            item = await self._store.get(self._key)
            if item is not None and (record := decode_record(item.value)).fence == held.fence:
                free = NumberingRecord(fence=record.fence, first=record.first, last=record.last)
                await self._store.transact([Expect(self._key, item.modified)], [Put(self._key, encode_record(free))])
        except (RegistryError, ValueError) as error:
            self._log.info("another edge numbers zone {zone} in some seconds: {error}", zone=self._zone, error=error)
