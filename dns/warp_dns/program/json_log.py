"""
The log as a line of JSON for each event, for collectors: `twistd --logger=warp_dns.program.json_log.json_lines`.

The lines have the form of the edge's: `at`, `level`, `logger`, `message`, and the event's own fields by name.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec
from twisted.logger import LogEvent, formatEvent

from warp_base.escaping import printable_json_bytes
from warp_dns.program.log_lines import LogLines, standard_output

MAX_MESSAGE = 32768  # characters; a longer one is cut
_RESERVED = frozenset({"at", "level", "logger", "message", "traceback"})
_encoder = msgspec.json.Encoder(enc_hook=str)


def json_lines() -> LogLines:
    """Return an observer that writes to standard output; twistd calls this."""
    return standard_output(as_json)


def as_json(event: LogEvent) -> bytes:
    """Return an event as one line."""
    return printable_json_bytes(_encoder.encode(as_line(event))) + b"\n"


def as_line(event: LogEvent) -> dict[str, Any]:
    """Return an event's fields as plain values."""
    at = datetime.fromtimestamp(event.get("log_time", 0.0), UTC).isoformat(timespec="milliseconds")
    level = event.get("log_level")
    line: dict[str, Any] = {
        "at": at.replace("+00:00", "Z"),
        "level": level.name if level is not None else "info",
        "logger": str(event.get("log_namespace", "-")),
        "message": _clean(formatEvent(event)[:MAX_MESSAGE]),
    }
    for name, value in event.items():
        if isinstance(name, str) and not name.startswith("log_") and name not in _RESERVED:
            line[name] = value if isinstance(value, int | float | bool | None) else _clean(str(value))
    failure = event.get("log_failure")
    if failure is not None:
        line["traceback"] = _clean(failure.getTraceback().strip()[:MAX_MESSAGE])
    return line


def _clean(text: str) -> str:
    """Write what is no Unicode (lone surrogates) as escapes, so that it can be encoded."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
