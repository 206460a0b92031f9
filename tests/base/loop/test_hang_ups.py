"""Tests for `warp_base.loop.hang_ups`: an epoll reactor of its own, with real sockets."""

import gc
import os
import socket
from collections.abc import Callable
from time import perf_counter
from typing import Any

from twisted.internet import epollreactor
from twisted.internet.abstract import FileDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from warp_base.loop.event_loop import EVENTS_PER_TURN, watch
from warp_base.loop.hang_ups import MOST_SECONDS
from warp_base.loop.turn_times import TurnTimes

CROWD = 10 * EVENTS_PER_TURN
END_SECONDS = 0.0005  # that the end of a connection takes here


class Listener:
    """A protocol that hears of hang-ups."""

    def __init__(self, log: list[str], name: str, *, is_waited_for: bool = False) -> None:
        self.log = log
        self.name = name
        self.is_waited_for = is_waited_for

    def peer_hung_up(self) -> bool:
        """Note it."""
        self.log.append(f"{self.name} told")
        return self.is_waited_for


class Connection(FileDescriptor):
    """One end of a socket pair, which reads a byte at a time and takes long to end."""

    def __init__(
        self, reactor: Any, log: list[str], name: str, protocol: object = None, number: int | None = None
    ) -> None:
        super().__init__(reactor)
        self.ours, self.theirs = socket.socketpair()
        if number == self.theirs.fileno():
            self.ours, self.theirs = self.theirs, self.ours
        elif number is not None and number != self.ours.fileno():
            os.dup2(self.ours.fileno(), number)
            self.ours.close()
            self.ours = socket.socket(fileno=number)
        self.ours.setblocking(False)
        self.log = log
        self.name = name
        self.protocol = protocol
        self.heard: Callable[[], None] = _nothing
        self.startReading()

    def fileno(self) -> int:
        """Return the descriptor; -1 once it is closed."""
        return self.ours.fileno()

    def doRead(self) -> Exception | None:
        """Take a byte, or note the end."""
        data = self.ours.recv(1)
        if not data:
            return CONNECTION_DONE
        self.log.append(f"{self.name} said {data.decode()}")
        self.heard()
        return None

    def doWrite(self) -> None:
        """Note that something could be written."""
        self.log.append(f"{self.name} may write")
        self.stopWriting()

    def connectionLost(self, reason: Failure) -> None:
        """End, in a while."""
        until = perf_counter() + END_SECONDS
        while perf_counter() < until:
            pass
        self.log.append(f"{self.name} ended")
        self.stopReading()
        self.stopWriting()
        self.close()

    def close(self) -> None:
        """Close both ends."""
        self.ours.close()
        self.theirs.close()


def _nothing() -> None:
    """Do nothing."""


