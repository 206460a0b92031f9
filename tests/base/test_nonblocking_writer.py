"""Tests of `warp_base.nonblocking_writer`, with real pipes, threads and processes."""

import io
import os
import signal
import sys
from threading import Event, Thread
from time import monotonic
from typing import Any

from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SynchronousTestCase, TestCase

from warp_base.nonblocking_writer import (
    FINISH_SECONDS,
    DroppedLinesCollector,
    NonblockingWriter,
    descriptor_sink,
    stream_sink,
)

SOON = 10.0  # seconds until a test gives up
LINE = b"x" * 99 + b"\n"


class Gate:
    """A sink that writes when it is let."""

    def __init__(self) -> None:
        self.is_open = Event()
        self.entered = Event()
        self.written: list[bytes] = []
        self.error: Exception | None = None

    def __call__(self, lines: bytes) -> None:
        """Wait at the gate, then keep the lines or fail."""
        self.entered.set()
        self.is_open.wait(SOON)
        if self.error is not None:
            raise self.error
        self.written.append(lines)


class NonblockingWriterTests(SynchronousTestCase):
    """The queue and its thread."""

    def setUp(self) -> None:
        self.gate = Gate()
        self.told: list[int] = []
        self.writer = NonblockingWriter(self.gate, resumed=self.told.append, max_bytes=1000)
        self.addCleanup(self.gate.is_open.set)

    def test_order(self) -> None:
        """Lines come out in order and whole."""
        self.gate.is_open.set()
        for number in range(50):
            self.writer.write(b"%d\n" % number)
            if number % 7 == 0:
                self.assertTrue(self.writer.flush(SOON))
        self.assertTrue(self.writer.flush(SOON))
        self.assertEqual(b"".join(self.gate.written), b"".join(b"%d\n" % number for number in range(50)))
        self.assertEqual((self.writer.dropped, self.told), (0, []))

    def test_full(self) -> None:
        """While nothing is read, a bounded number of lines waits, the rest is counted, and no write waits."""
        self.writer.write(LINE)
        self.gate.entered.wait(SOON)
        began = monotonic()
        taken = [self.writer.write(LINE) for _ in range(1000)]
        self.assertLess(monotonic() - began, SOON / 10)
        self.assertEqual((taken.count(True), self.writer.dropped), (10, 990))
        self.assertFalse(self.writer.flush(0.0))
        self.gate.is_open.set()
        self.assertTrue(self.writer.flush(SOON))
        self.assertEqual(b"".join(self.gate.written), LINE * 11)
        self.assertEqual(self.told, [990])
        self.assertTrue(self.writer.write(LINE))
        self.assertTrue(self.writer.flush(SOON))
        self.assertEqual((self.told, self.writer.dropped), ([990], 990))

    def test_metric(self) -> None:
        """The lines that any writer of the process drops are one count."""
        registry = CollectorRegistry()
        registry.register(DroppedLinesCollector("warp_test"))
        before = registry.get_sample_value("warp_test_log_lines_dropped_total")
        assert before is not None
        self.writer.write(LINE * 11)
        NonblockingWriter(self.gate, max_bytes=1).write(LINE)
        self.assertEqual(registry.get_sample_value("warp_test_log_lines_dropped_total"), before + 12)

    def test_too_large(self) -> None:
        """A write that is larger than the queue is dropped whole, and each of its lines counts."""
        self.assertFalse(self.writer.write(LINE * 11))
        self.assertEqual(self.writer.dropped, 11)

    def test_sink_fails(self) -> None:
        """Lines that a full disk does not take are counted, and told when it has room again."""
        self.gate.is_open.set()
        self.gate.error = OSError(28, "No space left on device")
        self.writer.write(LINE * 2)
        self.assertTrue(self.writer.flush(SOON))
        self.assertEqual((self.writer.dropped, self.told), (2, []))
        self.gate.error = None
        self.writer.write(LINE)
        self.assertTrue(self.writer.flush(SOON))
        self.assertEqual((self.writer.dropped, self.told), (2, [2]))

    def test_close(self) -> None:
        """What waits is still written, then the end is told; later lines are dropped."""
        closed = Event()
        writer = NonblockingWriter(self.gate, closed=closed.set)
        writer.write(LINE)
        writer.close()
        writer.close()
        self.assertFalse(writer.write(LINE))
        self.assertFalse(closed.is_set())
        self.gate.is_open.set()
        self.assertTrue(closed.wait(SOON))
        self.assertEqual((self.gate.written, writer.dropped), ([LINE], 1))

    def test_close_without_a_line(self) -> None:
        """The end is told also when nothing was ever written."""
        closed = Event()
        NonblockingWriter(self.gate, closed=closed.set).close()
        self.assertTrue(closed.wait(SOON))

    def test_signal_handler(self) -> None:
        """A handler that logs while its own thread is logging does not wait for itself."""
        self.gate.is_open.set()
        handled: list[int] = []

        def handle(number: int, frame: Any) -> None:
            self.writer.write(b"handled\n")
            handled.append(number)

        self.addCleanup(signal.signal, signal.SIGUSR1, signal.signal(signal.SIGUSR1, handle))
        done = Event()
        main = os.getpid()

        def interrupt() -> None:
            while not done.is_set():
                os.kill(main, signal.SIGUSR1)

        interrupting = Thread(target=interrupt)
        interrupting.start()
        for _ in range(2000):
            self.writer.write(b"main\n")
        done.set()
        interrupting.join(SOON)
        self.assertFalse(interrupting.is_alive())
        self.assertTrue(self.writer.flush(SOON))
        self.assertGreater(len(handled), 0)
        self.assertEqual(
            b"".join(self.gate.written).count(b"\n") + self.writer.dropped, 2000 + len(handled), "a line was lost"
        )

    def test_finish(self) -> None:
        """At the end of a process each line is waited for, but a reader that has stopped is not waited for long."""
        self.gate.is_open.set()
        self.writer.finish(SOON)
        self.writer.write(LINE)
        self.assertEqual(self.gate.written, [LINE])
        self.gate.is_open.clear()
        self.writer.finish(0.05)
        began = monotonic()
        for _ in range(5):
            self.writer.write(LINE)
        self.assertLess(monotonic() - began, SOON / 10)


