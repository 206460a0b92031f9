"""Tests for `warp_base.loop.event_loop`: a reactor of its own, with real sockets."""

import gc
import select
import socket
from collections.abc import Callable
from time import perf_counter
from typing import Any, cast

from twisted.internet import epollreactor
from twisted.internet.abstract import FileDescriptor
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.case import LONGEST_TURN, assert_short_turns
from warp_base.loop.event_loop import at_turn_end, watch
from warp_base.loop.turn_times import LOGGED_SECONDS, NAMED_SECONDS, TurnTimes


class Reader(FileDescriptor):
    """One end of a socket pair whose other end has sent something."""

    def __init__(self, reactor: Any, read: Callable[[], None]) -> None:
        super().__init__(reactor)
        self.ours, self.theirs = socket.socketpair()
        self.theirs.send(b"x")
        self.read = read
        self.lost: list[Failure] = []
        self.startReading()

    def fileno(self) -> int:
        """Return the descriptor; -1 once it is closed."""
        return self.ours.fileno()

    def doRead(self) -> None:
        """Take what was sent and do what the test says."""
        self.ours.recv(1)
        self.read()

    def connectionLost(self, reason: Failure) -> None:
        """Note why it ended."""
        self.lost.append(reason)
        self.stopReading()

    def close(self) -> None:
        """Close both ends."""
        self.ours.close()
        self.theirs.close()


def burn(seconds: float) -> None:
    """Compute for so long."""
    until = perf_counter() + seconds
    while perf_counter() < until:
        pass


def wait() -> None:
    """Wait for longer than anything computes here, as a process does that gets no CPU."""
    select.select([], [], [], 0.3)


