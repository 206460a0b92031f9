"""Tests for warp_twisted.acme.supervised, with the process itself."""

import os
import signal
import tempfile
from pathlib import Path

from twisted.internet.defer import Deferred

from tests.acme.fake_door import SEALING_KEY, FakeDoor
from tests.acme.fake_door_server import FakeDoorServer
from tests.case import AsyncTestCase, reactor, until
from warp_twisted.acme.door import View
from warp_twisted.acme.supervised import IssuingProcess


class CountingDoor(FakeDoor):
    """A door where nothing is wanted, that tells when the process looks."""

    def __init__(self) -> None:
        super().__init__("letsencrypt", "", [])
        self.looked: Deferred[None] = Deferred()

    def view(self) -> View:
        """Return what is to be done, and what was."""
        looked, self.looked = self.looked, Deferred()
        reactor.callFromThread(looked.callback, None)
        return super().view()


class SupervisedTests(AsyncTestCase):
    """The process and the edge that keeps it."""

    timeout = 90

    async def prepare(self) -> None:
        """Start one that finds nothing to do."""
        self.place = Path(tempfile.mkdtemp(prefix="warp-acme-"))
        (self.place / "key").write_bytes(SEALING_KEY)
        self.door = CountingDoor()
        self.server = FakeDoorServer(self, self.door)
        self.process = self.issuing_process()
        self.process.start()
        await self.door.looked

    def issuing_process(self) -> IssuingProcess:
        """Return another one for the same edge."""
        process = IssuingProcess(reactor, self.server.path, str(self.place / "key"), pauses=(0.05, 0.1))
        self.addCleanup(process.stop)
        return process

    async def test_called(self) -> None:
        """It looks again as soon as it is called, long before it would by itself."""
        for _ in range(3):
            looked = self.door.looked
            self.process.look()
            await looked.addTimeout(30, reactor)
        self.assertIsNotNone(self.process.pid)

    async def test_started_again(self) -> None:
        """One that is killed is started again, also several times."""
        for _ in range(2):
            before, looked = self.process.pid, self.door.looked
            assert before is not None
            os.kill(before, signal.SIGKILL)
            await looked.addTimeout(30, reactor)
            self.assertNotEqual(self.process.pid, before)

    async def test_stopped(self) -> None:
        """One that is stopped is gone, and stays so; a call is nobody's then."""
        pid = self.process.pid
        assert pid is not None
        await self.process.stop()
        self.assertFalse(Path(f"/proc/{pid}").exists())
        self.process.look()
        await self.process.stop()
        self.assertIsNone(self.process.pid)

    async def test_edge_dies(self) -> None:
        """When the edge's end of the pipe is closed the process ends by itself."""
        pid, transport = self.process.pid, self.process.transport
        assert pid is not None
        assert transport is not None
        ended: Deferred[None] = Deferred()
        self.patch(self.process, "processEnded", lambda reason: ended.callback(None))
        transport.closeStdin()
        await ended.addTimeout(30, reactor)
        self.assertFalse(Path(f"/proc/{pid}").exists())

    async def test_one_of_an_edge(self) -> None:
        """A second one for the same edge, as while one edge process hands over to the next, waits for the first."""
        second = self.issuing_process()
        second.start()
        looked = self.door.looked
        await until(lambda: self._sleeps(second.pid), 30)
        self.assertFalse(looked.called)
        await self.process.stop()
        await looked.addTimeout(30, reactor)
        self.assertIsNotNone(second.pid)

    def _sleeps(self, pid: int | None) -> bool:
        """Whether a process waits for its pipe: it has the lock's file open, and asks nobody."""
        return "poll" in Path(f"/proc/{pid}/wchan").read_text() or "select" in Path(f"/proc/{pid}/wchan").read_text()