class PipeTests(TestCase):
    """Descriptors."""

    timeout = 30

    def setUp(self) -> None:
        self.reading, self.writing = os.pipe()
        self.addCleanup(os.close, self.reading)
        self.addCleanup(os.close, self.writing)

    def read(self, size: int) -> Deferred[bytes]:
        """Read so many bytes in a thread."""

        def read() -> bytes:
            found = b""
            while len(found) < size:
                found += os.read(self.reading, 65536)
            return found

        return deferToThread(read)

    async def check(self) -> None:
        """Check that a pipe that nobody reads stops nothing, and that what waited comes when it is read."""
        told: list[int] = []
        writer = NonblockingWriter(descriptor_sink(self.writing), resumed=told.append)
        count = 40_000
        taken = [writer.write(LINE) for _ in range(count)].count(True)
        self.assertLess(taken, count)
        self.assertEqual(writer.dropped, count - taken)
        found = await self.read(taken * len(LINE))
        self.assertEqual(found, LINE * taken)
        self.assertTrue(writer.flush(SOON))
        self.assertEqual(sum(told), count - taken)  # in two parts where the thread began late

    async def test_streams(self) -> None:
        """A standard stream is written to by its descriptor, after what is in its buffer; one in memory by itself."""
        memory = io.StringIO()
        with os.fdopen(os.dup(self.writing), "w") as stream:
            stream.write("buffered\n")
            for each in (stream, memory):
                writer = NonblockingWriter(stream_sink(each))
                writer.write(b"line\n")
                self.assertTrue(writer.flush(SOON))
        self.assertEqual(await self.read(14), b"buffered\nline\n")
        self.assertEqual(memory.getvalue(), "line\n")

    async def test_nobody_reads(self) -> None:
        """4 MB into a pipe of 64 KiB: one MiB waits, the rest is counted."""
        await self.check()

    async def test_another_process_made_it_nonblocking(self) -> None:
        """The flag is shared by all that hold the pipe; lines still come out whole."""
        os.set_blocking(self.writing, False)
        await self.check()

    async def run_program(self, program: str) -> tuple[bytes, bytes, int]:
        """Run a Python program that may use the writer."""
        found: tuple[bytes, bytes, int] = await getProcessOutputAndValue(
            sys.executable, ["-c", PROGRAM + program], env={"PYTHONPATH": os.pathsep.join(sys.path)}
        )
        return found

    async def test_end_of_a_process(self) -> None:
        """The last lines of a program that ends are not lost."""
        output, errors, status = await self.run_program("writer.write(b'last words\\n')")
        self.assertEqual((output, errors, status), (b"last words\n", b"", 0))

    async def test_end_of_a_process_that_nobody_reads(self) -> None:
        """It ends all the same, after a moment."""
        began = monotonic()
        program = f"writer = NonblockingWriter(descriptor_sink({self.writing}))\n" + "writer.write(b'x' * 500000)\n"
        os.set_inheritable(self.writing, True)
        process = os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", PROGRAM + program],
            {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        _, status = await deferToThread(os.waitpid, process, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)
        self.assertGreaterEqual(monotonic() - began, FINISH_SECONDS)

    async def test_fork(self) -> None:
        """A process that forks itself into the background after its first lines writes on there, each line once."""
        output, _, status = await self.run_program(
            "writer.write(b'parent\\n')\n"
            "child = os.fork()\n"
            "writer.write(b'child\\n' if child == 0 else b'parent again\\n')\n"
            "if child: os.waitpid(child, 0)\n"
        )
        self.assertEqual((sorted(output.splitlines()), status), ([b"child", b"parent", b"parent again"], 0))


PROGRAM = """
import os
from warp_base.nonblocking_writer import NonblockingWriter, descriptor_sink, stream_sink
writer = NonblockingWriter(descriptor_sink(1))
"""
