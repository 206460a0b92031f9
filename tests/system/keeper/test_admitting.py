"""Tests of letting operators in; `test_loop` has a keeper without descriptors."""

import errno
import socket
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.keeper import admitting as module
from warp_twisted.keeper.admitting import REST_SECONDS, Admitting
from warp_twisted.keeper.control import ASK_SECONDS, ControlSocket, Operator


class FakeTime:
    """A clock of the test's, in the place of the module `time`."""

    now = 100.0

    def monotonic(self) -> float:
        """Return the test's instant."""
        return self.now


class AdmittingTests(SynchronousTestCase):
    """A socket, whose descriptors a test calls readable."""

    def setUp(self) -> None:
        path = self.mktemp()
        self.control = ControlSocket(path)
        listener = self.control.socket
        assert listener is not None
        self.addCleanup(listener.close)
        self.listener = listener
        self.time = FakeTime()
        self.patch(module, "time", self.time)
        self.watched: dict[int, Callable[[], None]] = {}
        self.heard: list[Operator] = []
        self.lines: list[str] = []
        self.admitting = Admitting(
            self.control,
            lambda level, line: self.lines.append(line),
            self.watched.__setitem__,
            self.watched.pop,
            self.heard.append,
        )
        self.admitting.begin()
        self.operator = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(self.operator.close)
        self.operator.connect(path)

    def readable(self) -> None:
        """Say that somebody is at the door."""
        self.watched[self.listener.fileno()]()

    def test_silent(self) -> None:
        """Who is let in and asks nothing in time is let go."""
        self.readable()
        (admitted,) = self.control.operators
        self.watched[admitted.connection.fileno()]()
        self.assertEqual(self.heard, [admitted])
        self.assertEqual(self.admitting.next_instant(), self.time.now + ASK_SECONDS)
        self.admitting.look_at_time(self.time.now + ASK_SECONDS)
        self.assertEqual((self.control.operators, list(self.watched)), ([], [self.listener.fileno()]))
        self.assertEqual(self.operator.recv(1), b"")

    def test_no_descriptors(self) -> None:
        """It rests, says so once, and lets in who waits when it can."""
        accept = self.control.accept

        def fail(now: float) -> Operator | None:
            raise OSError(errno.EMFILE, "Too many open files")

        self.patch(self.control, "accept", fail)
        for _ in range(3):
            self.readable()
            self.assertEqual(self.watched, {})
            self.assertEqual(self.admitting.next_instant(), self.time.now + REST_SECONDS)
            self.admitting.look_at_time(self.time.now + REST_SECONDS / 2)
            self.assertEqual(self.watched, {})
            self.time.now += REST_SECONDS
            self.admitting.look_at_time(self.time.now)
        self.assertEqual(self.lines, ["nobody can ask now, and it is tried again every 1 s: Too many open files"])
        self.patch(self.control, "accept", accept)
        self.readable()
        self.assertEqual(len(self.control.operators), 1)
        self.addCleanup(self.control.operators[0].connection.close)
