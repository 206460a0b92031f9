"""Tests of the control socket: who may ask for what, and how many."""

import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.keeper import control
from warp_twisted.keeper.actions import Launch
from warp_twisted.keeper.control import ASK_SECONDS, MAX_OPERATORS, ControlSocket
from warp_twisted.keeper.messages import Message, encode

NAMES_COMMAND = encode(Message("do", "restart", {"python": "/bin/python", "command": ("/bin/twistd",)}))


def close(control_socket: ControlSocket) -> None:
    """Close a socket at the end of a test."""
    if control_socket.socket is not None:
        control_socket.socket.close()


class ControlTests(SynchronousTestCase):
    """The socket."""

    def setUp(self) -> None:
        """Listen."""
        self.path = self.mktemp()
        self.control = ControlSocket(self.path)
        self.addCleanup(close, self.control)

    def connect(self) -> socket.socket:
        """Come as an operator."""
        line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(line.close)
        line.connect(self.path)
        return line

    def test_request(self) -> None:
        """What is asked for is read once; whoever talks on is let go."""
        line = self.connect()
        operator = self.control.accept(5.0)
        if operator is None:
            self.fail("nobody came")
            return
        self.assertEqual((self.control.read(operator, 6.0), operator.word), (None, ""))
        line.send(NAMES_COMMAND)
        self.assertEqual((self.control.read(operator, 6.0), operator.word, operator.asked_at), (True, "restart", 6.0))
        self.assertEqual(operator.wanted, Launch("/bin/python", ("/bin/twistd",)))
        line.send(NAMES_COMMAND)
        self.assertFalse(self.control.read(operator, 7.0))
        self.control.let_go(operator)
        operator.tell("step", what="nobody reads this")

    def test_command_of_a_stranger(self) -> None:
        """Who is neither root nor the service's user may ask for a restart, and not say what is started."""
        self.patch(control, "_is_trusted", lambda connection: False)
        for packet, is_taken in ((NAMES_COMMAND, False), (encode(Message("do", "restart")), True)):
            line = self.connect()
            operator = self.control.accept(5.0)
            line.send(packet)
            self.assertEqual(operator and self.control.read(operator, 6.0), is_taken)
            if not is_taken:
                self.assertIn(b"only root and the service's own user", line.recv(1000))

    def test_many(self) -> None:
        """More than there is room for are closed at once; the silent make room after a while."""
        lines = [self.connect() for _ in range(MAX_OPERATORS + 1)]
        found = [self.control.accept(5.0) for _ in lines]
        self.assertEqual([each is None for each in found], [False] * MAX_OPERATORS + [True])
        self.assertEqual(lines[-1].recv(10), b"")
        self.assertIsNone(self.control.accept(5.0))
        self.assertEqual(self.control.next_silent(), 5.0 + ASK_SECONDS)
        self.assertEqual(len(self.control.silent(5.0 + ASK_SECONDS)), MAX_OPERATORS)

    def test_left_behind(self) -> None:
        """A socket that a killed keeper left, whole or half made, is no obstacle; the new one is the group's."""
        Path(f"{self.path}.new").touch()
        again = ControlSocket(self.path)
        self.addCleanup(close, again)
        self.connect()
        self.assertIsNotNone(again.accept(1.0))
        self.assertEqual(Path(self.path).stat().st_mode & 0o777, 0o660)

    def test_none(self) -> None:
        """Without a path there is none."""
        self.assertIsNone(ControlSocket("").accept(1.0))
