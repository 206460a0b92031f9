"""Tests of what is kept for the issuing process, in a registry in memory."""

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import warp_twisted.edge.acme.kept as module
from tests.edge.acme.acme_registry import NOW, ZONE, AcmeEdge
from tests.self_signed import self_signed
from warp_twisted.acme.door import Account, Certificate, Order
from warp_twisted.acme.sealing import open_sealed
from warp_twisted.edge.acme.sealing_key import FILE
from warp_twisted.edge.errors import CertificateUnknown, EdgeError
from warp_twisted.registry.acme.records import CERTIFICATES, LOCK
from warp_twisted.registry.memory import MemoryStore

NAMES = (ZONE, f"*.{ZONE}")
T = TypeVar("T")


class KeptTests(SynchronousTestCase):
    """One registry, and two edges."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.directory = Path(self.mktemp())
        self.edge, self.other = (self.make(name) for name in ("edge1", "edge2"))
        self.kept = self.edge.kept

    def make(self, name: str) -> AcmeEdge:
        """Return an edge that has joined."""
        edge = AcmeEdge(name, self.store, self.clock, self.directory / name)
        edge.start()
        edge.join()
        self.clock.advance(0)
        return edge

    def done(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what a call comes to."""
        result = self.successResultOf(Deferred.fromCoroutine(work))
        self.clock.pump([0, 0])
        return result

    def failed(self, work: Coroutine[Any, Any, object], kind: type[Exception]) -> str:
        """Return why a call fails."""
        return str(self.failureResultOf(Deferred.fromCoroutine(work), kind).value)

    def issued(self, name: str = ZONE) -> Certificate:
        """Return a certificate."""
        _, pem, key = self_signed(name, [name])
        order = Order(name=name, names=(name,), step="issued", expires_at=NOW + 100)
        return Certificate(chain=pem.decode(), key=key.decode(), order=order)

    def private(self, edge: str) -> bytes:
        """Return an edge's key, as the process reads it."""
        return (self.directory / edge / FILE).read_bytes()

    def test_the_view(self) -> None:
        """What is wanted and by whom it is to be ordered, from the first moment on."""
        view = self.done(self.kept.view())
        self.assertEqual((view.edge, view.zone, view.wanted), ("edge1", ZONE, (NAMES,)))
        (server,) = view.nameservers
        self.assertEqual((server.name, server.addresses), (f"ns1.{ZONE}", ("192.0.2.1:53",)))
        self.assertEqual((view.account, view.orders, view.settings.directory), (None, (), "letsencrypt"))

    def test_the_account(self) -> None:
        """Its key comes out sealed, and any edge's process opens it."""
        self.done(self.kept.keep_account(Account(directory="https://ca/", url="u", issuers=("ca",), secret="pem")))
        for edge in (self.edge, self.other):
            account = self.done(edge.kept.view()).account
            assert account is not None
            self.assertEqual((account.url, account.issuers, account.secret), ("u", ("ca",), ""))
            self.assertEqual(open_sealed(self.private(edge.name), account.sealed, "account"), "pem")
        self.done(self.kept.keep_account(Account(directory="https://ca/")))
        account = self.done(self.kept.view()).account
        assert account is not None
        self.assertEqual(account.sealed, "")

    def test_orders(self) -> None:
        """An order is kept with its secret, and is read back as it was at any edge."""
        order = Order(name=ZONE, names=NAMES, step="ordered", url="https://ca/1", secret="pem", failures=2, error="why")
        self.done(self.kept.keep_order(order))
        (read,) = self.done(self.other.kept.view()).orders
        self.assertEqual(replace(read, sealed=""), replace(order, secret=""))
        self.assertEqual(open_sealed(self.private("edge2"), read.sealed, f"order {ZONE}"), "pem")
        self.assertEqual([each.error for each in self.other.kept.orders()], ["why"])

    def test_a_certificate(self) -> None:
        """It is in force with its order, at once or not at all."""
        certificate = self.issued()
        self.done(self.kept.take_certificate(ZONE, certificate))
        kept = self.other.mirror.ordered_certificates[ZONE]
        keys = {edge.key.open(kept, edge.name) for edge in (self.edge, self.other)}
        self.assertEqual(keys, {certificate.key})
        self.assertIn("BEGIN CERTIFICATE", self.other.kept.chain(ZONE))
        (order,) = self.done(self.kept.view()).orders
        self.assertEqual(order.step, "issued")
        self.assertRaises(CertificateUnknown, self.kept.chain, "other.example")

    def test_a_certificate_that_is_refused(self) -> None:
        """A key of another certificate, or another name, changes nothing."""
        wrong = replace(self.issued(), key=self.issued().key)
        self.assertIn("cannot be used", self.failed(self.kept.take_certificate(ZONE, wrong), ValueError))
        other = self.issued("other.example")
        self.assertIn("order.name", self.failed(self.kept.take_certificate(ZONE, other), ValueError))
        self.assertEqual(self.successResultOf(self.store.range(CERTIFICATES)).items, ())

    def test_wishes(self) -> None:
        """An operator has a certificate ordered anew, or revoked; what else is kept of it stays."""
        order = Order(name=ZONE, names=NAMES, step="issued", renew_at=NOW + 50, not_before=NOW + 9, secret="pem")
        self.done(self.kept.keep_order(order))
        wished = self.done(self.other.kept.wish(ZONE, revoke=False))
        self.assertEqual((wished.renew_at, wished.not_before, wished.revoke), (0.0, 0.0, False))
        self.assertTrue(self.done(self.kept.wish(ZONE, revoke=True)).revoke)
        self.assertTrue(self.done(self.kept.wish(ZONE, revoke=False)).revoke)
        (read,) = self.done(self.kept.view()).orders
        self.assertEqual(open_sealed(self.private("edge1"), read.sealed, f"order {ZONE}"), "pem")
        self.assertIn("other.example", self.failed(self.kept.wish("other.example", revoke=False), CertificateUnknown))

    def test_the_lock(self) -> None:
        """One edge orders; another as soon as that one is gone, or gives way."""
        self.assertTrue(self.done(self.kept.lock("edge1", 30.0)))
        self.assertTrue(self.done(self.kept.lock("edge1", 30.0)))
        self.assertFalse(self.done(self.other.kept.lock("edge2", 30.0)))
        for _ in range(3):
            self.clock.advance(20.0)
            self.assertTrue(self.done(self.kept.lock("edge1", 30.0)))
            self.assertFalse(self.done(self.other.kept.lock("edge2", 30.0)))
        self.clock.advance(31.0)
        self.assertTrue(self.done(self.other.kept.lock("edge2", 30.0)))
        self.assertFalse(self.done(self.kept.lock("edge1", 30.0)))
        self.done(self.other.kept.unlock())
        self.assertTrue(self.done(self.kept.lock("edge1", 30.0)))
        self.assertIsNotNone(self.successResultOf(self.store.get(LOCK)))

    def test_the_lock_after_a_restart(self) -> None:
        """An edge that is started again has the lock that it had."""
        self.assertTrue(self.done(self.kept.lock("edge1", 30.0)))
        again = self.make("edge1")
        self.assertTrue(self.done(again.kept.lock("edge1", 30.0)))
        self.clock.advance(20.0)
        self.assertTrue(self.done(again.kept.lock("edge1", 30.0)))
        self.clock.advance(20.0)
        self.assertFalse(self.done(self.other.kept.lock("edge2", 30.0)))

    def test_what_is_forgotten(self) -> None:
        """What is not wanted any more goes a week after its end, with its certificate; what is wanted stays."""
        self.edge.wanted = (("old.example",),)
        self.done(self.kept.take_certificate("old.example", self.issued("old.example")))
        self.edge.wanted = (NAMES,)
        order = Order(name=ZONE, names=NAMES)
        self.done(self.kept.keep_order(order))
        self.assertIn("old.example", self.edge.mirror.ordered_certificates)
        self.edge.wall.set(NOW + 101 + module.FORGOTTEN_SECONDS)
        self.done(self.kept.keep_order(order))
        self.assertEqual([each.name for each in self.done(self.kept.view()).orders], [ZONE])
        self.assertEqual(self.edge.mirror.ordered_certificates, {})

    def test_at_most(self) -> None:
        """There is a bound; what is kept may change beyond it."""
        self.patch(module, "MAX_ORDERS", 1)
        self.done(self.kept.keep_order(Order(name=ZONE, names=NAMES)))
        self.done(self.kept.keep_order(Order(name=ZONE, names=NAMES, failures=1)))
        other = Order(name="b.example", names=("b.example",))
        self.assertIn("which is most", self.failed(self.kept.keep_order(other), EdgeError))
