"""Tests of `warp_twisted.agent.identity.renewal`."""

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from warp_twisted.agent.identity.credentials import Credentials
from warp_twisted.agent.identity.edge_time import EdgeTime
from warp_twisted.agent.identity.renewal import INTERVAL_SECONDS, RETRY_SECONDS, Renewal
from warp_twisted.ca.errors import BadCertificate
from warp_twisted.wire.control import Renewed, RenewRequest


class FakeCredentials(Credentials):
    """Credentials that are due at a time."""

    def __init__(self) -> None:
        self.due_at = 100.0
        self.life = 86400.0
        self.chains: list[str] = []

    @property
    def lifetime_seconds(self) -> float:
        """How long the certificate lives."""
        return self.life

    def should_renew(self, now: float) -> bool:
        """Whether it is time."""
        return now >= self.due_at

    def request(self) -> str:
        """Return what stands for a request."""
        return "csr"

    def renew(self, chain_pem: str) -> Deferred[None]:
        """Take any certificate but a bad one."""
        if chain_pem == "bad":
            return fail(BadCertificate("not ours"))
        self.chains.append(chain_pem)
        return succeed(None)


class FakeTunnels:
    """Tunnels that remember what was sent."""

    def __init__(self) -> None:
        self.up_count = 1
        self.sent: list[RenewRequest] = []

    def send_one(self, message: RenewRequest) -> bool:
        """Remember."""
        self.sent.append(message)
        return True


class RenewTests(SynchronousTestCase):
    """Asking for a new certificate."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.tunnels = FakeTunnels()
        self.credentials = FakeCredentials()
        self.wall = SettableWallClock(-7200.0, self.clock)
        self.edge_time = EdgeTime(self.clock, self.wall)
        self.edge_time.heard(0.0)
        self.renewal = Renewal(self.clock, self.credentials, self.tunnels, self.wall, self.edge_time)
        self.renewal.start()

    def advance(self, seconds: float) -> None:
        """Let time pass, look by look."""
        self.clock.pump([INTERVAL_SECONDS] * int(seconds // INTERVAL_SECONDS))

    def sent(self) -> int:
        """Return how many requests were sent."""
        return len(self.tunnels.sent)

    def test_when_due(self) -> None:
        """One request is sent when it is time, not before."""
        self.advance(90)
        self.assertEqual(self.sent(), 0)
        self.advance(30)
        self.assertEqual(self.tunnels.sent, [RenewRequest(csr_pem="csr", time=105.0 - 7200.0)])

    def test_no_answer(self) -> None:
        """Without an answer it is asked again after a while."""
        self.advance(105 + RETRY_SECONDS)
        self.assertEqual(self.sent(), 2)

    def test_no_tunnel(self) -> None:
        """Without a tunnel it waits, and asks as soon as there is one."""
        self.tunnels.up_count = 0
        self.advance(150)
        self.assertEqual(self.sent(), 0)
        self.tunnels.up_count = 1
        self.advance(INTERVAL_SECONDS)
        self.assertEqual(self.sent(), 1)

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
        self.assertLess(2 * INTERVAL_SECONDS, RETRY_SECONDS)

    def test_life_of_seconds(self) -> None:
        """A certificate that lives for five seconds is renewed at half of that, and asked for again without answer."""
        self.renewal.stop()
        self.credentials.life, self.credentials.due_at = 5.0, 2.5
        self.renewal.start()
        self.clock.pump([0.125] * 19)
        self.assertEqual(self.sent(), 0)
        self.clock.pump([0.125] * 3)
        self.assertEqual(self.sent(), 1)
        self.clock.pump([0.125] * 10)
        self.assertEqual(self.sent(), 2)

    def test_asked_at_once(self) -> None:
        """A change of roots does not wait for the next look, nor for an answer that is out."""
        self.advance(105)
        self.renewal.ask_now()
        self.assertEqual(self.sent(), 2)

    def test_stop(self) -> None:
        """Nothing is left on the clock."""
        self.renewal.stop()
        self.renewal.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_answer(self) -> None:
        """A certificate that an edge issued is used; one that is not ours is logged and left."""
        self.assertTrue(self.successResultOf(self.renewal.renewed(Renewed(chain_pem="chain", time=1e6))))
        self.assertFalse(self.successResultOf(self.renewal.renewed(Renewed(chain_pem="bad"))))
        self.assertEqual((self.credentials.chains, self.edge_time.now()), (["chain"], 1e6))

    def test_answers_are_counted(self) -> None:
        """An answer is awaited for each request, of whichever kind it is."""
        self.assertFalse(self.renewal.is_asked)
        self.advance(105 + RETRY_SECONDS)
        self.renewal.refused("edge1", "not now")
        self.assertTrue(self.renewal.is_asked)
        self.successResultOf(self.renewal.renewed(Renewed(chain_pem="chain", time=1e6)))
        self.assertFalse(self.renewal.is_asked)
