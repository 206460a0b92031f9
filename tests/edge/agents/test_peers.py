"""Tests of the table of agents' connections."""

from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.agents.test_registrations import make_tunnel
from warp_twisted.ca.issue import AgentIdentity
from warp_twisted.edge.agents.peers import Peers
from warp_twisted.tunnel import TunnelProtocol


def identity(agent: str) -> AgentIdentity:
    """Return who an agent is."""
    return AgentIdentity(id=agent, patterns=(), expires_at=1.0, serial=1)


class PeersTests(SynchronousTestCase):
    """By protocol and by agent."""

    def setUp(self) -> None:
        """Add three connections, two of which say who they are."""
        self.peers = Peers()
        self.protocols = [cast(TunnelProtocol, object()) for _ in range(3)]
        self.added = [self.peers.add(protocol, "192.0.2.1") for protocol in self.protocols]
        for peer in self.added[:2]:
            self.peers.identify(peer, identity("a-1"))

    def test_by_protocol_and_by_agent(self) -> None:
        """A peer is found by its protocol at once, and by its agent when that is known."""
        self.assertEqual((len(self.peers), list(self.peers)), (3, self.added))
        self.assertIs(self.peers.get(self.protocols[2]), self.added[2])
        self.assertEqual(set(self.peers.of_agent("a-1")), set(self.added[:2]))
        self.assertEqual(self.peers.of_agent("a-2"), [])

    def test_removed(self) -> None:
        """What is removed is found no more, and nothing is due for it."""
        clock = Clock()
        self.added[0].deadline = clock.callLater(1, self.fail)
        for protocol in self.protocols:
            self.peers.remove(protocol)
        self.assertIsNone(self.peers.remove(self.protocols[0]))
        self.assertEqual((len(self.peers), self.peers.of_agent("a-1"), clock.getDelayedCalls()), (0, [], []))
        self.assertEqual([peer.is_gone for peer in self.added], [True] * 3)
        self.assertEqual(len(self.peers.silent), 0)

    def test_registered(self) -> None:
        """A peer that registered is silent no more, and its time does not end."""
        clock = Clock()
        self.added[0].deadline = clock.callLater(1, self.fail)
        tunnel = make_tunnel(1)
        self.peers.register(self.added[0], tunnel)
        self.assertIs(self.added[0].tunnel, tunnel)
        self.assertEqual((len(self.peers.silent), self.peers.silent.pop()), (2, self.added[1]))
        clock.advance(2)
