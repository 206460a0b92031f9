"""Tests for `warp_dns.program.json_log`."""

import io
import json

from twisted.logger import ILogObserver, Logger
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from warp_dns.program.json_log import MAX_MESSAGE, JsonLines


class JsonLinesTests(SynchronousTestCase):
    """Tests for `JsonLines`."""

    def setUp(self) -> None:
        self.file = io.StringIO()
        self.log = Logger("warp_dns.tests", observer=JsonLines(self.file))

    def lines(self) -> list[dict[str, object]]:
        """Return what was written."""
        return [json.loads(line) for line in self.file.getvalue().splitlines()]

    def test_line_has_message_and_fields(self) -> None:
        """An event is one line with its time, level, logger, sentence and own fields."""
        self.log.info("zone {zone} has serial {serial}", zone="warp.example", serial=7)
        (line,) = self.lines()
        self.assertEqual(line["message"], "zone warp.example has serial 7")
        self.assertEqual((line["level"], line["logger"]), ("info", "warp_dns.tests"))
        self.assertEqual((line["zone"], line["serial"]), ("warp.example", 7))
        self.assertRegex(str(line["at"]), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    def test_what_is_no_json_is_its_text(self) -> None:
        """A field without a JSON form, a line break and a failure all stay within one line."""
        try:
            raise ValueError("two\nlines")
        except ValueError:
            self.log.failure("broken {what}", what={"a": {1}})
        (line,) = self.lines()
        self.assertEqual(line["what"], "{'a': {1}}")
        self.assertIn("ValueError", str(line["traceback"]))

    def test_message_is_bounded(self) -> None:
        """A huge message is cut."""
        self.log.info("{text}", text="x" * (MAX_MESSAGE + 1))
        self.assertEqual(len(str(self.lines()[0]["message"])), MAX_MESSAGE)

    def test_broken_file_harms_nobody(self) -> None:
        """A log that cannot be written stops nothing."""
        self.file.close()
        self.log.info("unheard")

    def test_is_an_observer(self) -> None:
        """Twisted takes it."""
        self.assertTrue(verifyObject(ILogObserver, JsonLines(self.file)))