class WatchTests(SynchronousTestCase):
    """`watch`."""

    def setUp(self) -> None:
        self.addCleanup(gc.callbacks.__setitem__, slice(None), list(gc.callbacks))
        self.reactor: Any = epollreactor.EPollReactor()
        self.addCleanup(self.reactor._poller.close)
        self.times = TurnTimes()
        self.assertTrue(watch(self.reactor, self.times))

    def reader(self, read: Callable[[], None]) -> Reader:
        """Make a reader that is closed after the test."""
        reader = Reader(self.reactor, read)
        self.addCleanup(reader.close)
        return reader

    def turns(self, count: int) -> None:
        """Run the reactor's turns; the last poll ends the last of them."""
        for _ in range(count):
            self.reactor.doIteration(0)
            self.reactor.runUntilCurrent()
        self.reactor.doIteration(0)

    def test_read(self) -> None:
        """What is ready is read."""
        reads: list[int] = []
        self.reader(lambda: reads.append(1))
        self.reactor.doIteration(1)
        self.assertEqual(reads, [1])

    def test_exception(self) -> None:
        """An exception is logged and ends its connection, and no other."""

        def fail() -> None:
            raise ValueError("broken")

        reads: list[int] = []
        broken = self.reader(fail)
        self.reader(lambda: reads.append(1))
        self.reactor.doIteration(1)
        self.assertEqual([reason.type for reason in broken.lost], [ValueError])
        self.assertEqual(reads, [1])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_removed_in_the_same_turn(self) -> None:
        """What an earlier event of the turn removed is not called."""
        reads: list[str] = []

        def read(name: str, other: Callable[[], Reader]) -> None:
            reads.append(name)
            self.reactor.removeReader(other())

        first = self.reader(lambda: read("first", lambda: second))
        second = self.reader(lambda: read("second", lambda: first))
        self.reactor.doIteration(1)
        self.assertEqual(len(reads), 1)

    def test_turn_end(self) -> None:
        """What events ask for is called after all of them, without a poll between; what that asks for, a turn later."""
        heard: list[str] = []

        def read(name: str) -> None:
            heard.append(name)
            at_turn_end(self.reactor, lambda: end(f"after {name}"))

        def end(name: str) -> None:
            heard.append(name)
            at_turn_end(self.reactor, lambda: heard.append("later"))

        self.reader(lambda: read("one"))
        self.reader(lambda: read("two"))
        self.reactor.doIteration(1)
        self.assertEqual(sorted(heard[:2]), ["one", "two"])
        self.assertEqual(heard[2:], [f"after {name}" for name in heard[:2]])
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.reactor.callLater(1, heard.append, "timer")
        self.reactor.doIteration(60)  # nothing happens any more, and the next timed call is soon
        self.assertEqual(heard[4:], ["later", "later"])

    def test_turn_end_asked_by_a_timed_call(self) -> None:
        """It is not late, though nothing else happens; nor is a timed call that it makes."""
        heard: list[str] = []

        def end() -> None:
            heard.append("end")
            self.reactor.callLater(0, heard.append, "timed")

        self.reactor.callLater(0, at_turn_end, self.reactor, end)
        self.reactor.runUntilCurrent()
        self.assertEqual(heard, [])
        began = perf_counter()
        self.reactor.doIteration(60)
        self.assertEqual(heard, ["end"])
        self.reactor.runUntilCurrent()
        self.assertEqual(heard, ["end", "timed"])
        self.assertLess(perf_counter() - began, 30)

    def test_turn_end_that_asks_before_the_poll(self) -> None:
        """What is asked for while nothing has happened yet does not wait for an event either."""
        heard: list[str] = []
        at_turn_end(self.reactor, lambda: at_turn_end(self.reactor, lambda: heard.append("second")))
        began = perf_counter()
        self.reactor.doIteration(60)
        self.assertEqual(heard, ["second"])
        self.assertLess(perf_counter() - began, 30)

    def test_turn_end_that_fails(self) -> None:
        """An exception is logged, and the others are called."""
        heard: list[str] = []

        def fail() -> None:
            raise ValueError("broken")

        at_turn_end(self.reactor, fail)
        at_turn_end(self.reactor, lambda: heard.append("next"))
        self.reactor.doIteration(0)
        self.assertEqual(heard, ["next"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_turn_end_that_is_long(self) -> None:
        """It is a piece of work like others, and a part of its turn."""

        def work() -> None:
            burn(2 * NAMED_SECONDS)

        self.reader(lambda: at_turn_end(self.reactor, work))
        self.turns(2)
        self.assertIn("work", self.times.longest)

    def test_other_reactors(self) -> None:
        """Any other reactor stays as it was."""
        clock = Clock()
        self.assertFalse(watch(clock, TurnTimes()))
        heard: list[str] = []
        at_turn_end(clock, lambda: heard.append("end"))
        clock.advance(0)
        self.assertEqual(heard, ["end"])

    def test_turns_are_counted(self) -> None:
        """Each turn is in the histogram, waiting is not part of it."""
        self.turns(10)
        self.reactor.doIteration(0.05)
        self.assertEqual(sum(self.times.counts), 11)
        self.assertLess(self.times.total_seconds, 0.05)

    def test_long_event_is_named(self) -> None:
        """A long read is the longest turn, under the name of its protocol."""
        self.reader(lambda: burn(2 * NAMED_SECONDS))
        self.turns(2)
        self.assertEqual(self.times.longest, "tests.base.loop.test_event_loop.Reader")
        self.assertGreater(self.times.longest_seconds, 2 * NAMED_SECONDS)
        self.assertGreater(self.times.by_name["tests.base.loop.test_event_loop.Reader"], 2 * NAMED_SECONDS)

    def test_long_timed_call_is_named(self) -> None:
        """A long timed call is named by its function, and gets its arguments."""
        self.reactor.callLater(0, burn, seconds=2 * NAMED_SECONDS)
        self.turns(2)
        self.assertEqual(self.times.longest, "tests.base.loop.test_event_loop.burn")

    def test_cancelled_call(self) -> None:
        """A timed call can be cancelled as ever."""
        called: list[int] = []
        self.reactor.callLater(0, called.append, 1).cancel()
        self.turns(2)
        self.assertEqual(called, [])

    def test_long_turn_is_logged(self) -> None:
        """A turn above the limit is one line of the log; the next within a second is not another."""
        events: list[LogEvent] = []
        observer = cast(ILogObserver, events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        for _ in range(2):
            self.reactor.callLater(0, burn, LOGGED_SECONDS * 1.1)
            self.turns(2)
        lines = [event for event in events if "event loop was held" in (event.get("log_format") or "")]
        self.assertEqual([line["what"] for line in lines], ["tests.base.loop.test_event_loop.burn"])
        self.assertGreaterEqual(lines[0]["wall"], lines[0]["computing"])

    def test_sum(self) -> None:
        """When the reactor has stopped, the longest turn is logged, and what computed longest."""
        self.reactor.callLater(0, burn, 2 * NAMED_SECONDS)
        self.turns(2)
        self.reactor.callLater(0, wait)
        self.turns(2)
        events: list[LogEvent] = []
        observer = cast(ILogObserver, events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.reactor.fireSystemEvent("shutdown")
        (line,) = [event for event in events if "longest turn" in (event.get("log_format") or "")]
        names = ("tests.base.loop.test_event_loop.wait", "tests.base.loop.test_event_loop.burn")
        self.assertEqual((line["what"], line["most"]), names)
        self.assertLess(line["computing"], line["wall"])
        found = LONGEST_TURN.fullmatch(formatEvent(line) or "")
        assert found is not None
        self.assertEqual(found[2], f"{line['computing']:.0f}")

    def test_long_turns_of_a_program(self) -> None:
        """Tests of programs find a turn that computed for long in what the program said."""
        times = TurnTimes()
        said: list[str] = []
        observer = cast(ILogObserver, lambda event: said.append(formatEvent(event) or ""))
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        times.sum_up()
        assert_short_turns(said[0])
        times.piece_ended(0.09, burn)
        times.turn_ended(0.09, 0.06, 0.0)
        times.sum_up()
        with self.assertRaisesRegex(
            AssertionError, "burn; most computing 60 ms, by tests.base.loop.test_event_loop.burn"
        ):
            assert_short_turns("\n".join(said))
