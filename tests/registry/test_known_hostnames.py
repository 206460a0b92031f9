"""Tests of which hostnames are somebody's."""

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.names import Hostname
from warp_twisted.registry.known_hostnames import KnownHostnames
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Agent, GivenName, Owner, Tunnel, Value, encode


class KnownHostnamesTests(SynchronousTestCase):
    """A registry in memory."""

    def setUp(self) -> None:
        """Follow it."""
        clock = Clock()
        self.store = MemoryStore(clock)
        mirror = Mirror(self.store, clock)
        self.known = KnownHostnames(mirror)
        self.successResultOf(Deferred.fromCoroutine(mirror.start()))

    def put(self, *values: Value) -> None:
        """Write values."""
        for value in values:
            self.successResultOf(self.store.put(value.key, encode(value)))

    def delete(self, value: Value) -> None:
        """Take a value out."""
        self.successResultOf(self.store.delete(value.key))

    def known_of(self, *hostnames: str) -> Sequence[str]:
        """Return those hostnames that are known."""
        return [hostname for hostname in hostnames if self.known.knows(hostname)]

    def test_names_of_agents(self) -> None:
        """A name is known while an agent is enrolled for it, however many are; what a pattern covers is not."""
        first, second = (Agent(id=f"a-{n}", hostnames=("app.warp.example", "*.team.warp.example")) for n in (1, 2))
        self.put(first, second)
        names = ("app.warp.example", "x.team.warp.example", "team.warp.example", "other.warp.example")
        self.assertEqual(self.known_of(*names), ["app.warp.example"])
        self.delete(first)
        self.assertEqual(self.known_of(*names), ["app.warp.example"])
        self.put(Agent(id="a-2", hostnames=("other.warp.example",)))
        self.assertEqual(self.known_of(*names), ["other.warp.example"])
        self.delete(second)
        self.assertEqual(self.known_of(*names), [])

    def test_names_that_belong_to_a_group(self) -> None:
        """A name that a group of agents has served is known until it is given up, whatever their certificates name."""
        owner = Owner(hostname="x.team.warp.example", group="blue")
        self.put(owner, Owner(hostname="*.team.warp.example", group="blue"))
        names = ("x.team.warp.example", "y.team.warp.example")
        self.assertEqual(self.known_of(*names), ["x.team.warp.example"])
        self.delete(owner)
        self.assertEqual(self.known_of(*names), [])

    def test_names_that_were_given(self) -> None:
        """A name that was given to an agent is known; one that only a tunnel serves needs no knowing."""
        given = GivenName(hostname=Hostname("calm-otter-481.warp.example"), agent="a-1")
        self.put(given, Tunnel(id="t", agent="a-1", slot=0, edge="edge1", hostnames=(Hostname("t.warp.example"),)))
        self.assertEqual(self.known_of(given.hostname, "t.warp.example"), [given.hostname])
        self.delete(given)
        self.assertEqual(self.known_of(given.hostname), [])
