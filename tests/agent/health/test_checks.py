"""Tests of `warp_twisted.agent.health.checks`."""

from collections.abc import Callable, Hashable, Mapping
from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.health.test_probe import Endpoint
from warp_twisted.agent.health.answer import GOOD, Answer
from warp_twisted.agent.health.checks import FIRST_SECONDS, SPREAD_SECONDS, Begin, Check, Checks
from warp_twisted.agent.health.probe import Probe
from warp_twisted.agent.health.settings import Health

HEALTH = Health(path="/", interval=10.0, timeout=2.0, rise=2, fall=3)


class ChecksTests(SynchronousTestCase):
    """Probes at intervals."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.checks = Checks(self.clock, Random(1))
        self.begun: list[tuple[str, float]] = []
        self.ends: dict[str, Callable[[str], None]] = {}
        self.under_way: dict[str, Probe] = {}
        self.changed: list[tuple[str, bool, str]] = []

    def wish(self, *names: str, health: Health = HEALTH) -> Mapping[object, Check]:
        """Check these origins from now on."""

        def begin(name: str) -> Callable[[Callable[[str], None]], Probe]:
            def beginning(done: Callable[[str], None]) -> Probe:
                self.begun.append((name, self.clock.seconds()))
                self.ends[name] = done
                self.under_way[name] = Probe(
                    self.clock, Endpoint(), tls=False, timeout=health.timeout_seconds, request=None,
                    answer=Answer(health), explain=str, done=done,
                )  # fmt: skip
                return self.under_way[name]

            return beginning

        wanted: dict[Hashable, tuple[str, Health, Begin]] = {
            (name, health): (name, health, begin(name)) for name in names
        }
        return self.checks.replace(
            wanted, lambda check: self.changed.append((check.text, check.is_healthy, check.detail))
        )

    def probe(self, name: str, verdict: str) -> None:
        """Wait for the next probe of an origin, and let it end."""
        begun = len(self.begun)
        while not any(each == name for each, _ in self.begun[begun:]):
            self.clock.advance(0.25)
        self.under_way[name].cancel()
        self.ends[name](verdict)

    def test_spread(self) -> None:
        """A hundred origins are not probed in one turn, and later drift apart."""
        self.wish(*(f"o{number}" for number in range(100)))
        self.assertEqual(self.begun, [])
        self.checks.start()
        for _ in range(40):
            self.clock.advance(FIRST_SECONDS / 40)
        self.assertEqual(len(self.begun), 100)
        firsts = [at for _, at in self.begun]
        self.assertLess(max(firsts.count(at) for at in firsts), 10)
        for _ in range(400):
            self.clock.advance(0.05)
        seconds = dict(self.begun[100:200])
        gaps = {name: seconds[name] - at for name, at in self.begun[:100]}
        self.assertTrue(all(8.9 < gap < 11.1 for gap in gaps.values()), gaps)
        self.assertGreater(max(gaps.values()) - min(gaps.values()), 1.0)

    def test_few(self) -> None:
        """A single origin is probed at once."""
        self.wish("a")
        self.checks.start()
        self.clock.advance(SPREAD_SECONDS)
        self.assertEqual(len(self.begun), 1)

    def test_changes(self) -> None:
        """Changes of the verdict are told, with the reason; a first good probe is none."""
        check = self.wish("a")["a", HEALTH]
        self.checks.start()
        self.probe("a", GOOD)
        for _ in range(2):
            self.probe("a", "it answers 500")
        self.assertEqual(self.changed, [])
        self.probe("a", "it answers 500")
        self.assertEqual(self.changed, [("a", False, "it answers 500")])
        self.probe("a", GOOD)
        self.probe("a", GOOD)
        self.assertEqual(self.changed[1:], [("a", True, "")])
        self.assertEqual((check.probes, check.failures), (6, 3))

    def test_first_failure(self) -> None:
        """An application that is not there when its agent starts counts as unhealthy after one probe."""
        self.wish("a")
        self.checks.start()
        self.probe("a", "connection refused")
        self.assertEqual(self.changed, [("a", False, "connection refused")])

    def test_one_at_a_time(self) -> None:
        """The next probe waits for its time, and while one is under way none is begun."""
        self.wish("a", health=Health(tcp=True, interval=1.0, timeout=1.0))
        self.checks.start()
        for _ in range(200):
            self.clock.advance(0.05)
            self.assertLessEqual(len(self.clock.getDelayedCalls()), 2 + 1)
        self.assertGreaterEqual(len(self.begun), 4)

    def test_replaced(self) -> None:
        """A check that stays goes on with what it knows; one that goes is not told of any more."""
        before = self.wish("a", "b")
        self.checks.start()
        self.probe("a", "no")
        after = self.wish("a")
        self.assertIs(after["a", HEALTH], before["a", HEALTH])
        self.assertFalse(after["a", HEALTH].is_healthy)
        self.assertEqual(self.checks.count, 1)
        begun = len(self.begun)
        self.clock.pump([1.0] * 30)
        self.assertEqual({name for name, _ in self.begun[begun:]}, {"a"})
        fresh = self.wish("a", health=Health(path="/other"))
        self.assertTrue(fresh["a", Health(path="/other")].is_healthy)

    def test_stop(self) -> None:
        """Nothing is left on the clock, also while a probe is under way."""
        self.wish("a", "b")
        self.checks.start()
        while not self.begun:
            self.clock.advance(0.05)
        self.checks.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
