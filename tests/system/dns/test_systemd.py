"""Tests for `warp_dns.program.systemd`, on a socket like systemd's."""

import socket
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_dns.program.systemd import LOOK_SECONDS, PATIENCE_SECONDS, SystemdNotifier


class SystemdNotifierTests(SynchronousTestCase):
    """Tests for `SystemdNotifier`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.is_ready = False
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        path = Path(self.mktemp())
        self.address = f"@warp-dns-{path.parent.name}-{id(self)}"
        self.socket.bind("\0" + self.address[1:])
        self.socket.setblocking(False)

    def heard(self) -> list[bytes]:
        """Return what was said since the last call."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096))
            except BlockingIOError:
                return found

    def notifier(self, watchdog_usec: str = "") -> SystemdNotifier:
        """Return a notifier that asks this test whether it is ready."""
        return SystemdNotifier(self.clock, self.address, watchdog_usec, lambda: self.is_ready)

    def test_ready_is_said_once(self) -> None:
        """READY is sent when every zone is answered from, and not again."""
        self.notifier().start()
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual(self.heard(), [])
        self.is_ready = True
        self.clock.pump([LOOK_SECONDS] * 3)
        self.assertEqual(self.heard(), [b"READY=1"])

    def test_a_start_without_an_edge_ends(self) -> None:
        """A server that is not ready says so after a while, as systemd would end it; what it knows it answers."""
        self.notifier().start()
        self.clock.pump([LOOK_SECONDS] * int(PATIENCE_SECONDS / LOOK_SECONDS - 1))
        self.assertEqual(self.heard(), [])
        self.clock.pump([LOOK_SECONDS] * 3)
        self.assertEqual(self.heard(), [b"READY=1"])

    def test_watchdog_beats_at_half_its_time(self) -> None:
        """A sign of life goes out twice in the watchdog's time, ready or not."""
        self.notifier("4000000").start()
        self.clock.pump([2, 2])
        self.assertEqual(self.heard(), [b"WATCHDOG=1"] * 3)

    def test_stop_ends_everything(self) -> None:
        """After STOPPING nothing more is said."""
        notifier = self.notifier("4000000")
        notifier.start()
        self.heard()
        notifier.stop()
        self.is_ready = True
        self.clock.pump([2, 2])
        self.assertEqual(self.heard(), [b"STOPPING=1"])

    def test_nobody_listens(self) -> None:
        """Without systemd, or with its socket gone, the server runs on."""
        silent = SystemdNotifier(self.clock, "", "4000000", lambda: True)
        silent.start()
        silent.stop()
        self.notifier().start()
        self.socket.close()
        self.is_ready = True
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual(self.clock.getDelayedCalls(), [])
