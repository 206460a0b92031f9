"""Tests of `warp_twisted.service_options`."""

import atexit
import contextlib
import io
import os
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.errors import InvalidSettings
from warp_twisted.log_output import LogOutput
from warp_twisted.service_options import MAX_REASON_BYTES, ServiceOptions, exit_at_end, give_up, open_log


class Options(ServiceOptions[str]):
    """A service whose file is a word: `good`, `bad`, or `early`, which cannot start yet."""

    optParameters = [["config", "c", "service.yaml", "The file."]]

    longdesc = "Does nothing."
    examples = ("one --config a", "two --check")

    def read_settings(self, path: str) -> str:
        """Read the word."""
        word = Path(path).read_text()
        if word == "bad":
            raise InvalidSettings(f"{path}: word: expected good, got bad")
        return word

    def check_settings(self, settings: str, source: str) -> str:
        """Say what is missing."""
        return "no token was given" if settings == "early" else ""


class ServiceOptionsTests(SynchronousTestCase):
    """`--config` and `--check`."""

    def parsed(self, word: str, *arguments: str) -> tuple[Options, object, str]:
        """Parse options for a file; returns them, what the process would exit with, and what it printed."""
        Path("word").write_text(word)
        options, status, output = Options(), None, io.StringIO()
        with contextlib.redirect_stdout(output):
            try:
                options.parseOptions(["--config", "word", *arguments])
            except SystemExit as error:
                status = error.code
        return options, status, output.getvalue()

    def test_settings_are_read(self) -> None:
        """The file is read, and nothing is printed."""
        options, status, output = self.parsed("good")
        self.assertEqual((options.settings, status, output), ("good", None, ""))

    def test_check(self) -> None:
        """A good file ends the process with 0 and a line, which says what is still missing."""
        self.assertEqual(self.parsed("good", "--check")[1:], (0, "word: good\n"))
        self.assertEqual(self.parsed("early", "--check")[1:], (0, "word: good, but no token was given\n"))

    def test_usage(self) -> None:
        """`--help` ends with the examples, each in a line of its own."""
        self.assertTrue(Options().getUsage().endswith("\nExamples:\n  one --config a\n  two --check\n"))

    def test_a_bad_file_is_one_line(self) -> None:
        """With `--check` and without, the exit is the reason alone: Python prints it, with status 1."""
        for arguments in ((), ("--check",)):
            self.assertEqual(self.parsed("bad", *arguments)[1:], ("word: word: expected good, got bad", ""))


class GiveUpTests(SynchronousTestCase):
    """Ending a process that cannot start."""

    def test_pid_file_and_reason(self) -> None:
        """The pid file goes, the process that waits is told a bounded reason, and the status is 1."""
        pid_file = Path(self.mktemp())
        pid_file.touch()
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        error = self.assertRaises(SystemExit, give_up, {"pidfile": str(pid_file), "statusPipe": writer}, "ü" * 200)
        told = os.read(reader, 1000)
        self.assertEqual((error.code, pid_file.exists()), (1, False))
        self.assertTrue(told.startswith(b"1 \\xfc\\xfc"))
        self.assertEqual(len(told), MAX_REASON_BYTES)

    def test_in_the_foreground(self) -> None:
        """Without a pid file and a process that waits there is the status only."""
        self.assertEqual(self.assertRaises(SystemExit, give_up, {}, "why").code, 1)


class ExitTests(SynchronousTestCase):
    """The status that twistd would not give."""

    def test_exit_at_end(self) -> None:
        """The status is given when the interpreter ends, after what is buffered was written."""
        kept: list[tuple[Any, ...]] = []
        statuses: list[int] = []
        self.patch(atexit, "register", lambda *call: kept.append(call))
        self.patch(os, "_exit", statuses.append)
        exit_at_end(4)
        ((function, *arguments),) = kept
        self.assertEqual(statuses, [])
        function(*arguments)
        self.assertEqual(statuses, [4])


class OpenLogTests(SynchronousTestCase):
    """Where the log goes."""

    def test_twistds_own_ways(self) -> None:
        """With --logger or --syslog the log is twistd's affair."""
        self.assertIsNone(open_log({"logger": "x.y"}, "json", "info"))
        self.assertIsNone(open_log({"syslog": 1}, "json", "info"))

    def test_standard_output_and_files(self) -> None:
        """In the foreground no file is opened; else the one that was named, or twistd.log."""
        name = self.mktemp()
        for twistd, path in (({"nodaemon": 1}, None), ({"logfile": name}, name), ({}, "twistd.log")):
            before = set(Path().rglob("*"))
            self.assertIsInstance(open_log(twistd, "text", "info"), LogOutput)
            self.assertEqual(set(Path().rglob("*")) - before, {Path(path)} if path else set(), twistd)
