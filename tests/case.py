"""
The base of tests that prepare themselves asynchronously, and the installed reactor under its full type.

Trial awaits what `setUp` returns, but inherits its signature from the standard library's `unittest`, which returns
nothing; so a coroutine gets a name of its own here.
"""

from collections.abc import Callable, Coroutine
from typing import cast

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from warp_twisted.reactor import Reactor, as_reactor

reactor: Reactor = as_reactor(installed)


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
