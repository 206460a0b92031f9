"""Tests of the line to the keeper, on a real socket."""

import os
import socket

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from warp_base.reactor import as_reactor
from warp_twisted.edge.handover.line import PACKETS_AT_ONCE, VARIABLE, Line, take_line
from warp_twisted.keeper.messages import Message


class LineTests(SynchronousTestCase):
    """A keeper at one end, a process at the other."""

    def setUp(self) -> None:
        """Connect them."""
        self.keeper, inherited = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(self.keeper.close)
        environment = {VARIABLE: str(os.dup(inherited.fileno())), "LANG": "C"}
        inherited.close()
        taken = take_line(environment)
        assert taken is not None
        self.assertEqual(environment, {"LANG": "C"})
        self.assertFalse(os.get_inheritable(taken.fileno()))
        self.heard: list[Message] = []
        self.lost = 0
        self.line = Line(as_reactor(MemoryReactorClock()), taken)
        self.line.follow(self.heard.append, self.lose)
        self.addCleanup(self.line.close)

    def lose(self) -> None:
        """Count."""
        self.lost += 1

    def read(self) -> None:
        """Do what a reactor does while there is something to read."""
        reason = self.line.doRead()
        if reason is not None:
            self.line.connectionLost(Failure(reason))

    def test_words(self) -> None:
        """What either side says arrives whole, several packets in one turn."""
        for packet in (b'{"do":"release"}', b'{"do":"take","tunnels":3,"later":1}'):
            self.keeper.send(packet)
        self.read()
        self.assertEqual([(each.word, each.number("tunnels")) for each in self.heard], [("release", 0), ("take", 3)])
        self.line.say("released", tunnels=3, hostnames=2)
        self.assertEqual(self.keeper.recv(1000), b'{"is": "released", "tunnels": 3, "hostnames": 2}')

    def test_turns(self) -> None:
        """A keeper that says very much is read some packets in each turn."""
        for _ in range(PACKETS_AT_ONCE + 1):
            self.keeper.send(b'{"do":"move"}')
        self.read()
        self.assertEqual(len(self.heard), PACKETS_AT_ONCE)
        self.read()
        self.assertEqual(len(self.heard), PACKETS_AT_ONCE + 1)

    @given(st.binary(min_size=1, max_size=100) | st.sampled_from([b'{"do":"dance"}', b'{"is":"take"}', b"[]", b"{"]))
    @settings(max_examples=50, deadline=None)
    def test_no_message(self, packet: bytes) -> None:
        """Whatever is no message is passed over, said and logged."""
        with capturedLogs() as events:
            self.keeper.send(packet)
            self.read()
        self.assertEqual((self.heard, self.lost), ([], 0))
        self.assertIn("not understood", str(events[-1]["log_format"]))
        self.assertIn(b'"refused"', self.keeper.recv(65536))

    def test_keeper_is_gone(self) -> None:
        """The end of the keeper is told once; what is said afterwards is lost, and logged."""
        self.keeper.close()
        self.read()
        self.assertEqual(self.lost, 1)
        self.line.say("serving")
        self.line.close()
        self.assertEqual(self.lost, 1)

    def test_closed_here(self) -> None:
        """Once closed, nothing is heard, not even the end."""
        self.line.close()
        self.keeper.close()
        self.assertEqual(self.lost, 0)


class TakeTests(SynchronousTestCase):
    """`take_line`."""

    def test_no_keeper(self) -> None:
        """Without the variable there is no line."""
        self.assertIsNone(take_line({}))

    def test_wrong_number(self) -> None:
        """A variable that names no socket is an error that says so."""
        with open(os.devnull) as file:
            for text in ("x", "987654", str(os.dup(file.fileno()))):
                self.assertIn(VARIABLE, str(self.assertRaises(ValueError, take_line, {VARIABLE: text})))
