"""
The base of tests that prepare themselves asynchronously, the installed reactor under its full type, and `until` and
`until_said`, for what no event tells.

Trial awaits what `setUp` returns, but inherits its signature from the standard library's `unittest`, which returns
nothing; so a coroutine gets a name of its own here.
"""

import gc
import re
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from warp_base.loop.collector import freeze
from warp_base.machine_time import use_monotonic_time
from warp_base.reactor import Reactor, as_reactor

reactor: Reactor = as_reactor(installed)

LONGEST_TURN = re.compile(r"(the event loop's longest turn took .*; most computing (\d+) ms, by [\w.<> ]+)")
LONGEST_TURN_MILLISECONDS = 50.0
use_monotonic_time(reactor)  # as programs do: who takes its seconds for the time of day fails here as well


class AsyncTestCase(TestCase):
    """A test case that awaits `prepare` before each test; `addCleanup` and `clean_up_with` take what to do after it."""

    def setUp(self) -> None:
        """Await `prepare`."""
        return cast(None, Deferred.fromCoroutine(self.prepare()))

    async def prepare(self) -> None:
        """Prepare a test."""
        raise NotImplementedError

    def clean_up_with(self, function: Callable[[], Coroutine[Deferred[object], object, object]]) -> None:
        """Await a coroutine function after the test, as `addCleanup` does for what returns a Deferred."""
        self.addCleanup(lambda: Deferred.fromCoroutine(function()))


def short_directory_of(case: SynchronousTestCase) -> Path:
    """
    Make a directory whose path leaves room for a unix socket in it, and remove it after the test.

    A socket's path has 107 bytes at most, and those below `mktemp` grow with the path of the checkout.
    """
    directory = Path(tempfile.mkdtemp(prefix="warp-test-"))
    case.addCleanup(shutil.rmtree, directory)
    return directory


def spare_old_objects_of(case: TestCase) -> None:
    """
    Keep the garbage collector off what is there now until the test ends, as services do from their start.

    For tests of how long a turn takes: a full collection looks at all that the tests before them have left.
    """
    case.addCleanup(gc.set_threshold, *gc.get_threshold())
    case.addCleanup(gc.unfreeze)
    freeze()


@contextmanager
def nothing_left_to_the_collector(*prefixes: str) -> Iterator[None]:
    """
    Let go of things, and see that they go at once: none waits for the garbage collector in a reference cycle.

    :param prefixes: of the types that must not be left, if others may be.
    :raises AssertionError: naming the types of those that do.
    """
    flags = gc.get_debug()
    gc.collect()
    gc.disable()
    try:
        yield
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        names = sorted({f"{type(found).__module__}.{type(found).__qualname__}" for found in gc.garbage})
        if any(name.startswith(prefixes or ("",)) for name in names):
            raise AssertionError(f"left to the garbage collector: {', '.join(names)}")
    finally:
        gc.set_debug(flags)
        gc.garbage.clear()
        gc.enable()


def assert_short_turns(said: str) -> None:
    """
    Look at what the stall guards of a program said when it ended, if it did so in order.

    What counts is CPU time: on a busy machine a turn takes longer. Start-up is not a turn: the first begins after it.

    :param said: its log.
    :raises AssertionError: naming what ran in a turn that computed for too long.
    """
    for line, milliseconds in LONGEST_TURN.findall(said):
        if float(milliseconds) > LONGEST_TURN_MILLISECONDS:
            raise AssertionError(line)


async def until(holds: Callable[[], bool], timeout: float = 10.0) -> float:
    """
    Let the reactor run until something holds that tells nobody when it begins to.

    :returns: after how many seconds.
    :raises AssertionError: if that takes longer than the time-out.
    """
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > timeout:
            raise AssertionError(f"not within {timeout:g} s")
        await deferLater(reactor, 0.002)
    return time.monotonic() - began


async def until_said(ask: Callable[[], Awaitable[bool]], timeout: float = 10.0) -> None:
    """
    Ask somebody else, such as another process, again and again until the answer is yes.

    :raises AssertionError: if that takes longer than the time-out.
    """
    began = time.monotonic()
    while not await ask():
        if time.monotonic() - began > timeout:
            raise AssertionError(f"not within {timeout:g} s")
        await deferLater(reactor, 0.02)
