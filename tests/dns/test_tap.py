"""Tests of `warp_dns.tap`: options; tests/system runs the service."""

import io
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from warp_dns.tap import Options, give_up

ZONE = "$TTL 60\n@ SOA ns h 7 3600 600 86400 60\n@ NS ns\nns A 192.0.2.53\n"


class OptionsTests(SynchronousTestCase):
    """Reading and checking the configuration."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.zone = self.directory / "example.zone"
        self.zone.write_text(ZONE)
        self.path = self.directory / "dns.yaml"
        self.write()

    def write(self, listen: str = "127.0.0.1:5300") -> None:
        """Write the configuration."""
        zones = f"[{{name: warp.example, master_file: {self.zone}}}]"
        self.path.write_text(f'listen: ["{listen}"]\nworkers: 2\nzones: {zones}\n')

    def parse(self, *arguments: str) -> Options:
        """Parse options."""
        options = Options()
        options.parseOptions(["--config", str(self.path), *arguments])
        return options

    def exits(self, *arguments: str) -> tuple[object, str]:
        """Return what the process would end with, and what it printed."""
        output = io.StringIO()
        self.patch(sys, "stdout", output)
        error = self.assertRaises(SystemExit, self.parse, *arguments)
        return error.code, output.getvalue()

    def test_read(self) -> None:
        """The file is read for the service that follows; `--workers` stands beside it."""
        options = self.parse("--workers", "3")
        self.assertEqual((options["file"].workers, options["workers"]), (2, 3))

    def test_check(self) -> None:
        """A good file, with good files in it, is said to be good, with status 0."""
        self.assertEqual(self.exits("--check"), (0, f"{self.path}: good\n"))

    def test_what_is_wrong_is_one_line(self) -> None:
        """A mistake in the file, or with `--check` in one that it names, is the exit: Python prints it, status 1."""
        self.path.write_text("workers: 0\n")
        code, _ = self.exits()
        self.assertRegex(str(code), rf"^{self.path}: workers: expected ")
        self.write(listen="localhost")
        code, _ = self.exits("--check")
        self.assertRegex(str(code), rf"^{self.path}: listen\[0\]: expected an IP address")
        self.write()
        self.zone.write_text(ZONE + "bad A 192.0.2.256\n")
        self.parse()
        code, _ = self.exits("--check")
        self.assertTrue(str(code).startswith(f"{self.path}: "), code)
        self.assertIn("example.zone:5", str(code))

    def test_no_file(self) -> None:
        """A file that is not there is named, once."""
        self.path.unlink()
        code, _ = self.exits()
        self.assertEqual(str(code).count(str(self.path)), 1)


class GiveUpTests(SynchronousTestCase):
    """Ending a process that cannot start."""

    def test_pid_file(self) -> None:
        """The pid file goes with the process, whose status is 1."""
        pid_file = Path(self.mktemp())
        pid_file.touch()
        self.assertEqual(self.assertRaises(SystemExit, give_up, {"pidfile": str(pid_file)}).code, 1)
        self.assertFalse(pid_file.exists())
        self.assertEqual(self.assertRaises(SystemExit, give_up, {}).code, 1)
