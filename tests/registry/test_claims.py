"""Tests of claims: values that stay in the registry as long as this process stands behind them."""

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.registry.contract import Watcher
from tests.registry.fakes import FlakyStore
from warp_twisted.registry.claims import BATCH, Claim, Claims
from warp_twisted.registry.model import Edge, Tunnel, encode
from warp_twisted.registry.store import MAX_VALUE_BYTES, LeaseId

EDGE = Edge(name="edge1", addresses=("192.0.2.1",))
TTL = 30


def tunnel(number: int) -> Tunnel:
    """Return one of many values."""
    return Tunnel(id=f"t-{number}", agent="a-1", slot=0, edge="edge1")


class ClaimTests(SynchronousTestCase):
    """Claims in a store that may be away."""

    def setUp(self) -> None:
        """Begin with nothing claimed."""
        self.clock = Clock()
        self.store = FlakyStore(self.clock)
        self.claims = Claims(self.store, self.clock, TTL)
        self.claims.start()
        self.addCleanup(self.finish)

    def finish(self) -> None:
        """Leave no call behind."""
        self.store.is_away = False
        self.stop()
        self.store.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def stop(self) -> None:
        """Stop the claims."""
        self.successResultOf(Deferred.fromCoroutine(self.claims.stop()))

    def put(self, value: Edge | Tunnel = EDGE) -> Claim:
        """Claim a value, and let a turn pass."""
        claim, attempted = self.claims.put(value)
        self.after_a_turn(attempted)
        return claim

    def after_a_turn(self, attempted: Deferred[None]) -> None:
        """Expect an attempt in the next turn, not before."""
        self.assertNoResult(attempted)
        self.clock.advance(0)
        self.successResultOf(attempted)

    def there(self, key: str = EDGE.key) -> bytes | None:
        """Return what the store holds."""
        item = self.store.holds_now(key)
        return item.value if item else None

    def test_claimed_value_is_there(self) -> None:
        """A claimed value is in the store after a turn."""
        claim = self.put()
        self.assertEqual((self.there(), claim.is_settled), (encode(EDGE), True))

    def test_claims_are_kept_alive_together(self) -> None:
        """Claims outlive their lease's time many times over, at three keep-alives for each, however many they are."""
        for number in range(1000):
            self.claims.put(tunnel(number))
        self.clock.pump([0] * 20)
        self.clock.pump([1] * TTL * 4)
        self.assertEqual(self.there("warp/tunnels/edge1/t-999"), encode(tunnel(999)))
        self.assertIn(self.store.keep_alives, range(11, 14))

    def test_claim_of_a_dead_process(self) -> None:
        """When nobody keeps it alive, a claim's value goes after its time."""
        self.put()
        self.claims._sweep.stop()
        self.clock.advance(TTL + 1)
        self.assertIsNone(self.there())
        self.claims.start()

    def test_update(self) -> None:
        """An updated claim holds the new value, under the same lease."""
        claim = self.put()
        self.after_a_turn(claim.update(replace(EDGE, draining=True)))
        self.assertEqual(self.there(), encode(replace(EDGE, draining=True)))
        self.clock.pump([1] * TTL * 2)
        self.assertIsNotNone(self.there())

    def test_what_is_there_is_not_written_again(self) -> None:
        """Keeping to a value writes it if it is another one, and never what is there already or is over."""
        claim = self.put()
        self.after_a_turn(claim.keep_to(replace(EDGE, draining=True)))
        self.assertEqual(self.there(), encode(replace(EDGE, draining=True)))
        revision = self.store.revision
        self.successResultOf(claim.keep_to(replace(EDGE, draining=True)))
        self.after_a_turn(claim.release())
        self.successResultOf(claim.keep_to(EDGE))
        self.clock.advance(0)
        self.assertEqual((self.there(), self.store.revision), (None, revision + 1))

    def test_changes_of_one_turn(self) -> None:
        """What changes several times in a turn is written once, as it was last."""
        claim, _ = self.claims.put(EDGE)
        claim.update(replace(EDGE, weight=1))
        claim.update(replace(EDGE, weight=2))
        self.claims.put(tunnel(1))[0].release()
        before = self.store.revision
        self.clock.advance(0)
        self.assertEqual(self.there(), encode(replace(EDGE, weight=2)))
        self.assertIsNone(self.there(tunnel(1).key))
        self.assertEqual(self.store.revision, before + 1)

    def test_change_while_one_is_written(self) -> None:
        """A value that changes while another is on its way is written after it; each waits for its own."""
        claim, first = self.claims.put(EDGE)
        second: list[Deferred[None]] = []
        self.store.when_asked = lambda: second.append(claim.update(replace(EDGE, weight=1)))
        watcher = Watcher(self.store, "warp/")
        self.clock.advance(0)
        self.successResultOf(first)
        self.successResultOf(second[0])
        self.assertEqual([value for _, value in watcher.seen], [encode(EDGE), encode(replace(EDGE, weight=1))])

    def test_many_changes_take_several_turns(self) -> None:
        """A transaction holds so many values at most; the rest follows in the turns after it."""
        watcher = Watcher(self.store, "warp/")
        claims = [self.claims.put(tunnel(number))[0] for number in range(BATCH + 1)]
        self.clock.advance(0)
        self.assertEqual([len(batch) for batch in watcher.batches], [BATCH, 1])
        for claim in claims:
            claim.release()
        self.clock.advance(0)
        self.assertEqual([len(batch) for batch in watcher.batches[2:]], [BATCH, 1])

    def test_release(self) -> None:
        """A released claim's value is gone after a turn, and nothing is kept alive for it any more."""
        claim = self.put()
        self.after_a_turn(claim.release())
        self.assertIsNone(self.there())
        self.clock.pump([1] * TTL)
        self.assertEqual(self.store.keep_alives, 0)

    def test_claim_after_all_were_released(self) -> None:
        """A claim that comes when the lease has run out for want of claims gets a new one."""
        self.put().release()
        self.clock.pump([1] * TTL * 2)
        self.put()
        self.clock.pump([1] * TTL * 2)
        self.assertEqual(self.there(), encode(EDGE))

    def test_lost_lease_is_replaced(self) -> None:
        """If the lease is lost all the same, every value comes back at the next keep-alive."""
        self.put()
        self.put(tunnel(1))
        self.store.revoke(LeaseId(1))
        self.assertIsNone(self.there())
        self.clock.pump([1] * 12)
        self.assertEqual((self.there(), self.there(tunnel(1).key)), (encode(EDGE), encode(tunnel(1))))

    def test_lease_lost_before_an_update(self) -> None:
        """An update that finds the lease lost is put under a new one, and so is all the rest."""
        claim = self.put()
        self.put(tunnel(1))
        self.store.revoke(LeaseId(1))
        self.after_a_turn(claim.update(replace(EDGE, weight=1)))
        self.assertEqual(self.there(), encode(replace(EDGE, weight=1)))
        self.clock.advance(0)
        self.assertEqual(self.there(tunnel(1).key), encode(tunnel(1)))

    def test_other_time_to_live(self) -> None:
        """Another time to live holds for what is claimed already, and nobody hears of a change."""
        self.put()
        watcher = Watcher(self.store, "warp/", self.store.revision)
        self.claims.ttl_seconds = 5
        self.clock.pump([1, 0])
        self.assertEqual(watcher.seen, [(EDGE.key, encode(EDGE))])
        self.claims._sweep.stop()
        self.clock.advance(6)
        self.assertIsNone(self.there())
        self.claims.start()

    def test_store_away_at_the_claim(self) -> None:
        """A claim made while the store is away settles when it is back."""
        self.store.is_away = True
        claim = self.put()
        self.assertEqual((claim.is_settled, self.claims.is_failing), (False, True))
        self.store.is_away = False
        self.clock.pump([1, 0])
        self.assertEqual((self.there(), self.claims.is_failing), (encode(EDGE), False))

    def test_store_away_at_the_release(self) -> None:
        """A release while the store is away is made good when it is back."""
        claim = self.put()
        self.store.is_away = True
        self.after_a_turn(claim.release())
        self.assertIsNotNone(self.there())
        self.store.is_away = False
        self.clock.pump([1, 0])
        self.assertIsNone(self.there())

    def test_store_away_for_a_while(self) -> None:
        """Keep-alives that fail are tried again before the lease is over."""
        self.put()
        self.clock.pump([1] * 9)
        self.store.is_away = True
        self.clock.pump([1] * 15)
        self.store.is_away = False
        self.clock.pump([1] * TTL)
        self.assertEqual((self.there(), self.claims.is_failing), (encode(EDGE), False))

    def test_value_that_is_too_large(self) -> None:
        """A value that the registry cannot hold fails alone, and what was claimed with it is there."""
        large = replace(EDGE, name="large", addresses=("x" * MAX_VALUE_BYTES,))
        (claim, _), (other, _) = self.claims.put(large), self.claims.put(EDGE)
        self.clock.advance(0)
        self.assertEqual((claim.is_settled, other.is_settled), (False, True))
        self.assertEqual(self.there(), encode(EDGE))
        claim.release()
        self.clock.pump([1] * TTL)
        self.assertFalse(self.claims.is_failing)

    def test_stop_releases_everything(self) -> None:
        """Stopping takes every value out, also what was claimed in the same turn."""
        self.put()
        for number in range(BATCH + 1):
            self.claims.put(tunnel(number))
        self.stop()
        self.assertEqual(self.successResultOf(self.store.range("warp/")).items, ())

    def test_stop_while_the_store_is_away(self) -> None:
        """A store that is away keeps nobody from stopping; its lease ends by itself."""
        self.put()
        self.store.is_away = True
        self.stop()
        self.store.is_away = False
        self.clock.advance(TTL)
        self.assertIsNone(self.there())
