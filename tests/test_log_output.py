"""Tests of the log's two forms."""

import json
from threading import Event
from typing import Any

from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.base.test_escaping import HOSTILE, is_safe
from warp_base.escaping import printable
from warp_twisted.ca.tokens import JoinTokenText
from warp_twisted.log_output import MAX_LINE, LogOutput

SOON = 10.0  # seconds until a test gives up


class FakeFile:
    """Keeps what is written, and can refuse it."""

    def __init__(self) -> None:
        self.written = b""
        self.is_broken = False

    def write(self, lines: bytes) -> None:
        """Keep lines."""
        if self.is_broken:
            raise OSError(28, "No space left on device")
        self.written += lines

    def text(self, output: LogOutput) -> str:
        """Wait for what was logged, and return all that was written."""
        if not output.flush(SOON):
            raise AssertionError("the writer does not write")
        return self.written.decode()


class LogOutputTests(SynchronousTestCase):
    """Events in, lines out."""

    def setUp(self) -> None:
        """Begin with an empty file."""
        self.file = FakeFile()

    def write(self, form: str, level: str = "info", **event: Any) -> str:
        """Write one event and return what came out."""
        output = LogOutput(self.file.write, form, level)
        output({"log_time": 1_800_000_000.25, "log_level": LogLevel.info, "log_namespace": "warp.test", **event})
        return self.file.text(output)

    def test_json(self) -> None:
        """A JSON line has time, level, logger, the sentence, and the event's fields by name."""
        line = self.write("json", log_format="{count} of {name}", count=3, name="x")
        self.assertEqual(
            json.loads(line),
            {
                "at": "2027-01-15T08:00:00.250Z",
                "level": "info",
                "logger": "warp.test",
                "message": "3 of x",
                "count": 3,
                "name": "x",
            },
        )

    def test_text(self) -> None:
        """A line of text has the same in the order that people read."""
        self.assertEqual(
            self.write("text", log_format="hello {name}", name="x"),
            "2027-01-15T08:00:00.250Z info  warp.test: hello x\n",
        )

    def test_priorities(self) -> None:
        """Each line that the journal reads says how severe it is, also those of a traceback."""
        for form in ("json", "text"):
            output = LogOutput(self.file.write, form, "debug", is_journal=True)
            for level in LogLevel.iterconstants():
                output({"log_time": 0.0, "log_level": level, "log_format": "one\ntwo"})
            lines = self.file.text(output).splitlines()
            self.file.written = b""
            each = 1 if form == "json" else 2
            self.assertEqual(
                [line[:3] for line in lines], [f"<{number}>" for number in (7, 6, 4, 3, 2) for _ in range(each)]
            )

    def test_line_breaks(self) -> None:
        """A value with line breaks can neither begin a new record of text nor break one of JSON."""
        self.assertEqual(self.write("text", log_format="{what}", what="a\nb").count("\n\tb"), 1)
        self.file = FakeFile()
        self.assertEqual(self.write("json", log_format="{what}", what="a\nb").count("\n"), 1)

    def test_control_characters(self) -> None:
        """What an agent says cannot write over a line of text."""
        self.assertIn(r"a\x1b[2K\x0db\x9b	c", self.write("text", log_format="{what}", what="a\x1b[2K\rb\x9b\tc"))

    def test_hostile(self) -> None:
        """Both forms can be shown on a terminal; JSON says the same as before, in message, fields and traceback."""
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            failure = Failure()
        line = self.write("json", log_format="a {what}", what=HOSTILE, log_failure=failure)
        self.assertTrue(is_safe(line, "\n"))
        found = json.loads(line)
        self.assertEqual((found["message"], found["what"]), (f"a {HOSTILE}", HOSTILE))
        self.assertIn(HOSTILE, found["traceback"])
        self.file = FakeFile()
        line = self.write("text", log_format="a {what}", what=HOSTILE, log_failure=failure)
        self.assertTrue(is_safe(line, "\n\t"))
        self.assertEqual(line.count(printable(HOSTILE)), 2)

    def test_twisted_of_its_sockets(self) -> None:
        """What Twisted says of its sockets in its old log is for its developers; its errors are for all."""
        event = {"log_namespace": "log_legacy", "log_format": "VisitorFactory starting on 443"}
        self.assertEqual(self.write("text", **event), "")
        self.assertIn("starting on 443", self.write("text", "debug", **event))
        self.file = FakeFile()
        self.assertIn(
            "oh", self.write("text", log_namespace="log_legacy", log_level=LogLevel.critical, log_format="oh")
        )

    def test_levels(self) -> None:
        """Events below the level are left out; the level can change while it runs."""
        output = LogOutput(self.file.write, "text", "warn")
        event: dict[str, Any] = {"log_time": 0.0, "log_namespace": "n", "log_format": "x"}
        output({**event, "log_level": LogLevel.info})
        self.assertEqual(self.file.text(output), "")
        output({**event, "log_level": LogLevel.error})
        output.configure("text", "debug")
        output({**event, "log_level": LogLevel.debug})
        self.assertEqual(self.file.text(output).count("\n"), 2)

    def test_failure(self) -> None:
        """A failure brings its traceback."""
        try:
            raise ValueError("broken")
        except ValueError:
            failure = Failure()
        line = json.loads(self.write("json", log_format="it failed", log_failure=failure))
        self.assertIn("ValueError: broken", line["traceback"])
        self.file = FakeFile()
        self.assertIn("ValueError: broken", self.write("text", log_format="it failed", log_failure=failure))

    def test_values_without_json(self) -> None:
        """Values that JSON does not have are written as text; secrets mask themselves."""
        token = JoinTokenText(("a:1",), b"f" * 32, "x", "5e" * 32)
        line = self.write("json", log_format="{token} {blob}", token=token, blob=b"\xff", other={1: object})
        self.assertNotIn("5e5e", line)
        self.assertEqual(json.loads(line)["blob"], "b'\\xff'")

    def test_fields_do_not_overwrite_the_frame(self) -> None:
        """A field that is called like a part of the line does not replace it."""
        line = json.loads(self.write("json", log_format="real", message="forged", at="forged", logger="forged"))
        self.assertEqual((line["message"], line["logger"]), ("real", "warp.test"))

    def test_legacy_events(self) -> None:
        """What `twisted.python.log` adds to its events is not said twice."""
        line = json.loads(self.write("json", log_format="x", isError=0, time=1.0, system="-"))
        self.assertEqual(set(line), {"at", "level", "logger", "message"})

    def test_long_message(self) -> None:
        """A message over the limit is cut."""
        self.assertLess(len(self.write("text", log_format="{x}", x="y" * 10 * MAX_LINE)), MAX_LINE + 100)

    def test_lone_surrogates_and_broken_formats(self) -> None:
        """Text that is no Unicode, and formats that do not fit, still make a line."""
        self.write("json", log_format="{x}", x="\ud800")
        self.assertEqual(self.write("json", log_format="{missing}").count("\n"), 2)

    def test_formats_that_are_not_plain(self) -> None:
        """Formats with calls and conversions, or that fit nothing, say what Twisted makes of them."""
        for format_, expected in (
            ("{x}, {x!r}, {n:05.1f}", "a, 'a', 002.5"),
            ("{f()}, {x}", "called, a"),
            ("{{x}} {x", "Unable to format event"),
            ("{n:s}", "Unable to format event"),
        ):
            self.file = FakeFile()
            line = json.loads(self.write("json", log_format=format_, x="a", n=2.5, f=lambda: "called"))
            self.assertTrue(line["message"].startswith(expected), line["message"])

    def test_broken_file(self) -> None:
        """A file that refuses does not stop the program; when it takes lines again, it is told what is missing."""
        self.file.is_broken = True
        output = LogOutput(self.file.write, "text", "info")
        for _ in range(3):
            output({"log_time": 0.0, "log_namespace": "n", "log_level": LogLevel.info, "log_format": "x"})
            self.assertEqual(self.file.text(output), "")
        self.file.is_broken = False
        output({"log_time": 0.0, "log_namespace": "n", "log_level": LogLevel.info, "log_format": "x"})
        first, second = self.file.text(output).splitlines()
        self.assertEqual(first, "1970-01-01T00:00:00.000Z info  n: x")
        self.assertIn(
            "warn  warp_twisted.log_output: 3 lines of the log were dropped, as its reader was too slow", second
        )

    def test_reader_that_stops(self) -> None:
        """A sink that does not return holds up nobody who logs; what did not fit is told as a line of the same form."""
        is_read = Event()
        self.addCleanup(is_read.set)

        def write(lines: bytes) -> None:
            is_read.wait(SOON)
            self.file.write(lines)

        output = LogOutput(write, "json", "info")
        event = {"log_time": 0.0, "log_namespace": "n", "log_level": LogLevel.info, "log_format": "x" * 1000}
        for _ in range(3000):
            output(event)
        is_read.set()
        lines = [json.loads(line) for line in self.file.text(output).splitlines()]
        told = [line for line in lines if line["level"] == "warn"]
        self.assertIs(lines[-1], told[-1])
        self.assertEqual(len(lines) - len(told) + sum(line["lines"] for line in told), 3000)
        self.assertLess(len(lines), 2500)

    def test_with_a_logger(self) -> None:
        """It takes what Twisted's Logger makes."""
        output = LogOutput(self.file.write, "json", "info")
        Logger(namespace="n", observer=output).warn("{x} y", x=1)
        self.assertEqual(json.loads(self.file.text(output))["message"], "1 y")
