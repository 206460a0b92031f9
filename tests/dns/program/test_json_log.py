"""Tests for `warp_dns.program.json_log`."""

import json

from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from tests.base.test_escaping import HOSTILE, is_safe
from warp_dns.program.json_log import MAX_MESSAGE, as_json
from warp_dns.program.log_lines import LogLines

SOON = 10.0  # seconds until a test gives up


class JsonTests(SynchronousTestCase):
    """Events as lines."""

    def setUp(self) -> None:
        self.written: list[bytes] = []
        self.output = LogLines(self.written.append, as_json)
        self.log = Logger("warp_dns.tests", observer=self.output)

    def lines(self) -> list[dict[str, object]]:
        """Return what was written."""
        self.assertTrue(self.output.flush(SOON))
        return [json.loads(line) for line in b"".join(self.written).splitlines()]

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

    def test_hostile(self) -> None:
        """What resolvers, edges and secondaries say does nothing to a terminal, and is said in full."""
        self.log.info("{text}", text=HOSTILE)
        (line,) = self.lines()
        self.assertEqual((line["message"], line["text"]), (HOSTILE, HOSTILE))
        self.assertTrue(is_safe(b"".join(self.written).decode(), "\n"))

    def test_what_is_no_unicode(self) -> None:
        """Lone surrogates are written as escapes."""
        self.log.info("{text}", text="a\ud800b")
        self.assertEqual(self.lines()[0]["text"], "a\\ud800b")
