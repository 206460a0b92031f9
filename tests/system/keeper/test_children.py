"""Tests of a keeper's children together: who is started, signalled, and killed in time."""

import os
import selectors
import signal
import sys
from time import monotonic

from twisted.trial.unittest import SynchronousTestCase

from tests.system.keeper.harness import SECONDS
from warp_twisted.keeper.actions import Launch
from warp_twisted.keeper.child import Child
from warp_twisted.keeper.children import Children
from warp_twisted.keeper.messages import Message

STAYS = """
import os, signal, socket
signal.signal(signal.SIGTERM, signal.SIG_IGN)
socket.socket(fileno=int(os.environ["WARP_KEEPER_FD"])).send(b"here")
signal.pause()
"""


class ChildrenTests(SynchronousTestCase):
    """Real processes."""

    def setUp(self) -> None:
        """Make a selector for them."""
        self.selector = selectors.DefaultSelector()
        self.addCleanup(self.selector.close)
        self.ends: list[str] = []
        self.packets: list[bytes] = []
        self.lines: list[str] = []
        self.children = Children(
            dict(os.environ),
            "@none",
            4.0,
            lambda level, line: self.lines.append(line),
            lambda descriptor, call: self.selector.register(descriptor, selectors.EVENT_READ, call) and None,
            self.unwatch,
            lambda child, packet: self.packets.append(packet),
            self.ended,
        )

    def unwatch(self, descriptor: int) -> None:
        """Look no more, if it was looked at."""
        if descriptor in self.selector.get_map():
            self.selector.unregister(descriptor)

    def ended(self, child: Child, how: str) -> None:
        """Note an end."""
        self.ends.append(how)

    def start(self, number: int) -> None:
        """Start one that SIGTERM does not end."""
        self.assertEqual(self.children.start(number, Launch(sys.executable, (sys.executable, "-c", STAYS))), "")
        self.addCleanup(self.children.signal, number, signal.SIGKILL)
        self.await_one_more(self.packets)

    def await_end(self) -> None:
        """Wait until one has ended."""
        self.await_one_more(self.ends)

    def await_one_more(self, things: list[str] | list[bytes]) -> None:
        """Wait until there is one more of something."""
        until, before = monotonic() + SECONDS, len(things)
        while len(things) == before and monotonic() < until:
            for key, _ in self.selector.select(1):
                if key.fd in self.selector.get_map():
                    key.data()

    def test_killed_when_its_time_is_up(self) -> None:
        """One that does not end when it is asked to is killed after the time it was given."""
        self.start(1)
        self.children.end(1, 10.0, 100.0)
        self.assertEqual(self.children.next_kill(), 110.0)
        self.children.look_at_time(109.0)
        self.assertEqual(self.children.next_kill(), 110.0)
        self.children.look_at_time(110.0)
        self.await_end()
        self.assertEqual((self.ends, self.children.next_kill(), self.children.pid(1)), (["signal SIGKILL"], None, 0))

    def test_killed_when_silent(self) -> None:
        """One that gave signs of life and gives none any more is killed; one that never gave any is not."""
        for number in (1, 2):
            self.start(number)
        child = self.children.of(self.children.pid(1))
        self.assertIsNotNone(child)
        if child is not None:
            child.beat_at, child.status = 100.0, "serving"
        self.assertEqual(
            (self.children.status(1), self.children.status(2), self.children.status(3)), ("serving", "", "")
        )
        self.children.look_at_time(104.0)
        self.assertEqual(self.lines[2:], [])
        self.children.look_at_time(105.0)
        self.await_end()
        self.assertIn("gave no sign of life for 5.0 s", self.lines[2])
        self.assertEqual([kept.number for kept in self.children.kept()], [2])
        self.children.end(2, 0, 105.0)
        self.await_end()
        self.assertEqual(self.children.kept(), [])

    def test_one_that_is_not_there(self) -> None:
        """Nothing happens to it."""
        self.children.tell(7, Message("do", "drain"))
        self.children.signal(7, signal.SIGTERM)
        self.children.end(7, 0, 0.0)
        self.assertEqual((self.children.pid(7), self.children.of(0), self.lines), (0, None, []))
