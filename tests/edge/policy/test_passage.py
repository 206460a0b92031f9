"""Tests for `warp_twisted.edge.policy.passage`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.policy.test_in_force import loaded
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.edge.policy.passage import Passage
from warp_twisted.policy.visitor import Visitor

VISITOR = Visitor("192.0.2.1", "192.0.2.1")
TEXT = """
defaults:
  limits:
  - {name: all, of: concurrent_connections, most: 2, per: all}
  - {name: each, of: concurrent_connections, most: 1}
"""


class PassageTests(SynchronousTestCase):
    """`Passage`."""

    def setUp(self) -> None:
        self.policy = PolicyInForce()
        self.policy.use(loaded(self, TEXT))

    def passage(self) -> Passage:
        """Return that of a new connection."""
        return Passage(self.policy, VISITOR, "https")

    def refused(self) -> float:
        """Return how many refusals were counted."""
        family = next(iter(self.policy.collect()))
        return sum(sample.value for sample in family.samples)

    def test_arrival(self) -> None:
        """What is not let in is counted by rule; who leaves makes room."""
        first = self.passage()
        self.assertEqual([first.arrive(0.0), self.passage().arrive(0.0)], [None, None])
        self.assertIsNotNone(self.passage().arrive(0.0))
        self.assertEqual(self.refused(), 1)
        first.leave()
        first.leave()
        self.assertIsNone(self.passage().arrive(0.0))
        self.assertIsNotNone(self.passage().arrive(0.0))

    def test_hostnames(self) -> None:
        """The hostname of the handshake counts once with that of the requests; another one counts for itself."""
        program = self.policy.program_for("a.example", "a.example")
        assert program is not None
        first, second = self.passage(), self.passage()
        self.assertIsNone(first.ask_for("a.example", 0.0))
        self.assertIsNone(first.enter(program, "a.example", 0.0))
        self.assertIsNone(first.enter(program, "b.example", 0.0))
        self.assertIsNone(first.enter(program, "a.example", 0.0))
        for hostname in ("a.example", "b.example"):
            self.assertIsNotNone(second.ask_for(hostname, 0.0))
        first.leave()
        self.assertIsNone(second.ask_for("a.example", 0.0))

    def test_another_policy(self) -> None:
        """A connection outlives the policy: it is asked by the next one, and gives back what it took of the former."""
        first = self.passage()
        self.assertIsNone(first.ask_for("a.example", 0.0))
        before = self.policy.loaded
        self.policy.use(None)
        self.assertEqual((first.arrive(0.0), first.ask_for("a.example", 0.0)), (None, None))
        first.leave()
        self.policy.use(before)
        self.assertIsNone(self.passage().ask_for("a.example", 0.0))
        self.assertTrue(self.policy.counts_connections)
        self.policy.use(loaded(self, "rules: [{name: r, limits: [{name: l, rate: 1/s}]}]"))
        self.assertFalse(self.policy.counts_connections)
