"""Tests of `warp_twisted.agent.links.offering`."""

from collections.abc import Sequence
from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.links.test_link import FakeOwner
from warp_twisted.agent.links.link import Link
from warp_twisted.agent.links.offering import Offering
from warp_twisted.wire.control import ControlMessage, RouteOffer, RoutesChanged


class Rules(tuple[str, ...]):
    """Hostnames, a policy for them, and what edges must promise."""

    policy = ""
    requires: Sequence[str] = ()


def rules(*hostnames: str, policy: str = "", requires: Sequence[str] = ()) -> Rules:
    """Return rules."""
    made = Rules(hostnames)
    made.policy = policy
    made.requires = requires
    return made


class FakeRoutes:
    """A table whose rules are hostnames."""

    def __init__(self) -> None:
        self.hostnames = Rules()

    @property
    def offers(self) -> Sequence[RouteOffer]:
        """Return one offer for each hostname."""
        return [
            RouteOffer(id=index, hostname=name, path="", service="hello-world", protocol="http")
            for index, name in enumerate(self.hostnames)
        ]

    def replace(self, rules: Rules, /) -> bool:
        """Serve other hostnames."""
        before, self.hostnames = self.hostnames, rules
        return before != rules


class FakeLink(Link):
    """A link that is up or not, and remembers what was sent."""

    is_up = True

    def __init__(self) -> None:
        clock = Clock()
        super().__init__(0, 1, FakeOwner(clock), clock, Random(1))
        self.sent: list[ControlMessage] = []

    def send(self, message: ControlMessage) -> bool:
        """Remember."""
        self.sent.append(message)
        return True


class OfferingTests(SynchronousTestCase):
    """What edges are told."""

    def setUp(self) -> None:
        self.routes = FakeRoutes()
        self.offering = Offering(self.routes, rules("a"))
        self.link = FakeLink()

    def told(self) -> list[list[str]]:
        """Return the hostnames of each change that the edge heard of."""
        changes = [message for message in self.link.sent if isinstance(message, RoutesChanged)]
        return [[route.hostname for route in change.routes] for change in changes]

    def test_change(self) -> None:
        """A change is told to the tunnels that are up, and only a change."""
        self.assertEqual([route.hostname for route in self.offering.introduce(self.link)], ["a"])
        other = FakeLink()
        other.is_up = False
        self.offering.change(rules("a"), [self.link, other])
        self.offering.change(rules("b"), [self.link, other])
        self.assertEqual((self.told(), other.sent), ([["b"]], []))

    def test_change_between_hello_and_acceptance(self) -> None:
        """A tunnel that comes up hears what has changed since its hello, once."""
        self.offering.introduce(self.link)
        self.offering.change(rules("b"), [])
        self.offering.link_up(self.link)
        self.offering.link_up(self.link)
        self.assertEqual(self.told(), [["b"]])

    def test_another_policy(self) -> None:
        """Tunnels whose edges know the policy of before hear nothing of what comes with another one, now or later."""
        self.assertFalse(self.offering.change(rules("b"), [self.link]))
        self.assertTrue(self.offering.change(rules("b", "c", policy="p"), [self.link]))
        self.assertEqual(self.told(), [["b"]])
        self.assertIsNone(self.offering.refused("not yours", [self.link]))
        self.assertEqual(self.routes.hostnames, ("b", "c"))
        self.offering.link_up(self.link)
        self.assertFalse(self.offering.change(rules("d", policy="p"), [self.link]))
        self.assertEqual(self.told(), [["b"]])
        self.offering.introduce(self.link)
        self.offering.link_up(self.link)
        self.assertEqual(self.told(), [["b"]])
        self.assertFalse(self.offering.change(rules("c", policy="p"), [self.link]))
        self.assertEqual(self.told(), [["b"], ["c"]])

    def test_refused(self) -> None:
        """What an edge refuses is taken back everywhere; what one has accepted is not."""
        self.offering.change(rules("b"), [self.link])
        self.assertEqual(self.offering.refused("not yours", [self.link]), ("a",))
        self.assertEqual((self.told(), self.routes.hostnames), ([["b"], ["a"]], ("a",)))
        self.assertIsNone(self.offering.refused("not yours", [self.link]))
        self.offering.change(rules("c"), [self.link])
        self.offering.accepted()
        self.assertIsNone(self.offering.refused("not yours", [self.link]))
        self.assertEqual(self.routes.hostnames, ("c",))
