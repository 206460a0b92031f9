"""Tests of `warp_twisted.agent.identity.renewal`: renewing; spreading is tested on sockets in `tests.system.agent`."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.identity.renewal import INTERVAL_SECONDS, RENEW_RETRY_SECONDS, Upkeep
from warp_twisted.agent.links.edges import EdgeAddress, Edges
from warp_twisted.wire.control import ControlMessage, RenewRequest


class FakeCredentials:
    """Credentials that are due at a time."""

    def __init__(self) -> None:
        self.due_at = 100.0

    def should_renew(self, now: float) -> bool:
        """Whether it is time."""
        return now >= self.due_at

    def request(self) -> str:
        """Return what stands for a request."""
        return "csr"


class FakeLink:
    """A link that remembers what was sent."""

    def __init__(self, is_up: bool) -> None:
        self.is_up = is_up
        self.edge = EdgeAddress("a", 1)
        self.sent: list[ControlMessage] = []

    def send(self, message: ControlMessage) -> None:
        """Remember."""
        self.sent.append(message)


class RenewTests(SynchronousTestCase):
    """Asking for a new certificate."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.links = [FakeLink(False), FakeLink(True), FakeLink(True)]
        self.credentials = FakeCredentials()
        edges = Edges(fixed=[EdgeAddress("a", 1)])
        self.upkeep = Upkeep(self.clock, self.links, edges, self.credentials, self.clock.seconds)
        self.upkeep.start()

    def advance(self, seconds: float) -> None:
        """Let time pass, look by look."""
        self.clock.pump([INTERVAL_SECONDS] * int(seconds // INTERVAL_SECONDS))

    def sent(self) -> int:
        """Return how many requests were sent, by whatever link."""
        return sum(len(link.sent) for link in self.links)

    def test_when_due(self) -> None:
        """The first tunnel that is up carries one request when it is time, not before."""
        self.advance(90)
        self.assertEqual(self.sent(), 0)
        self.advance(30)
        self.assertEqual(self.links[1].sent, [RenewRequest(csr_pem="csr")])
        self.assertEqual(self.sent(), 1)

    def test_no_answer(self) -> None:
        """Without an answer it is asked again after a while."""
        self.advance(105 + RENEW_RETRY_SECONDS)
        self.assertEqual(self.sent(), 2)

    def test_no_tunnel(self) -> None:
        """Without a tunnel it waits, and asks as soon as there is one."""
        for link in self.links:
            link.is_up = False
        self.advance(150)
        self.assertEqual(self.sent(), 0)
        self.links[2].is_up = True
        self.advance(INTERVAL_SECONDS)
        self.assertEqual(len(self.links[2].sent), 1)

    def test_renewed(self) -> None:
        """A new certificate is not asked for again."""
        self.advance(105)
        self.credentials.due_at = 10_000.0
        self.advance(3600)
        self.assertEqual(self.sent(), 1)

    def test_short_life(self) -> None:
        """A certificate that is due again soon is renewed then, however lately the one before was asked for."""
        self.advance(105)
        self.credentials.due_at = 105 + 2 * INTERVAL_SECONDS
        self.advance(2 * INTERVAL_SECONDS)
        self.assertEqual(self.sent(), 2)
        self.assertLess(2 * INTERVAL_SECONDS, RENEW_RETRY_SECONDS)

    def test_asked_at_once(self) -> None:
        """A change of roots does not wait for the next look, nor for an answer that is out."""
        self.advance(105)
        self.upkeep.renew_now()
        self.assertEqual(self.sent(), 2)

    def test_stop(self) -> None:
        """Nothing is left on the clock."""
        self.upkeep.stop()
        self.upkeep.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
