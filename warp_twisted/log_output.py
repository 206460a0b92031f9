"""
Where Twisted's log events go, and in which form: a line of JSON or of text for each.

A JSON line holds `at`, `level`, `logger`, `message` and the event's own fields by name, so that a log collector need
not take sentences apart. What has no plain JSON form is written as its `str`; secrets mask themselves there. What a
terminal would obey is escaped in both forms (`escaping`): people read logs on terminals, and agents have a say in them.

Nothing here waits for the reader of the log: lines that it is too slow for are dropped and counted
(`warp_base.nonblocking_writer`), and a line says so when they flow again.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from string import Formatter
from typing import Any

import msgspec
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, formatEvent
from zope.interface import implementer

from warp_base.escaping import printable_json_bytes, printable_lines
from warp_base.nonblocking_writer import NonblockingWriter
from warp_base.systemd_socket import with_priority

LEVELS = {level.name: index for index, level in enumerate(LogLevel.iterconstants())}
MAX_LINE = 32768  # of one message; a longer one is cut
_ENCODER = msgspec.json.Encoder(enc_hook=str)
_RESERVED = frozenset({"at", "level", "logger", "message", "traceback"})
_LEGACY = frozenset({"system", "time", "isError", "format", "why", "failure", "logLevel"})  # said again by the others


@implementer(ILogObserver)
class LogOutput:
    """
    Writes events as lines.

    :param sink: writes bytes, and may block; called in a thread of its own, as in `NonblockingWriter`.
    :param format: `json` or `text`.
    :param level: the least severe level that is written: `debug`, `info`, `warn` or `error`.
    :param is_journal: whether systemd's journal reads the lines: it is told how severe each is.
    """

    def __init__(
        self, sink: Callable[[bytes], object], format: str = "json", level: str = "info", *, is_journal: bool = False
    ) -> None:
        self._sink = sink
        self._is_journal = is_journal
        observer: Any = self._write_directly  # an observer is any callable; the type says more
        self._log = Logger(__name__, observer=observer)
        self._writer = NonblockingWriter(sink, resumed=self._say_dropped)
        self.configure(format, level)

    def configure(self, format: str, level: str) -> None:
        """Change form and level from the next line on."""
        self._write_event = _as_json if format == "json" else _as_text
        self._least = LEVELS[level]

    def __call__(self, event: LogEvent) -> None:
        """Write one event."""
        if _severity(event) < self._least:
            return
        self._writer.write(self._encode(event))

    def flush(self, timeout: float) -> bool:
        """Wait until every line is written; returns whether it was, in so many seconds."""
        return self._writer.flush(timeout)

    def _encode(self, event: LogEvent) -> bytes:
        lines = self._write_event(event) + b"\n"
        if not self._is_journal:
            return lines
        level = event.get("log_level")
        return with_priority(lines, level.name if level is not None else "info")

    def _say_dropped(self, lines: int) -> None:
        """Say in the writer's thread, before the lines to come, how many are missing."""
        self._log.warn("{lines} lines of the log were dropped, as its reader was too slow or had stopped", lines=lines)

    def _write_directly(self, event: LogEvent) -> None:
        with suppress(OSError, ValueError):  # the log is what is broken
            self._sink(self._encode(event))


def _severity(event: LogEvent) -> int:
    """
    Return how severe an event is.

    What Twisted says of its own sockets ("VisitorFactory starting on 443") is for its developers: of the old log, where
    nobody else writes. Our parts say themselves where they listen, and for what.
    """
    level = event.get("log_level", LogLevel.critical)
    if level is LogLevel.info and event.get("log_namespace") == "log_legacy":
        level = LogLevel.debug
    return LEVELS.get(level.name, 0)


def _parts(event: LogEvent) -> tuple[str, str, str, str]:
    at = datetime.fromtimestamp(event.get("log_time", 0.0), UTC).isoformat(timespec="milliseconds")
    level = event.get("log_level")
    name = level.name if level is not None else "info"
    message = _clean(_message(event)[:MAX_LINE])
    return at.replace("+00:00", "Z"), name, str(event.get("log_namespace", "-")), message


def _message(event: LogEvent) -> str:
    """
    Return the sentence of an event, as `formatEvent` does.

    That takes each format apart anew, 25 µs: thousands of tunnels that end at once have a line each. Ours are formats
    with plain names, which `str.format_map` fills in; whatever else there is, and what fails, is left to Twisted.
    """
    format_ = event.get("log_format")
    if type(format_) is str and _has_plain_names(format_):
        try:
            return format_.format_map(event)
        except Exception:  # noqa: S110  # of a field's own `__format__`, or there is no such field: `formatEvent` says so
            pass
    return formatEvent(event)


@lru_cache(1024)
def _has_plain_names(format_: str) -> bool:
    """Whether each field of a format is a name, such as `{agent}` or `{seconds:g}`."""
    try:
        return all(name is None or name.isidentifier() for _, name, _, _ in Formatter().parse(format_))
    except ValueError:
        return False


def _as_text(event: LogEvent) -> bytes:
    at, level, logger, message = _parts(event)
    text = f"{at} {level:5} {logger}: {message}".replace("\n", "\n\t")
    trace = _traceback(event)
    return printable_lines(f"{text}\n\t{trace}" if trace else text).encode("utf-8", "backslashreplace")


def _as_json(event: LogEvent) -> bytes:
    at, level, logger, message = _parts(event)
    line: dict[str, Any] = {"at": at, "level": level, "logger": logger, "message": message}
    for name, value in event.items():
        if not isinstance(name, str) or name.startswith("log_") or name in _RESERVED or name in _LEGACY:
            continue
        line[name] = value if isinstance(value, int | float | bool | None) else _clean(str(value))
    trace = _traceback(event)
    if trace:
        line["traceback"] = trace
    return printable_json_bytes(_ENCODER.encode(line))


def _traceback(event: LogEvent) -> str:
    failure = event.get("log_failure")
    if failure is None:
        return ""
    trace: str = failure.getTraceback()
    return _clean(trace.strip()[:MAX_LINE].replace("\n", "\n\t"))


def _clean(text: str) -> str:
    """Write what is no Unicode (lone surrogates) as escapes, so that it can be encoded."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
