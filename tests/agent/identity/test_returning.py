"""Tests of `agent.identity.returning`, as far as no edge is needed; with one they are in `tests.system.agent`."""

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from tests.agent.identity.test_state import StateTestCase
from tests.clocks import SettableWallClock
from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.identity.credentials import Credentials
from warp_twisted.agent.identity.edge_time import EdgeTime
from warp_twisted.agent.identity.returning import Returning
from warp_twisted.ca.returning import prove_return
from warp_twisted.wire.control import Authority

EDGE = EdgeAddress("192.0.2.1", 7844)


class ReturningTests(StateTestCase):
    """One attempt, for whoever waits for it."""

    def setUp(self) -> None:
        super().setUp()
        self.reactor = MemoryReactorClock()
        self.credentials = Credentials(self.state, self.store())
        self.wall = SettableWallClock()
        self.returning = Returning(
            self.reactor, self.wall, self.credentials, EdgeTime(self.reactor, self.wall), lambda: None
        )

    def dials(self) -> int:
        """Return how often an edge was dialed."""
        return len(self.reactor.tcpClients)

    def refuse(self) -> None:
        """Let the newest dial fail."""
        factory = self.reactor.tcpClients[-1][2]
        factory.clientConnectionFailed(self.reactor.connectors[-1], Failure(ConnectionRefusedError()))

    def test_one_attempt_for_all(self) -> None:
        """Links that ask meanwhile wait for the same attempt; after it the next is made."""
        waiting = [self.returning.come_back(EDGE) for _ in range(3)]
        self.assertEqual(self.dials(), 1)
        self.refuse()
        for deferred in waiting:
            self.failureResultOf(deferred, ConnectionRefusedError)
        again = self.returning.come_back(EDGE)
        self.assertEqual(self.dials(), 2)
        self.refuse()
        self.failureResultOf(again, ConnectionRefusedError)

    def test_link_that_gives_up(self) -> None:
        """A link that stops waiting leaves the attempt to the others."""
        first, second = (self.returning.come_back(EDGE) for _ in range(2))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertNoResult(second)
        self.refuse()
        self.failureResultOf(second, ConnectionRefusedError)

    def test_stopped(self) -> None:
        """When the agent stops, the attempt ends, and nothing is left."""
        waiting: Deferred[None] = self.returning.come_back(EDGE)
        self.returning.stop()
        self.failureResultOf(waiting, CancelledError)
        self.returning.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_request(self) -> None:
        """The request proves with the agent's key, for this nonce, who the agent is."""
        request = self.returning._request(Authority(root_pem="", nonce="5a" * 32))
        root = self.authority.issuer.certificate
        proven = prove_return(
            request.chain_pem, request.signature, "5a" * 32, [root], self.credentials.identity.renew_at
        )
        self.assertEqual(proven.identity.id, self.credentials.identity.agent_id)
