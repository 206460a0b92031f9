"""Tests of the log's two forms."""

import io
import json
from typing import Any

from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.ca.tokens import JoinTokenText
from warp_twisted.log_output import MAX_LINE, LogOutput


class LogOutputTests(SynchronousTestCase):
    """Events in, lines out."""

    def setUp(self) -> None:
        """Begin with an empty file."""
        self.file = io.StringIO()

    def write(self, form: str, level: str = "info", **event: Any) -> str:
        """Write one event and return what came out."""
        output = LogOutput(self.file, form, level)
        output({"log_time": 1_800_000_000.25, "log_level": LogLevel.info, "log_namespace": "warp.test", **event})
        return self.file.getvalue()

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

    def test_line_breaks(self) -> None:
        """A value with line breaks can neither begin a new record of text nor break one of JSON."""
        self.assertEqual(self.write("text", log_format="{what}", what="a\nb").count("\n\tb"), 1)
        self.file = io.StringIO()
        self.assertEqual(self.write("json", log_format="{what}", what="a\nb").count("\n"), 1)

    def test_control_characters(self) -> None:
        """What an agent says cannot write over a line of text."""
        self.assertIn(r"a\x1b[2K\x0db\x9b	c", self.write("text", log_format="{what}", what="a\x1b[2K\rb\x9b\tc"))

    def test_twisted_of_its_sockets(self) -> None:
        """What Twisted says of its sockets in its old log is for its developers; its errors are for all."""
        event = {"log_namespace": "log_legacy", "log_format": "VisitorFactory starting on 443"}
        self.assertEqual(self.write("text", **event), "")
        self.assertIn("starting on 443", self.write("text", "debug", **event))
        self.file = io.StringIO()
        self.assertIn(
            "oh", self.write("text", log_namespace="log_legacy", log_level=LogLevel.critical, log_format="oh")
        )

    def test_levels(self) -> None:
        """Events below the level are left out; the level can change while it runs."""
        output = LogOutput(self.file, "text", "warn")
        event: dict[str, Any] = {"log_time": 0.0, "log_namespace": "n", "log_format": "x"}
        output({**event, "log_level": LogLevel.info})
        self.assertEqual(self.file.getvalue(), "")
        output({**event, "log_level": LogLevel.error})
        output.configure("text", "debug")
        output({**event, "log_level": LogLevel.debug})
        self.assertEqual(self.file.getvalue().count("\n"), 2)

    def test_failure(self) -> None:
        """A failure brings its traceback."""
        try:
            raise ValueError("broken")
        except ValueError:
            failure = Failure()
        line = json.loads(self.write("json", log_format="it failed", log_failure=failure))
        self.assertIn("ValueError: broken", line["traceback"])
        self.file = io.StringIO()
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
        self.write("json", log_format="{missing}")
        self.assertEqual(self.file.getvalue().count("\n"), 2)

    def test_broken_file(self) -> None:
        """A file that refuses does not stop the program."""
        self.file.close()
        LogOutput(self.file, "text", "info")({"log_time": 0.0, "log_format": "x"})

    def test_with_a_logger(self) -> None:
        """It takes what Twisted's Logger makes."""
        Logger(namespace="n", observer=LogOutput(self.file, "json", "info")).warn("{x} y", x=1)
        self.assertEqual(json.loads(self.file.getvalue())["message"], "1 y")
