"""Tests of what is told to systemd, with a socket as systemd has one."""

import errno
import os
import socket
import stat
import tempfile
from typing import cast

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.trial.unittest import SynchronousTestCase

from warp_base.systemd_socket import SystemdSocket
from warp_twisted.systemd import MAX_STATUS, Systemd, handed_sockets


class SystemdTests(SynchronousTestCase):
    """Messages on the socket."""

    def setUp(self) -> None:
        """Listen."""
        self.directory = tempfile.TemporaryDirectory(prefix="warp-test-")
        self.addCleanup(self.directory.cleanup)
        self.address = os.path.join(self.directory.name, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.bind(self.address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        """Return the lines of one message, or none."""
        try:
            return self.socket.recv(4096).decode().split("\n")
        except BlockingIOError:
            return []

    def test_states(self) -> None:
        """Each state is one message, with a status where there is one."""
        systemd = Systemd(self.address)
        systemd.ready("serving")
        self.assertEqual(self.heard(), ["READY=1", "STATUS=serving"])
        systemd.stopping()
        self.assertEqual(self.heard(), ["STOPPING=1", "STATUS=stopping"])
        systemd.status("busy")
        self.assertEqual(self.heard(), ["STATUS=busy"])
        systemd.extend_timeout(1.5)
        self.assertEqual(self.heard(), ["EXTEND_TIMEOUT_USEC=1500000"])

    def test_reloading_says_when(self) -> None:
        """A reload carries the monotonic time, as Type=notify-reload asks for."""
        Systemd(self.address).reloading()
        state, status, at = self.heard()
        self.assertEqual((state, status), ("RELOADING=1", "STATUS=reloading"))
        self.assertRegex(at, r"^MONOTONIC_USEC=\d+$")

    def test_status_is_one_short_line(self) -> None:
        """A status cannot smuggle in another state, and is cut."""
        Systemd(self.address).ready("a\nMAINPID=1 " + "x" * 1000)
        state, status = self.heard()
        self.assertEqual(state, "READY=1")
        self.assertEqual(len(status), len("STATUS=") + MAX_STATUS)

    def test_abstract_address(self) -> None:
        """An address with @ is in the abstract namespace."""
        name = f"warp-test-{os.getpid()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as abstract:
            abstract.bind("\0" + name)
            Systemd("@" + name).ready()
            self.assertEqual(abstract.recv(100), b"READY=1")

    def test_nobody_listens(self) -> None:
        """Without an address nothing is sent; one that is gone is warned of, and nothing is raised."""
        warned: list[LogEvent] = []
        self.patch(SystemdSocket, "_log", Logger(observer=cast(ILogObserver, warned.append)))
        Systemd(None).ready()
        Systemd("").ready()
        self.assertEqual((self.heard(), warned), ([], []))
        Systemd(self.address + "-gone").ready()
        self.assertEqual([event["state"] for event in warned], ["READY=1"])

    def test_watchdog(self) -> None:
        """A sign of life is sent at half the interval, until it is stopped."""
        clock = Clock()
        systemd = Systemd(self.address, "4000000")
        systemd.start_watchdog(clock)
        self.assertEqual(self.heard(), ["WATCHDOG=1"])
        clock.advance(1.9)
        self.assertEqual(self.heard(), [])
        clock.advance(0.1)
        self.assertEqual(self.heard(), ["WATCHDOG=1"])
        systemd.stop_watchdog()
        clock.advance(10)
        self.assertEqual((self.heard(), clock.getDelayedCalls()), ([], []))

    def test_watchdog_of_a_sick_service(self) -> None:
        """A service that is not well sends no sign of life."""
        clock = Clock()
        Systemd(self.address, "4000000").start_watchdog(clock, lambda: False)
        clock.advance(2)
        self.assertEqual(self.heard(), [])

    def test_no_watchdog(self) -> None:
        """Without an interval, or a listener, there is no watchdog."""
        clock = Clock()
        for systemd in (Systemd(self.address), Systemd(self.address, "nonsense"), Systemd(None, "4000000")):
            systemd.start_watchdog(clock)
            systemd.stop_watchdog()
        self.assertEqual(clock.getDelayedCalls(), [])


class HandedSocketsTests(SynchronousTestCase):
    """What systemd says of the sockets that it hands over; `tests.system.edge.test_tap` has some handed over."""

    def handed(self, **environment: str) -> object:
        """Read an environment, in a process whose descriptors 3 and 4 are sockets and 5 is none."""

        def fstat(descriptor: int) -> os.stat_result:
            mode = {3: stat.S_IFSOCK, 4: stat.S_IFSOCK, 5: stat.S_IFREG}.get(descriptor)
            if mode is None:
                raise OSError(errno.EBADF, "Bad file descriptor")
            return os.stat_result((mode, *[0] * 9))

        self.patch(os, "fstat", fstat)
        return handed_sockets(environment, 7)

    def test_by_name(self) -> None:
        """A name stands for as many sockets as its unit has; without IPv6 there is one less, and no other moves."""
        self.assertEqual(self.handed(LISTEN_FDNAMES="http:http", LISTEN_PID="7"), {"http": [3, 4]})
        self.assertEqual(self.handed(LISTEN_FDNAMES="http:tunnel"), {"http": [3], "tunnel": [4]})

    def test_none(self) -> None:
        """What is for another process, what is no socket, and what is not open, is nothing of ours."""
        self.assertEqual(self.handed(LISTEN_FDNAMES="http", LISTEN_PID="8"), {})
        self.assertEqual(self.handed(LISTEN_FDNAMES="a:b:c:d"), {"a": [3], "b": [4]})
        self.assertEqual(self.handed(), {})
