"""Tests for `warp_dns.program.log_lines`."""

import re
from pathlib import Path
from threading import Event

from twisted.logger import ILogObserver, Logger
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.base.test_escaping import HOSTILE, is_safe
from warp_base.escaping import printable
from warp_dns.program.log_lines import LogLines, as_text, text_lines

SOON = 10.0  # seconds until a test gives up


class LogLinesTests(SynchronousTestCase):
    """Where lines go, and what happens when they cannot."""

    def test_is_an_observer(self) -> None:
        """Twisted takes it."""
        self.assertTrue(verifyObject(ILogObserver, LogLines(lambda lines: None, as_text)))

    def test_file(self) -> None:
        """`--logfile` names a file; lines are twistd's."""
        path = Path(self.mktemp())
        lines = text_lines(str(path))
        Logger("warp_dns.tests", observer=lines).info("zone {zone}", zone="warp.example")
        self.assertTrue(lines.flush(SOON))
        self.assertRegex(path.read_text(), r"^\d{4}-\d\d-\d\dT\S+ \[warp_dns.tests#info\] zone warp.example\n$")

    def test_hostile(self) -> None:
        """What resolvers, edges and secondaries say is written in letters, in lines of its own event."""
        written: list[bytes] = []
        lines = LogLines(written.append, as_text)
        Logger("warp_dns.tests", observer=lines).info("{text}", text=f"a\n{HOSTILE}")
        self.assertTrue(lines.flush(SOON))
        shown = b"".join(written).decode()
        self.assertTrue(is_safe(shown, "\n\t"))
        self.assertTrue(shown.endswith(f"] a\n\t{printable(HOSTILE)}\n"), ascii(shown))

    def test_reader_that_stops(self) -> None:
        """Nobody who logs waits; the lines that did not fit are told when it goes on."""
        is_read = Event()
        self.addCleanup(is_read.set)
        written: list[bytes] = []

        def write(lines: bytes) -> None:
            is_read.wait(SOON)
            written.append(lines)

        lines = LogLines(write, as_text)
        log = Logger("warp_dns.tests", observer=lines)
        for _ in range(3000):
            log.info("{text}", text="x" * 1000)
        is_read.set()
        self.assertTrue(lines.flush(SOON))
        found = b"".join(written).decode().splitlines()
        told = [match for line in found if (match := re.search(r"(\d+) lines of the log were dropped", line))]
        self.assertIn(told[-1][0], found[-1])
        self.assertEqual(len(found) - len(told) + sum(int(match[1]) for match in told), 3000)
        self.assertLess(len(found), 2500)

    def test_full_disk(self) -> None:
        """A file that takes nothing stops nothing, also when it is to say what was dropped."""
        errors = [OSError(28, "No space left on device"), None, OSError(28, "No space left on device"), None]
        written: list[bytes] = []

        def write(lines: bytes) -> None:
            error = errors.pop(0)
            if error is not None:
                raise error
            written.append(lines)

        lines = LogLines(write, as_text)
        for text in ("lost", "kept", "kept too"):
            Logger("warp_dns.tests", observer=lines).info(text)
            self.assertTrue(lines.flush(SOON))
        self.assertEqual([line.rpartition(b" ")[2] for line in written], [b"kept\n", b"too\n"])
