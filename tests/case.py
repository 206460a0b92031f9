"""
The base of tests that prepare themselves asynchronously, and the installed reactor under its full type.

Trial awaits `async def setUp` and `async def tearDown`, but inherits their signatures from the standard library's
`unittest`, which does not; `AsyncTestCase` says what trial takes.
"""

from typing import Any

from twisted.internet import reactor as installed
from twisted.trial.unittest import TestCase

from warp_twisted.reactor import Reactor, as_reactor

reactor: Reactor = as_reactor(installed)


class AsyncTestCase(TestCase):
    """A test case whose `setUp` and `tearDown` may be coroutines, or return a Deferred."""

    def setUp(self) -> Any:
        """Prepare a test: nothing, until a subclass says more."""

    def tearDown(self) -> Any:
        """Clean up after a test: nothing, until a subclass says more."""
