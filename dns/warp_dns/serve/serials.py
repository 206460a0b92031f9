"""
The serial of a live zone, so that it outlives a restart: what is in the file is ahead of what is served.

A secondary ignores a zone whose serial went back. So a serial is served only when the file holds a later one, which is
written, in a thread, long before it is needed. Where that fails, changes are served all the same, which matters more to
visitors than a secondary that may have to wait after a crash; it is tried again every second, and said.
"""

import os
from dataclasses import dataclass

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.reactor import Reactor
from warp_dns.errors import InvalidSettings
from warp_dns.zone.live import is_newer, serial_after

SERIALS_AHEAD = 10_000  # a write for half as many; so much is skipped at a start, hours less than the clock goes on
HOLD_SECONDS = 5.0  # a change waits for the file no longer than that
RETRY_SECONDS = 1.0
_MAX_BYTES = 16


class SerialFile:
    """
    A file that holds one serial, later than any that is served.

    :ivar reserved: what was written last; None when nothing could be.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.reserved: int | None = None

    def first(self, at_least: int) -> int:
        """
        Return the serial to start from: the one in the file, or this if it is newer or there is none.

        :raises InvalidSettings: if the file holds something else, which is not written over.
        """
        found = self.read()
        return found if found is not None and is_newer(found, at_least) else at_least

    def read(self) -> int | None:
        """
        Return the serial in the file, None if there is none yet, or an empty file as a machine without power leaves it.

        :raises InvalidSettings: if the file holds something else.
        """
        try:
            with open(self.path, "rb") as file:
                text = file.read(_MAX_BYTES).strip(b"\0 \n")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InvalidSettings(f"{self.path}: {error.strerror or error}") from error
        if not text:
            return None
        if not text.isdigit() or int(text) >= 2**32:
            raise InvalidSettings(f"{self.path}: not a serial")
        return int(text)

    def reserve(self, serial: int) -> str:
        """Write a serial far ahead of this one; returns as `write`."""
        return self.write(serial_after(serial + SERIALS_AHEAD & 0xFFFFFFFF))

    def write(self, serial: int) -> str:
        """
        Write a serial so that a crash, of the machine too, finds it or the one before.

        :returns: why that failed, or an empty text.
        """
        beside = f"{self.path}.new"
        try:
            with open(beside, "w") as file:
                file.write(f"{serial}\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
            directory = os.open(os.path.dirname(self.path) or ".", os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            return f"{self.path}: {error.strerror or error}"
        self.reserved = serial
        return ""


@dataclass(frozen=True, slots=True)
class FirstSerial:
    """
    What a zone begins with.

    :ivar serial: the serial that comes first.
    :ivar problem: why no later one could be written, or empty.
    """

    file: SerialFile
    serial: int
    problem: str


def first_serial(path: str, at_least: int) -> FirstSerial:
    """
    Read a file, and get it ahead of the serial to start from; this blocks for as long as the disk does.

    :param at_least: the serial that the clock says.
    :raises InvalidSettings: if the file holds something else than a serial.
    """
    file = SerialFile(path)
    serial = file.first(at_least)
    return FirstSerial(file, serial, file.reserve(serial))


class KeptSerial:
    """
    Keeps a file ahead of the serials that are served.

    :param first: what the zone began with.
    """

    _log = Logger()

    def __init__(self, reactor: Reactor, first: FirstSerial) -> None:
        self._reactor = reactor
        self._file = first.file
        self._waiting: list[Deferred[None]] = []
        self._wanted = first.serial
        self._writing: Deferred[None] | None = None
        self._retry: IDelayedCall | None = None
        self._is_stopped = False
        self._has_failed = bool(first.problem)
        self._say(first.problem)

    def covers(self, serial: int) -> bool:
        """Whether that serial may be served: no crash leads back behind it, or that cannot be helped."""
        return self._has_failed or self._is_ahead_of(serial)

    def served(self, serial: int) -> None:
        """Note a serial that is served now, and see that the file gets ahead of it again in time."""
        if not self._is_ahead_of(serial + SERIALS_AHEAD // 2 & 0xFFFFFFFF):
            self._write(serial)

    def reserve(self, serial: int) -> "Deferred[None]":
        """Fire when a serial may be served, in `HOLD_SECONDS` at the latest; one wait at a time."""
        self.served(serial)
        if self.covers(serial):
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        limit = self._reactor.callLater(HOLD_SECONDS, self._let_go)

        def done(result: object) -> None:
            if limit.active():
                limit.cancel()

        return waiting.addBoth(done)

    def stop(self) -> "Deferred[None]":
        """Write no more; fires when nothing is being written."""
        self._is_stopped = True
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._let_go()
        done: Deferred[None] = Deferred()
        if self._writing is None:
            return succeed(None)
        self._writing.addBoth(lambda _: done.callback(None))
        return done

    def _is_ahead_of(self, serial: int) -> bool:
        return self._file.reserved is not None and is_newer(self._file.reserved, serial)

    def _write(self, serial: int) -> None:
        self._wanted = serial
        if self._writing is not None or self._retry is not None or self._is_stopped:
            return
        pool = self._reactor.getThreadPool()
        self._writing = deferToThreadPool(self._reactor, pool, self._file.reserve, serial).addBoth(self._written)

    def _written(self, result: str | Failure) -> None:
        self._writing = None
        problem = result if isinstance(result, str) else str(result.value)
        if problem and not self._has_failed:
            self._say(problem)
        self._has_failed = bool(problem)
        if problem and not self._is_stopped:
            self._retry = self._reactor.callLater(RETRY_SECONDS, self._try_again)
        self._let_go()

    def _try_again(self) -> None:
        self._retry = None
        self._write(self._wanted)

    def _let_go(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    def _say(self, problem: str) -> None:
        if problem:
            self._log.error("the serial is not kept: {problem}", problem=problem)
