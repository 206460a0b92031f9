"""Tests of `warp_service`: what is done for which change, and what a service that does not come up is given back."""

import dataclasses
import os
import subprocess
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.roles.test_modules import loaded

_MODULE = loaded("warp_service")


class FakeSystemd:
    """
    A service that comes up unless its unit has the word `bad`, and what was asked of systemd.

    :ivar asked: the commands that change something.
    """

    def __init__(self, unit: Path) -> None:
        self.unit = unit
        self.state = "inactive"
        self.asked: list[str] = []

    def run(self, program: str, verb: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """Do as systemctl and journalctl do."""
        code, out, names = 0, "", [word for word in words if not word.startswith("-")]
        if program == "journalctl":
            out = "it is bad\n" if self.is_bad else ""
        elif verb == "show":
            out = self.state if "--property=ActiveState" in words else "1"
        elif verb == "daemon-reload":
            pass
        else:
            self.asked.append(" ".join((verb, *names)))
            if verb == "reload" and "/bad/" in self.unit.read_text():  # no process of that release serves
                code = 1
            if verb == "restart":
                self.state, code = ("activating", 1) if self.is_bad else ("active", 0)
            elif verb == "stop":
                self.state = "inactive"
        return subprocess.CompletedProcess([], code, stdout=out, stderr="")

    @property
    def is_bad(self) -> bool:
        return "bad" in self.unit.read_text()


class ServiceTests(SynchronousTestCase):
    """A service with a unit, a file that it reads, and a directory that it reads."""

    def setUp(self) -> None:
        self.host = Path(self.mktemp()).absolute()
        (self.host / "certificates").mkdir(parents=True)
        self.unit, self.read, self.socket = (self.host / name for name in ("a.service", "a.yaml", "a.socket"))
        for path in (self.unit, self.read, self.socket, self.host / "certificates/one.pem"):
            path.write_text("1\n")
        self.systemd = FakeSystemd(self.unit)
        self.service = _MODULE.Service(
            name="a.service",
            starts_with=[self.unit, self.host / "absent.conf"],
            reads=[self.read, self.host / "certificates"],
            sockets=[self.socket],
            record=self.host / "record/a.service",
            run=self.systemd.run,
        )

    def act(self, state: str = "started") -> list[str]:
        """Do what is due, and return what was asked of systemd for it."""
        self.systemd.asked.clear()
        if action := self.service.due(state):
            self.service.act(action, wait=True)
        return list(self.systemd.asked)

    def assert_settled(self) -> None:
        """Check that nothing is due."""
        self.assertEqual(self.act(), [])

    def test_starts_once(self) -> None:
        """What does not run is started, and the next run finds nothing to do."""
        self.assertEqual(self.act(), ["start a.socket", "restart a.service"])
        self.assert_settled()

    def test_each_change(self) -> None:
        """A file that is read when it starts restarts it, others reload it, a socket's own file closes the socket."""
        self.act()
        for path, asked in (
            (self.unit, ["start a.socket", "restart a.service"]),
            (self.host / "absent.conf", ["start a.socket", "restart a.service"]),
            (self.read, ["reload a.service"]),
            (self.host / "certificates/two.pem", ["reload a.service"]),
            (self.socket, ["stop a.socket a.service", "start a.socket", "restart a.service"]),
        ):
            path.write_text("2\n")
            self.assertEqual(self.act(), asked, path)
            self.assert_settled()

    def test_hand_over(self) -> None:
        """A service that hands over is reloaded when only what it starts changed, and restarted for the rest."""
        self.service = dataclasses.replace(self.service, hands_over=True)
        self.unit.write_text("ExecStart=/1/bin/warp-keeper\nUser=a\n")
        self.act()
        for text, asked in (
            ("ExecStart=/2/bin/warp-keeper\nUser=a\n", ["reload a.service"]),
            ("# a comment\nExecStart=/2/bin/warp-keeper\nExecReload=b\nUser=a\n", ["reload a.service"]),
            ("ExecStart=/3/bin/warp-keeper\nUser=b\n", ["start a.socket", "restart a.service"]),
        ):
            self.unit.write_text(text)
            self.assertEqual(self.act(), asked, text)
            self.assert_settled()

    def test_hand_over_that_fails(self) -> None:
        """The old process serves on; its unit is given back, and that is reloaded, too: nothing is restarted."""
        self.service = dataclasses.replace(self.service, hands_over=True)
        self.unit.write_text("ExecStart=/1/bin/warp-keeper\n")
        self.act()
        self.unit.write_text("ExecStart=/bad/bin/warp-keeper\n")
        error = self.assertRaises(_MODULE.Failed, self.act)
        self.assertIn("It was given back the files that it last came up with, and runs as before", str(error))
        self.assertEqual(self.systemd.asked, ["reload a.service", "reload a.service"])
        self.assertEqual(self.unit.read_text(), "ExecStart=/1/bin/warp-keeper\n")
        self.assert_settled()

    def test_run_that_was_cut_short(self) -> None:
        """A change of which an earlier run wrote the file only is made good: the record tells, not the task."""
        self.act()
        self.unit.write_text("2\n")
        self.read.write_text("2\n")
        self.assertEqual(self.act(), ["start a.socket", "restart a.service"])
        self.assert_settled()

    def test_change_by_hand_is_taken_back(self) -> None:
        """What somebody changed and had the service read is read again once a run has put it back as it was."""
        self.act()
        self.read.write_text("2\n")
        self.systemd.run("systemctl", "reload", "a.service")
        self.read.write_text("1\n")
        self.assertEqual(self.act(), ["reload a.service"])
        self.assert_settled()
        os.utime(self.read, ns=(0, 1))
        self.assertEqual(self.act("reloaded"), ["reload a.service"])
        self.assert_settled()

    def test_record_is_lost(self) -> None:
        """Without a record, or with half of one, a service that runs is restarted once: it may run with anything."""
        for content in (None, "", "[]"):
            self.act()
            digests = self.host / "record/a.service/digests.json"
            digests.unlink() if content is None else digests.write_text(content)
            self.assertEqual(self.act(), ["start a.socket", "restart a.service"])
            self.assert_settled()

    def test_reload_only(self) -> None:
        """Who may only reload does not restart for a unit that is not judged, and does not start what was stopped."""
        self.act()
        self.unit.write_text("2\n")
        self.assertEqual(self.act("reloaded"), [])
        self.read.write_text("2\n")
        self.assertEqual(self.act("reloaded"), ["reload a.service"])
        self.assertEqual(self.act(), ["start a.socket", "restart a.service"], "the unit is not forgotten by that")
        self.read.write_text("3\n")
        self.systemd.state = "inactive"
        self.assertEqual(self.act("reloaded"), [])

    def test_restart_in_any_case(self) -> None:
        """Who asks for a restart gets one, and no second one from the next run."""
        self.act()
        self.assertEqual(self.act("restarted"), ["start a.socket", "restart a.service"])
        self.assert_settled()

    def test_goes_back(self) -> None:
        """What does not come up gets the files back that it last came up with, runs, and is not restarted for them."""
        self.act()
        self.unit.write_text("bad\n")
        self.read.write_text("new\n")
        with self.assertRaises(_MODULE.Failed) as caught:
            self.act()
        self.assertRegex(str(caught.exception), r"^a\.service did not come up: it is bad\. It was given back the files")
        self.assertEqual((self.unit.read_text(), self.read.read_text()), ("1\n", "1\n"))
        self.assertEqual(self.systemd.state, "active")
        self.assert_settled()

    def test_reload_keeps_the_proven_unit(self) -> None:
        """A reload does not make a unit proven that nothing was started with."""
        self.act()
        self.unit.write_text("bad\n")
        self.read.write_text("2\n")
        self.act("reloaded")
        self.assertRaises(_MODULE.Failed, self.act)
        self.assertEqual((self.unit.read_text(), self.read.read_text()), ("1\n", "2\n"))

    def test_nothing_to_go_back_to(self) -> None:
        """A service that never came up stays as it is, and says so; once the cause is gone it starts."""
        self.unit.write_text("bad\n")
        with self.assertRaises(_MODULE.Failed) as caught:
            self.act()
        self.assertIn("never came up before", str(caught.exception))
        self.unit.write_text("1\n")
        self.assertEqual(self.act(), ["start a.socket", "restart a.service"])

    def test_copies(self) -> None:
        """Copies keep modes, are below a directory for root alone, and leave out what somebody else may write."""
        self.read.chmod(0o640)
        self.act()
        record: Any = self.service.record
        copy = record / "files" / self.read.relative_to("/")
        self.assertEqual(copy.stat().st_mode & 0o777, 0o640)
        self.assertEqual(record.parent.stat().st_mode & 0o777, 0o700)
        self.assertFalse((record / "files" / (self.host / "certificates").relative_to("/")).exists())
