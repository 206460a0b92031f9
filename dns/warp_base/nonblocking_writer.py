"""
Writing logs without waiting for those who read them.

A write to a pipe whose reader has stopped blocks, and so may one to a terminal or to a slow disk; in the reactor's
thread it would stop the whole process. So each writer has a thread of its own that may block, and a bounded queue
before it: what finds the queue full is dropped and counted, and when lines flow again, the loss is told once.

`O_NONBLOCK` was rejected: it is a flag of the open file, which standard output often shares with other processes (they
would get errors that they do not expect), and regular files ignore it. Asking `poll` first was rejected too: another
process may fill a shared pipe between the question and the write, and files always say yes.
"""

import atexit
import io
import os
import select
from collections import deque
from collections.abc import Callable, Iterator
from threading import Condition, Thread
from time import monotonic
from typing import TextIO
from weakref import WeakSet

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

MAX_WAITING_BYTES = 1024 * 1024  # in the queue; as much may be on its way to the file
FINISH_SECONDS = 1.0  # that the end of a process waits for its last lines, all writers together


class NonblockingWriter:
    """
    Hands lines to a thread that writes them. It may be used from any thread, and from signal handlers.

    The thread begins with the first line, and again in a child process that inherits the writer: a service that puts
    itself into the background forks after its first lines.

    :param sink: writes bytes, and may block; called in the writer's thread only. An OSError loses those lines.
    :param resumed: called in the writer's thread when lines flow again, with the number of those that were dropped.
    :param closed: called in the writer's thread after the last line, when the writer was closed.
    :param max_bytes: that wait in the queue; a single write that is larger is dropped.
    :ivar dropped: lines that were dropped since the start.
    """

    def __init__(
        self,
        sink: Callable[[bytes], object],
        *,
        resumed: Callable[[int], object] = lambda lines: None,
        closed: Callable[[], object] = lambda: None,
        max_bytes: int = MAX_WAITING_BYTES,
    ) -> None:
        self._sink = sink
        self._resumed = resumed
        self._closed = closed
        self._max_bytes = max_bytes
        self._finish_by: float | None = None
        self.dropped = 0
        self._begin()
        _writers.add(self)

    def _begin(self) -> None:
        """Begin in this process, with an empty queue: what waited in a parent process is written there."""
        self._process = os.getpid()
        # Its lock is reentrant, so that a signal handler may write while it interrupts a write.
        self._changed = Condition()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._untold = 0
        self._is_writing = False
        self._is_closed = False
        self._thread: Thread | None = None

    def _begin_in_child(self) -> None:
        if self._process != os.getpid():  # a thread does not go with a fork, and its lock may be held for ever
            self._begin()

    def write(self, lines: bytes) -> bool:
        """
        Queue whole lines.

        :returns: whether there was room for them.
        """
        self._begin_in_child()
        with self._changed:
            if self._is_closed or self._waiting_bytes + len(lines) > self._max_bytes:
                self._drop(lines)
                return False
            is_first = not self._waiting
            self._waiting.append(lines)
            self._waiting_bytes += len(lines)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="log writer", daemon=True)
                self._thread.start()
            if is_first and not self._is_writing:  # else the thread looks for more by itself, when it has written
                self._changed.notify_all()
        if self._finish_by is not None:
            self.flush(self._finish_by - monotonic())
        return True

    def flush(self, timeout: float) -> bool:
        """
        Wait until everything is written, in a thread that may wait, or at the end of the process.

        :returns: whether it was written in so many seconds.
        """
        self._begin_in_child()
        with self._changed:
            return self._changed.wait_for(self._is_idle, max(0.0, timeout))

    def finish(self, seconds: float) -> None:
        """
        Let the last lines of a process not be lost: wait for them, and from now on for each that is written.

        :param seconds: that may be waited in all.
        """
        self._finish_by = monotonic() + seconds
        self.flush(seconds)

    def close(self) -> None:
        """Take no more lines; what waits is still written, and then `closed` is called."""
        self._begin_in_child()
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            if self._thread is None:
                self._thread = Thread(target=self._run, name="log writer", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _is_idle(self) -> bool:
        return not self._waiting and not self._is_writing

    def _drop(self, lines: bytes) -> None:
        count = lines.count(b"\n")
        self.dropped += count
        self._untold += count
        _total.lines += count

    def _run(self) -> None:
        while True:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                if not self._waiting:
                    break
                lines = b"".join(self._waiting)
                self._waiting.clear()
                self._waiting_bytes = 0
                untold, self._untold = self._untold, 0  # these found the queue full: they belong after what was in it
                self._is_writing = True
            self._write(lines, untold)
        self._closed()

    def _write(self, lines: bytes, untold: int) -> None:
        try:
            self._sink(lines)
        except (OSError, ValueError):  # a full disk, a reader that is gone, a file object that was closed
            with self._changed:
                self._drop(lines)
                self._untold += untold
            return
        if untold:
            self._resumed(untold)


class _Total:
    lines = 0


# What belongs to the process and to no writer of it: the count of all lines that were dropped, and the end.
_total = _Total()
_writers: WeakSet[NonblockingWriter] = WeakSet()


def finish_all() -> None:
    """
    Wait for the last lines of every writer of the process, for a moment only.

    To be called when the reactor has stopped, as twistd then ends by a signal; at a normal exit it happens by itself.
    """
    finish_by = monotonic() + FINISH_SECONDS
    for writer in list(_writers):
        writer.finish(finish_by - monotonic())


atexit.register(finish_all)


class DroppedLinesCollector(Collector):
    """
    The lines that all writers of the process have dropped, as Prometheus sees them.

    :param prefix: of the metric's name, such as `warp_edge`.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def collect(self) -> Iterator[Metric]:
        """Yield the count."""
        yield CounterMetricFamily(
            f"{self._prefix}_log_lines_dropped",
            "Lines of logs, access log included, that were dropped because their reader was too slow.",
            value=_total.lines,
        )


def descriptor_sink(descriptor: int) -> Callable[[bytes], None]:
    """Return a sink that writes all to a file descriptor, also where another process has made it nonblocking."""

    def write(lines: bytes) -> None:
        rest = memoryview(lines)
        while rest:
            try:
                rest = rest[os.write(descriptor, rest) :]
            except BlockingIOError:
                select.select([], [descriptor], [])

    return write


def stream_sink(stream: TextIO) -> Callable[[bytes], object]:
    """
    Return a sink that writes where a stream leads, such as `sys.stdout`.

    The stream itself is passed by: a thread that waits in it holds its lock, for which the end of Python waits.
    """
    stream.flush()
    try:
        return descriptor_sink(stream.fileno())
    except io.UnsupportedOperation:  # a stream in memory
        return lambda lines: stream.write(lines.decode("utf-8"))
