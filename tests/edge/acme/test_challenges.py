"""Tests of the challenges that an edge was asked to publish; the registry's live half is real."""

from collections.abc import Awaitable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.acme.challenges import Challenges
from warp_twisted.edge.errors import EdgeError
from warp_twisted.registry.acme.challenges import (
    MAX_AT_NAME,
    MAX_CHALLENGES,
    Challenge,
    EdgeChallenges,
    dns_challenge,
    http_challenge,
)
from warp_twisted.registry.claims import Claims
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror

ZONE = "warp.example"


def challenge(number: int, name: str = ZONE) -> Challenge:
    """Return one of several."""
    return dns_challenge(f"_acme-challenge.{name}", f"{number:043}", ZONE)


class ChallengesTests(SynchronousTestCase):
    """One edge that is asked."""

    def setUp(self) -> None:
        self.clock = Clock()
        live = MemoryStore(self.clock)
        self.mirror = Mirror(MemoryStore(self.clock), self.clock, live)
        self.claims = Claims(live, self.clock, 30.0)
        self.settled = 0
        self.challenges = Challenges("edge1", self.claims, self.mirror, self.clock, self.published)
        self.successResultOf(Deferred.fromCoroutine(self.mirror.start()))
        self.claims.start()

    def published(self) -> Awaitable[None]:
        """Count who waits for what is published."""
        self.settled += 1
        return succeed(None)

    def add(self, wanted: Challenge, lease_seconds: float = 60.0) -> None:
        """Ask for one."""
        added = Deferred.fromCoroutine(self.challenges.add(wanted, lease_seconds))
        self.clock.pump([0, 0])
        self.successResultOf(added)

    def remove(self, wanted: Challenge) -> bool:
        """Ask for one no more."""
        removed = Deferred.fromCoroutine(self.challenges.remove(wanted))
        self.clock.pump([0, 0])
        return self.successResultOf(removed)

    def told(self) -> list[Challenge]:
        """Return what this edge tells."""
        told = self.mirror.challenges.get("edge1")
        return list(told.challenges) if told is not None else []

    def test_come_and_go(self) -> None:
        """Several values stand together; who asks waits until they are published."""
        self.assertEqual(self.told(), [])
        self.add(challenge(1))
        self.add(challenge(2))
        self.assertEqual((self.told(), self.settled), ([challenge(1), challenge(2)], 2))
        self.assertTrue(self.remove(challenge(1)))
        self.assertFalse(self.remove(challenge(1)))
        self.assertEqual(self.told(), [challenge(2)])

    def test_leases(self) -> None:
        """Each goes with its own lease, which may be given again."""
        self.add(challenge(1), 10.0)
        self.add(challenge(2), 20.0)
        self.clock.advance(5.0)
        self.add(challenge(1), 10.0)
        self.clock.pump([9.9, 0, 0])
        self.assertEqual(self.told(), [challenge(1), challenge(2)])
        self.clock.pump([0.2, 0, 0])
        self.assertEqual(self.told(), [challenge(2)])
        self.clock.pump([5.0, 0, 0])
        self.assertEqual(self.told(), [])

    def test_a_name(self) -> None:
        """All values of a name go together, those of other names and kinds stay."""
        answer = http_challenge(ZONE, "tok", f"tok.{'a' * 43}")
        for each in (challenge(1), challenge(2), challenge(3, f"app.{ZONE}"), answer):
            self.add(each)
        removed = Deferred.fromCoroutine(self.challenges.remove_name(f"_acme-challenge.{ZONE}"))
        self.clock.pump([0, 0])
        self.assertTrue(self.successResultOf(removed))
        self.assertEqual(self.told(), [challenge(3, f"app.{ZONE}"), answer])
        again = Deferred.fromCoroutine(self.challenges.remove_name(f"_acme-challenge.{ZONE}"))
        self.assertFalse(self.successResultOf(again))

    def test_at_most(self) -> None:
        """There are so many at a name, and so many in all; what is there may be asked for again."""
        for number in range(MAX_AT_NAME):
            self.add(challenge(number))
        refused = Deferred.fromCoroutine(self.challenges.add(challenge(99), 1.0))
        self.assertIn("at _acme-challenge.warp.example", str(self.failureResultOf(refused, EdgeError).value))
        self.add(challenge(0))
        for number in range(MAX_CHALLENGES - MAX_AT_NAME):
            self.add(challenge(0, f"a{number}.{ZONE}"))
        self.assertEqual(len(self.told()), MAX_CHALLENGES)
        refused = Deferred.fromCoroutine(self.challenges.add(challenge(0, f"b.{ZONE}"), 1.0))
        self.assertIn(f"{MAX_CHALLENGES} challenges", str(self.failureResultOf(refused, EdgeError).value))
        self.assertEqual(len(self.told()), MAX_CHALLENGES)

    def test_answers_of_the_fleet(self) -> None:
        """Visitors are answered whichever edge was asked, and no more when that edge is lost."""
        own = http_challenge("a.example", "one", f"one.{'a' * 43}")
        other = http_challenge("b.example", "two", f"two.{'b' * 43}")
        self.add(own)
        told = EdgeChallenges(edge="edge2", challenges=(other,))
        self.mirror.learn({told.key: told})
        self.assertEqual(
            self.challenges.http_answers,
            {
                ("a.example", b"/.well-known/acme-challenge/one"): b"one." + b"a" * 43,
                ("b.example", b"/.well-known/acme-challenge/two"): b"two." + b"b" * 43,
            },
        )
        self.assertEqual(list(self.challenges.listed()), [("edge1", own), ("edge2", other)])
        self.mirror.learn({told.key: None})
        self.assertEqual(list(self.challenges.http_answers.values()), [b"one." + b"a" * 43])

    def test_a_crash_leaves_nothing(self) -> None:
        """When nobody keeps this edge's lease, what it was asked for is gone with it."""
        self.add(challenge(1), 3600.0)
        self.claims._sweep.stop()  # as a process that is killed
        self.clock.pump([31.0, 0, 0])
        self.assertEqual(self.told(), [])
        self.challenges.stop()

    def test_stop(self) -> None:
        """Nothing is timed any more."""
        self.add(challenge(1))
        self.challenges.stop()
        self.successResultOf(Deferred.fromCoroutine(self.claims.stop()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