class HangUpsTests(SynchronousTestCase):
    """A crowd that hangs up, and others."""

    def setUp(self) -> None:
        self.addCleanup(gc.callbacks.__setitem__, slice(None), list(gc.callbacks))
        self.reactor: Any = epollreactor.EPollReactor()
        self.addCleanup(lambda: self.reactor._poller.close())
        self.assertTrue(watch(self.reactor, TurnTimes()))
        self.log: list[str] = []

    def connect(self, name: str, protocol: object = None) -> Connection:
        """Make a connection that is closed after the test."""
        connection = Connection(self.reactor, self.log, name, protocol)
        self.addCleanup(connection.close)
        return connection

    def gather(self) -> list[Connection]:
        """Make a crowd that has hung up."""
        crowd = [self.connect("one of many", Listener(self.log, "one of many")) for _ in range(CROWD)]
        for each in crowd:
            each.theirs.close()
        return crowd

    def turn(self) -> None:
        """Run one turn; it may not be longer than the others' shares of it."""
        began = perf_counter()
        self.reactor.doIteration(0)
        self.reactor.runUntilCurrent()
        self.assertLess(perf_counter() - began, 20 * MOST_SECONDS)

    def turn_until(self, line: str, count: int = 1) -> None:
        """Run turns until something has happened so often."""
        for _ in range(10 * CROWD):
            if self.log.count(line) >= count:
                return
            self.turn()
        self.fail(f"{line!r} happened {self.log.count(line)} times, not {count}")

    def test_who_talks_does_not_wait(self) -> None:
        """Who says something behind a crowd that hung up is read while most of the crowd wait for their end."""
        self.gather()
        talker = self.connect("talker")
        talker.theirs.send(b"a")
        self.turn_until("talker said a")
        self.assertLess(self.log.count("one of many ended"), CROWD / 4)

    def test_all_end(self) -> None:
        """Each of the crowd is told first, then ends, once; the reactor then has nothing left of them."""
        self.gather()
        self.turn_until("one of many ended", CROWD)
        self.turn()
        self.assertEqual(self.log.count("one of many told"), CROWD)
        self.assertEqual(self.log.count("one of many ended"), CROWD)
        self.assertEqual(len(self.reactor._poller), 0)
        self.assertEqual(self.reactor._reads - {self.reactor.waker.fileno()}, set())

    def test_all_are_told_before_the_first_ends(self) -> None:
        """Of those that the kernel told of together, none ends before the last of them has been told."""
        for _ in range(EVENTS_PER_TURN // 2):
            self.connect("one", Listener(self.log, "one")).theirs.close()
        self.turn_until("one ended")
        self.assertEqual(self.log.index("one ended"), EVENTS_PER_TURN // 2)

    def test_who_is_waited_for_goes_first(self) -> None:
        """One that somebody waits for ends before the others."""
        self.gather()
        awaited = self.connect("awaited", Listener(self.log, "awaited", is_waited_for=True))
        awaited.theirs.close()
        self.turn_until("awaited ended")
        self.assertLess(self.log.count("one of many ended"), CROWD / 2)

    def test_last_words(self) -> None:
        """What a peer said before it hung up is read, to the last byte, before its end."""
        one = self.connect("one")
        one.theirs.send(b"abc")
        one.theirs.close()
        self.turn_until("one ended")
        self.assertEqual(self.log, ["one said a", "one said b", "one said c", "one ended"])

    def test_half(self) -> None:
        """A peer that only closed its half is still written to."""
        one = self.connect("one")
        one.theirs.send(b"a")
        one.theirs.shutdown(socket.SHUT_WR)
        self.turn_until("one said a")
        one.stopReading()
        one.startWriting()
        self.turn_until("one may write")
        one.startWriting()
        self.turn_until("one may write", 2)
        self.assertNotIn("one ended", self.log)

    def test_changes_while_it_waits(self) -> None:
        """What the program wants to hear of a connection that waits is heard when it has had its turn."""
        self.gather()
        one = self.connect("one", Listener(self.log, "one"))
        one.theirs.send(b"ab")
        one.theirs.shutdown(socket.SHUT_WR)
        self.turn_until("one told")
        self.assertGreater(len(self.reactor._poller), 0)
        one.startWriting()
        self.turn_until("one said a")
        self.turn_until("one may write")
        self.assertEqual(self.log.count("one said b"), 1)
        self.turn_until("one ended")

    def test_closed_while_it_waits(self) -> None:
        """A connection that the program closes while it waits is forgotten; its number may be another's at once."""
        crowd = self.gather()
        self.turn_until("one of many told")
        last = crowd[-1]
        for _ in range(CROWD):
            if last.fileno() in self.reactor._poller._waiting:
                break
            self.turn()
        number = last.fileno()
        last.stopReading()
        last.close()
        fresh = Connection(self.reactor, self.log, "fresh", number=number)
        self.addCleanup(fresh.close)
        fresh.theirs.send(b"a")
        self.turn_until("fresh said a")
        self.turn_until("one of many ended", CROWD - 1)
        self.turn()
        self.assertEqual(self.log.count("one of many ended"), CROWD - 1)
        fresh.theirs.send(b"b")
        self.turn_until("fresh said b")

    def test_closed_before_it_waits(self) -> None:
        """A connection that one who talked closes in the same turn is forgotten, whoever has its number now."""
        one, talker = self.connect("one"), self.connect("talker")
        one.stopReading()
        one.startWriting()
        number = one.fileno()

        def replace() -> None:
            one.stopWriting()
            one.close()
            self.addCleanup(Connection(self.reactor, self.log, "fresh", number=number).close)

        talker.heard = replace
        talker.theirs.send(b"a")
        one.theirs.close()
        self.turn_until("talker said a")
        self.turn()
        self.assertEqual(self.log, ["talker said a"])
        self.assertIn(number, self.reactor._reads)

    def test_paused(self) -> None:
        """A connection that is not read does not keep the reactor busy when its peer hangs up, and hears it later."""
        one = self.connect("one")
        one.stopReading()
        one.theirs.close()
        for _ in range(3):
            self.turn()
        self.assertEqual((self.log, len(self.reactor._poller)), ([], 0))
        one.startReading()
        self.turn_until("one ended")
