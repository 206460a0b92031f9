"""What a process asks of its platform."""

import socket
import subprocess
import sys
from collections.abc import Callable

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted import process


class Reader:
    """One end of a pair of sockets, as the reactor sees it."""

    def __init__(self, end: socket.socket, read: Callable[[], object]) -> None:
        self.end = end
        self.doRead = read
        self.lost: list[Failure] = []

    def fileno(self) -> int:
        return self.end.fileno()

    def logPrefix(self) -> str:
        raise AssertionError("nobody should ask for a log prefix")

    def connectionLost(self, reason: Failure) -> None:
        self.lost.append(reason)


class DeliverDirectlyTests(SynchronousTestCase):
    """`deliver_directly` on a reactor of its own, with real sockets."""

    def setUp(self) -> None:
        self.reactor = EPollReactor()
        self.ends: list[socket.socket] = []
        self.assertTrue(process.deliver_directly(self.reactor))

    def tearDown(self) -> None:
        self.reactor.removeAll()
        for internal in list(self.reactor._internalReaders):
            self.reactor._internalReaders.discard(internal)
            self.reactor.removeReader(internal)
            internal.connectionLost(Failure(CONNECTION_DONE))
        self.reactor._poller.close()
        for end in self.ends:
            end.close()

    def reader(self, read: Callable[[], object]) -> Reader:
        """Return a reader whose socket has a byte to read."""
        near, far = socket.socketpair()
        self.ends += [near, far]
        far.send(b"x")
        reader = Reader(near, read)
        self.reactor.addReader(reader)
        return reader

    def test_read(self) -> None:
        """What is ready is read, without a log context."""
        reads: list[int] = []
        self.reader(lambda: reads.append(1))
        self.reactor.doIteration(1)
        self.assertEqual(reads, [1])

    def test_exception(self) -> None:
        """An exception is logged and ends its connection, and no other."""

        def fail() -> None:
            raise ValueError("broken")

        reads: list[int] = []
        broken = self.reader(fail)
        self.reader(lambda: reads.append(1))
        self.reactor.doIteration(1)
        self.assertEqual([reason.type for reason in broken.lost], [ValueError])
        self.assertEqual(reads, [1])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_removed_in_the_same_turn(self) -> None:
        """What an earlier event of the turn removed is not called."""
        reads: list[str] = []

        def read(name: str, other: Callable[[], Reader]) -> None:
            reads.append(name)
            self.reactor.removeReader(other())

        first = self.reader(lambda: read("first", lambda: second))
        second = self.reader(lambda: read("second", lambda: first))
        self.reactor.doIteration(1)
        self.assertEqual(len(reads), 1)

    def test_no_events(self) -> None:
        """A turn without events ends after its time."""
        self.reactor.doIteration(0)

    def test_other_reactors(self) -> None:
        """Any other reactor stays as it was."""
        self.assertFalse(process.deliver_directly(Clock()))


class KeepHeapTests(SynchronousTestCase):
    """`keep_heap` in a process of its own."""

    def test_large_reads(self) -> None:
        """A large buffer that is made and dropped again and again costs no page faults any more."""
        program = """
import resource, sys
from warp_twisted.process import keep_heap
assert keep_heap()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
size = 3 * 1024 * 1024
bytearray(size)
before = faults()
for turn in range(20):
    bytearray(size)
print(faults() - before)
"""
        output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
        self.assertLess(int(output.stdout), 20 * 16)  # each would be 768 faults
