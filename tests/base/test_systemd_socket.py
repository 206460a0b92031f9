"""Tests of `warp_base.systemd_socket`, with a socket as systemd has one."""

import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import cast

from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.trial.unittest import SynchronousTestCase

from warp_base.systemd_socket import SystemdSocket, leads_to_journal, watchdog_seconds, with_priority


class SystemdSocketTests(SynchronousTestCase):
    """Messages."""

    def setUp(self) -> None:
        self.name = f"warp-{Path(self.mktemp()).parent.name}-{id(self)}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.bind(f"\0{self.name}")
        self.socket.setblocking(False)
        self.warned: list[LogEvent] = []
        self.patch(SystemdSocket, "_log", Logger(observer=cast(ILogObserver, self.warned.append)))

    def test_a_message(self) -> None:
        """Lines go out together, also to an address in the abstract namespace."""
        line = SystemdSocket(f"@{self.name}")
        self.assertTrue(line.is_there)
        line.send("READY=1", "STATUS=serving")
        self.assertEqual(self.socket.recv(4096), b"READY=1\nSTATUS=serving")

    def test_no_address(self) -> None:
        """Without an address nothing is sent, and nothing is said about that."""
        for address in (None, ""):
            line = SystemdSocket(address)
            line.send("READY=1")
            self.assertFalse(line.is_there)
        self.assertRaises(BlockingIOError, self.socket.recv, 4096)
        self.assertEqual(self.warned, [])

    def test_nobody_listens(self) -> None:
        """A socket that is gone is warned of."""
        SystemdSocket(f"@{self.name}-gone").send("STOPPING=1", "STATUS=x")
        self.assertEqual([event["state"] for event in self.warned], ["STOPPING=1"])

    def test_watchdog(self) -> None:
        """The interval is in seconds; what is no number is none."""
        self.assertEqual([watchdog_seconds(text) for text in ("2500000", "", None, "soon")], [2.5, 0.0, 0.0, 0.0])


class JournalTests(SynchronousTestCase):
    """Lines that the journal reads."""

    def test_which_stream(self) -> None:
        """The stream is the journal's if it is a connection to its socket; other connections and files are not."""
        directory = tempfile.mkdtemp()  # a socket's path is short
        self.addCleanup(shutil.rmtree, directory)
        for name, is_journal in (("journal", True), ("journal.of-warp", True), ("other", False)):
            path = Path(directory, name, "stdout")
            path.parent.mkdir()
            with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as connection:
                listener.bind(str(path))
                listener.listen()
                connection.connect(str(path))
                with open(os.dup(connection.fileno()), "w") as stream:
                    self.assertIs(leads_to_journal(stream, f"{directory}/"), is_journal)
                    self.assertFalse(leads_to_journal(stream))
        with tempfile.TemporaryFile("w") as stream:
            self.assertFalse(leads_to_journal(stream, f"{directory}/"))
        self.assertFalse(leads_to_journal(stream, f"{directory}/"))  # it is closed

    def test_each_line(self) -> None:
        """A record of several lines has its priority in front of each; one without words has none."""
        self.assertEqual(with_priority(b"a\n\tb\n", "error"), b"<3>a\n<3>\tb\n")
        self.assertEqual(with_priority(b"", "info"), b"")
