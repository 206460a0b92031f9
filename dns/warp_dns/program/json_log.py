"""
The log as a line of JSON for each event, for collectors: `twistd --logger=warp_dns.program.json_log.json_lines`.

The lines have the form of the edge's: `at`, `level`, `logger`, `message`, and the event's own fields by name.
"""

import sys
from datetime import UTC, datetime
from typing import IO, Any

import msgspec
from twisted.logger import ILogObserver, LogEvent, formatEvent
from zope.interface import implementer

MAX_MESSAGE = 32768  # characters; a longer one is cut
_RESERVED = frozenset({"at", "level", "logger", "message", "traceback"})
_encoder = msgspec.json.Encoder(enc_hook=str)


@implementer(ILogObserver)
class JsonLines:
    """Writes each event to a file of text, flushed after each line."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def __call__(self, event: LogEvent) -> None:
        """Write one event."""
        try:
            self._file.write(_encoder.encode(as_line(event)).decode("utf-8", "replace") + "\n")
            self._file.flush()
        except (OSError, ValueError):
            pass  # the place for complaints is the one that is broken


def json_lines() -> JsonLines:
    """Return an observer that writes to standard output; twistd calls this."""
    return JsonLines(sys.stdout)


def as_line(event: LogEvent) -> dict[str, Any]:
    """Return an event's fields as plain values."""
    at = datetime.fromtimestamp(event.get("log_time", 0.0), UTC).isoformat(timespec="milliseconds")
    level = event.get("log_level")
    line: dict[str, Any] = {
        "at": at.replace("+00:00", "Z"),
        "level": level.name if level is not None else "info",
        "logger": str(event.get("log_namespace", "-")),
        "message": formatEvent(event)[:MAX_MESSAGE],
    }
    for name, value in event.items():
        if isinstance(name, str) and not name.startswith("log_") and name not in _RESERVED:
            line[name] = value if isinstance(value, str | int | float | bool | None) else str(value)
    failure = event.get("log_failure")
    if failure is not None:
        line["traceback"] = failure.getTraceback().strip()[:MAX_MESSAGE]
    return line
