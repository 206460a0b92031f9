"""Tests of `warp_base.reactor`."""

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface

from tests.case import reactor
from warp_base.reactor import Reactor, as_reactor


class ReactorTests(SynchronousTestCase):
    """The type against the reactor that is installed."""

    def test_the_installed_reactor_has_all_of_it(self) -> None:
        """Each interface that the type combines is one that the installed reactor provides."""
        combined = [each for each in Reactor.__iro__ if each not in (Reactor, Interface)]
        self.assertGreater(len(combined), 5)
        self.assertEqual([each.__name__ for each in combined if not each.providedBy(reactor)], [])

    def test_it_is_the_same_object(self) -> None:
        """The type is all that changes."""
        other = object()
        self.assertIs(as_reactor(other), other)
