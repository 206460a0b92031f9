"""Tests of the parts that order certificates at one edge; the process is a fake, and the registry is in memory."""

from pathlib import Path
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred, execute, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from tests.edge.acme.acme_registry import NOW, ZONE
from tests.edge.acme.test_in_use import FakeShows
from warp_twisted.acme.door import Account, Order
from warp_twisted.edge.acme.ordering import Ordering
from warp_twisted.edge.acme.sealing_key import SealingKey
from warp_twisted.edge.acme.settings import AcmeSettings
from warp_twisted.edge.errors import CertificateUnknown
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror

NAMES = (ZONE, f"*.{ZONE}")


class FakeProcess:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def start(self) -> None:
        """Note it."""
        self.told.append("start")

    def look(self) -> None:
        """Note it."""
        self.told.append("look")

    def stop(self) -> Deferred[None]:
        """Note it."""
        self.told.append("stop")
        return succeed(None)


class OrderingTests(SynchronousTestCase):
    """One edge."""

    def setUp(self) -> None:
        self.clock: Any = Clock()
        store = MemoryStore(self.clock)
        mirror = Mirror(store, self.clock)
        state = Path(self.mktemp())
        state.mkdir()
        self.process = FakeProcess()
        self.settings = AcmeSettings(email="ops@warp.example")
        reactor: Any = self.clock
        self.ordering = Ordering(
            reactor,
            SettableWallClock(NOW),
            "edge1",
            ZONE,
            lambda: self.settings,
            key=SealingKey(state),
            process=self.process,
            store=store,
            mirror=mirror,
            shows=FakeShows(),
            in_thread=execute,
            nameservers=dict,
            changed=lambda: None,
        )
        self.done(mirror.start())
        self.ordering.start()
        self.addCleanup(self.ordering.stop)

    def done(self, work: Any) -> Any:
        """Return what a call comes to."""
        result = self.successResultOf(Deferred.fromCoroutine(work))
        self.clock.pump([0, 0])
        return result

    def certificates(self) -> list[dict[str, Any]]:
        """Return those that are described."""
        described: Any = self.ordering.described()
        found: list[dict[str, Any]] = described["certificates"]
        return found

    def test_before_the_first_order(self) -> None:
        """What is wanted is shown, with the same keys as later."""
        (wanted,) = self.certificates()
        self.assertEqual((wanted["name"], wanted["names"], wanted["state"]), (ZONE, list(NAMES), "wanted"))
        self.done(self.ordering.kept.keep_order(Order(name=ZONE, names=NAMES)))
        (begun,) = self.certificates()
        self.assertEqual((begun["state"], begun.keys()), ("begun", wanted.keys()))

    def test_described(self) -> None:
        """Account, authority, and how each order stands; what is not wanted any more, too."""
        account = Account(directory="https://ca/", url="https://ca/acct/1", secret="s3cr3t")
        self.done(self.ordering.kept.keep_account(account))
        old = Order(name="old.example", names=("old.example",), error="why", failures=2)
        self.done(self.ordering.kept.keep_order(old))
        described: Any = self.ordering.described()
        self.assertEqual((described["account"], described["email"]), ("https://ca/acct/1", "ops@warp.example"))
        first, second = described["certificates"]
        self.assertEqual((first["error"], first["failures"], first["is_wanted"]), ("why", 2, False))
        self.assertTrue(second["is_wanted"])
        self.assertNotIn("s3cr3t", str(described))

    def test_wishes(self) -> None:
        """The process is told to look."""
        order = Order(name=ZONE, names=NAMES, renew_at=NOW)
        self.failureResultOf(Deferred.fromCoroutine(self.ordering.renew("")), CertificateUnknown)
        self.done(self.ordering.kept.keep_order(order))
        (renewed,) = self.done(self.ordering.renew(""))
        self.assertEqual((renewed["name"], renewed["renew_at"]), (ZONE, 0.0))
        self.assertTrue(self.done(self.ordering.revoke(ZONE))["revoke"])
        self.assertEqual(self.process.told, ["start", "look", "look"])

    def test_stopped(self) -> None:
        """The process ends, and nobody is told to look any more."""
        self.successResultOf(self.ordering.stop())
        self.successResultOf(self.ordering.stop())
        self.ordering.look()
        self.assertEqual(self.process.told, ["start", "stop"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_metrics(self) -> None:
        """Ends and failures are there for each certificate."""
        order = Order(name=ZONE, names=NAMES, expires_at=NOW + 5, failures=3)
        self.done(self.ordering.kept.keep_order(order))
        samples = {sample.name: sample.value for family in self.ordering.collect() for sample in family.samples}
        self.assertEqual(
            samples,
            {"warp_edge_acme_certificate_expires_timestamp_seconds": NOW + 5, "warp_edge_acme_order_failures": 3},
        )

    def test_a_failure_is_said_once(self) -> None:
        """The reason is in the log of each edge, once until it changes."""
        order = Order(name=ZONE, names=NAMES, error="the authority is away", failures=1)
        with capturedLogs() as logged:
            for each in (order, replace(order, failures=2), replace(order, error=""), order):
                self.done(self.ordering.kept.keep_order(each))
        self.assertEqual([event["error"] for event in logged if "error" in event], ["the authority is away"] * 2)
