"""Tests of what serving processes tell systemd, and of the keeper's own line to it."""

import os
import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.keeper import notices as module
from warp_twisted.keeper.notices import Notices, Systemd, read_notice, watchdog_usec, whole_status


class NoticesTests(SynchronousTestCase):
    """The socket that children take for systemd's."""

    def test_heard(self) -> None:
        """Each notice is heard with the process that sent it, and its fields."""
        notices = Notices()
        self.addCleanup(notices.socket.close)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.sendto(b"READY=1\nSTATUS=a=b\nnothing", "\0" + notices.address[1:])
            line.sendto(b"WATCHDOG=1", "\0" + notices.address[1:])
        fields = [{"READY": "1", "STATUS": "a=b"}, {"WATCHDOG": "1"}]
        self.assertEqual(list(notices.heard()), [(os.getpid(), each) for each in fields])
        self.assertEqual(list(notices.heard()), [])

    def test_taken_over(self) -> None:
        """The next program of the process hears under the same address."""
        before = Notices()
        after = Notices(os.dup(before.socket.fileno()))
        for each in (before, after):
            self.addCleanup(each.socket.close)
        self.assertEqual(after.address, before.address)

    def test_in_the_file_system(self) -> None:
        """With a path only the keeper's own user can send, and what a killed keeper left there is no obstacle."""
        path = self.mktemp()
        for _ in range(2):
            notices = Notices(path=path)
            self.addCleanup(notices.socket.close)
        self.assertEqual((notices.address, Path(path).stat().st_mode & 0o777), (path, 0o600))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.sendto(b"WATCHDOG=1", path)
        self.assertEqual(list(notices.heard()), [(os.getpid(), {"WATCHDOG": "1"})])

    def test_many(self) -> None:
        """Whoever sends without end leaves the keeper its turns."""
        self.patch(module, "NOTICES_AT_ONCE", 3)
        notices = Notices()
        self.addCleanup(notices.socket.close)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            for _ in range(5):
                line.sendto(b"WATCHDOG=1", "\0" + notices.address[1:])
        self.assertEqual([len(list(notices.heard())) for _ in range(3)], [3, 2, 0])

    def test_any_bytes(self) -> None:
        """What is no text is no reason to fail."""
        self.assertEqual(read_notice(b"\xff=\xfe\n\n="), {"\ufffd": "\ufffd", "": ""})


class SystemdTests(SynchronousTestCase):
    """The keeper's line."""

    def test_send(self) -> None:
        """A notice is lines; the status is one line and not long."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind("")
            systemd = Systemd("@" + listener.getsockname()[1:].decode())
            systemd.send(READY="1", STATUS="two\nlines " + "x" * 500)
            self.assertEqual(listener.recv(1000).decode(), "READY=1\nSTATUS=two lines " + "x" * 190)

    def test_nobody_listens(self) -> None:
        """Without an address, or with one where nobody is, nothing happens."""
        for address in ("", "@nobody-is-here", "/nowhere/notify"):
            Systemd(address).send(READY="1")
        self.assertEqual(watchdog_usec({}), 0)

    def test_whole_status(self) -> None:
        """What serves comes first, then what each old process has left, as far as it says so."""
        self.assertEqual(whole_status("serving warp.example", []), "serving warp.example")
        self.assertEqual(
            whole_status("serving", ["finishes 3 WebSockets", "serving"]),
            "serving; an old process finishes 3 WebSockets; an old process finishes what is open",
        )

    def test_watchdog(self) -> None:
        """The interval counts if it is for this process."""
        self.assertEqual(watchdog_usec({"WATCHDOG_USEC": "5", "WATCHDOG_PID": str(os.getpid())}), 5)
        self.assertEqual(watchdog_usec({"WATCHDOG_USEC": "5", "WATCHDOG_PID": "1"}), 0)
        self.assertEqual(watchdog_usec({"WATCHDOG_USEC": "soon"}), 0)
