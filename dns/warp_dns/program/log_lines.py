"""
The log as lines: events in, bytes to a thread that writes them and may wait for their reader.

How an event becomes a line is the caller's: text as twistd has it (`text_lines`), or JSON (`json_log`). What the reader
is too slow for is dropped and counted (`warp_base.nonblocking_writer`), and a line says so when lines flow again.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.logger import ILogObserver, LogEvent, Logger, formatEventAsClassicLogText
from twisted.python.logfile import LogFile
from zope.interface import implementer

from warp_base.escaping import printable_lines
from warp_base.nonblocking_writer import NonblockingWriter, stream_sink
from warp_base.systemd_socket import leads_to_journal, with_priority


@implementer(ILogObserver)
class LogLines:
    """
    Writes each event.

    :param sink: writes bytes, and may block; called in a thread of its own.
    :param encode: makes a line of an event, with its line break; empty for an event without words.
    """

    def __init__(self, sink: Callable[[bytes], object], encode: Callable[[LogEvent], bytes]) -> None:
        self._sink = sink
        self._encode = encode
        observer: Any = self._write_directly  # an observer is any callable; the type says more
        self._log = Logger(__name__, observer=observer)
        self._writer = NonblockingWriter(sink, resumed=self._say_dropped)

    def __call__(self, event: LogEvent) -> None:
        """Write one event, without waiting."""
        self._writer.write(self._encode(event))

    def flush(self, timeout: float) -> bool:
        """Wait until every line is written; returns whether it was, in so many seconds."""
        return self._writer.flush(timeout)

    def _say_dropped(self, lines: int) -> None:
        """Say in the writer's thread, before the lines to come, how many are missing."""
        self._log.warn("{lines} lines of the log were dropped, as its reader was too slow or had stopped", lines=lines)

    def _write_directly(self, event: LogEvent) -> None:
        with suppress(OSError, ValueError):  # the log is what is broken
            self._sink(self._encode(event))


def as_text(event: LogEvent) -> bytes:
    """Return an event as twistd writes it, but for what a terminal would obey."""
    return printable_lines(formatEventAsClassicLogText(event) or "").encode("utf-8")


def text_lines(name: str | None) -> LogLines:
    """Return what writes text where `twistd --logfile` says: to a file, or for None and `-` to standard output."""
    if name in (None, "", "-"):
        return standard_output(as_text)
    return LogLines(LogFile.fromFullPath(name).write, as_text)


def standard_output(encode: Callable[[LogEvent], bytes]) -> LogLines:
    """Return what writes to standard output, with the priority of each line where systemd's journal reads it."""

    def encode_for_journal(event: LogEvent) -> bytes:
        level = event.get("log_level")
        return with_priority(encode(event), level.name if level is not None else "info")

    return LogLines(stream_sink(sys.stdout), encode_for_journal if leads_to_journal(sys.stdout) else encode)
