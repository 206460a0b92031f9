"""Tests of `warp_dns.serve.serials`."""

from pathlib import Path
from typing import Any, cast

from twisted.internet.testing import MemoryReactorClock
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import Events
from warp_base.reactor import as_reactor
from warp_dns.errors import InvalidSettings
from warp_dns.serve.serials import (
    HOLD_SECONDS,
    RETRY_SECONDS,
    SERIALS_AHEAD,
    KeptSerial,
    SerialFile,
    first_serial,
)


class _Pool:
    """A thread that works only when the test says so."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def callInThreadWithCallback(self, finished: Any, function: Any, *args: Any, **kwargs: Any) -> None:
        """Keep what is to be done."""
        self.calls.append((finished, function, args, kwargs))

    def work(self) -> None:
        """Do what waits."""
        calls, self.calls = self.calls, []
        for finished, function, args, kwargs in calls:
            try:
                result = function(*args, **kwargs)
            except Exception:
                finished(False, Failure())
            else:
                finished(True, result)


class _Reactor(MemoryReactorClock):
    """A reactor whose threads are the test's."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = _Pool()

    def getThreadPool(self) -> ThreadPool:
        """Return the pool."""
        return cast(ThreadPool, self.pool)

    def callFromThread(self, callable: Any, *args: Any, **kwargs: Any) -> None:
        """Call in the next turn."""
        self.callLater(0, callable, *args, **kwargs)

    def work(self) -> None:
        """Let the thread work, and the reactor hear of it."""
        self.pool.work()
        self.advance(0)


class SerialFileTests(SynchronousTestCase):
    """The file."""

    def setUp(self) -> None:
        """Name the file."""
        directory = Path(self.mktemp())
        directory.mkdir()
        self.path = directory / "serial"

    def first(self, at_least: int) -> int:
        """Start, and return the serial that comes first."""
        return first_serial(str(self.path), at_least).serial

    def test_the_first_start_is_the_clock(self) -> None:
        """Without a file the serial is the one asked for."""
        self.assertEqual(self.first(1000), 1000)

    def test_a_restart_goes_on_from_beyond_what_was_used(self) -> None:
        """What may have been served is skipped, whatever was."""
        self.first(1000)
        self.assertEqual(self.first(1000), 1001 + SERIALS_AHEAD)

    def test_a_clock_that_is_further_wins(self) -> None:
        """When more time passed than serials were used, the clock counts."""
        self.first(1000)
        self.assertEqual(self.first(50_000), 50_000)

    def test_a_file_of_something_else_is_refused(self) -> None:
        """Nothing is overwritten that is no serial."""
        for content in (b"banana", b"4294967296", b"12 13", b"-1", b"1" * 500):
            self.path.write_bytes(content)
            self.assertRaisesRegex(InvalidSettings, "not a serial", self.first, 1)
            self.assertEqual(self.path.read_bytes(), content)
        self.path.unlink()
        self.path.mkdir()
        self.assertRaisesRegex(InvalidSettings, "Is a directory", self.first, 1)

    def test_a_file_that_a_machine_without_power_left(self) -> None:
        """An empty file, or one of zeros, is none."""
        for content in (b"", bytes(11)):
            self.path.write_bytes(content)
            self.assertEqual(self.first(77), 77)

    def test_what_cannot_be_written_is_said(self) -> None:
        """The serial is there all the same, and the reason with the path."""
        first = first_serial(str(self.path.parent / "nowhere" / "serial"), 5)
        self.assertEqual((first.serial, first.file.reserved), (5, None))
        self.assertRegex(first.problem, "nowhere/serial: No such file")


class KeptSerialTests(SynchronousTestCase):
    """Serials in use, and a disk of the test's."""

    def setUp(self) -> None:
        """Begin at 1000."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.path = self.directory / "serial"
        self.reactor = _Reactor()
        self.events = Events()
        self.patch(KeptSerial, "_log", Logger(observer=self.events))
        self.kept = self.begin()

    def begin(self) -> KeptSerial:
        """Start."""
        return KeptSerial(as_reactor(self.reactor), first_serial(str(self.path), 1000))

    def break_disk(self) -> None:
        """Let every write fail."""
        self.directory.rename(f"{self.directory}.away")

    def repair_disk(self) -> None:
        """Let writes succeed again."""
        Path(f"{self.directory}.away").rename(self.directory)

    def test_what_is_served_is_always_behind_the_file(self) -> None:
        """Writes are rare, in a thread, and in time: a restart at any moment begins after what was served."""
        writes = 0
        for serial in range(1001, 1001 + 3 * SERIALS_AHEAD):
            self.assertTrue(self.kept.covers(serial))
            self.kept.served(serial)
            if self.reactor.pool.calls:
                writes += 1
                self.reactor.work()
            if not serial % 1000:
                self.assertGreater(SerialFile(str(self.path)).first(0), serial)
        self.assertLessEqual(writes, 6)

    def test_a_change_waits_for_the_file(self) -> None:
        """A serial beyond what is in the file is not served before that is written."""
        far = 1000 + 2 * SERIALS_AHEAD
        self.assertFalse(self.kept.covers(far))
        reserved = self.kept.reserve(far)
        self.assertNoResult(reserved)
        self.reactor.work()
        self.successResultOf(reserved)
        self.assertTrue(self.kept.covers(far))
        self.assertGreater(SerialFile(str(self.path)).first(0), far)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_disk_that_hangs(self) -> None:
        """A change waits some seconds for it, and no longer."""
        reserved = self.kept.reserve(1000 + 2 * SERIALS_AHEAD)
        self.reactor.advance(HOLD_SECONDS - 0.1)
        self.assertNoResult(reserved)
        self.reactor.advance(0.2)
        self.successResultOf(reserved)

    def test_a_disk_that_is_full(self) -> None:
        """It is said once and tried again every second; changes are served meanwhile, and kept again afterwards."""
        self.break_disk()
        far = 1000 + 2 * SERIALS_AHEAD
        reserved = self.kept.reserve(far)
        self.reactor.work()
        self.successResultOf(reserved)
        for _ in range(3):
            self.assertTrue(self.kept.covers(far + 1))
            self.kept.served(far + 1)
            self.reactor.advance(RETRY_SECONDS)
            self.reactor.work()
        self.assertEqual(len(self.events), 1)
        self.assertIn("No such file", self.events[0]["problem"])
        self.repair_disk()
        self.reactor.advance(RETRY_SECONDS)
        self.reactor.work()
        self.assertGreater(SerialFile(str(self.path)).first(0), far + 1)
        self.assertFalse(self.kept.covers(far + 2 + SERIALS_AHEAD))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_disk_that_is_full_at_the_start(self) -> None:
        """The zone is served, and the file is written as soon as it can be."""
        self.break_disk()
        kept = self.begin()
        self.assertEqual(len(self.events), 1)
        self.assertTrue(kept.covers(1001))
        kept.served(1001)
        self.reactor.work()
        self.repair_disk()
        self.reactor.advance(RETRY_SECONDS)
        self.reactor.work()
        self.assertGreater(SerialFile(str(self.path)).first(0), 1001)

    def test_the_end(self) -> None:
        """What is being written is waited for, nothing is tried again, and nobody waits for it any more."""
        reserved = self.kept.reserve(1000 + 2 * SERIALS_AHEAD)
        self.break_disk()
        stopped = self.kept.stop()
        self.successResultOf(reserved)
        self.assertNoResult(stopped)
        self.reactor.work()
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.kept.served(1000 + 3 * SERIALS_AHEAD)
        self.assertEqual(self.reactor.pool.calls, [])
