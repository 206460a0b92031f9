"""Tests for warp_twisted.acme.orders."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.acme.certificates import Issued
from warp_twisted.acme.door import MAX_ERROR_CHARACTERS, Order
from warp_twisted.acme.orders import (
    ACTIONS,
    MAX_PAUSE_SECONDS,
    MAX_POSTPONED,
    Action,
    action_for,
    again_later,
    begun,
    failed,
    finalized,
    issued,
    not_revoked,
    ordered,
    pause_after,
    revoked,
)

NOW = 1_800_000_000.0
NAMES = ("warp.example", "*.warp.example")
NEW = Order(name="warp.example", names=NAMES)
ISSUED = Issued(certificate="a.b", issued_at=NOW, expires_at=NOW + 900.0)


class TableTests(SynchronousTestCase):
    """What is done next."""

    def test_actions(self) -> None:
        """Each status of RFC 8555 has an action, and any other ends the order."""
        self.assertEqual(set(ACTIONS), {"pending", "ready", "processing", "valid", "invalid"})
        self.assertEqual(action_for("of-later"), Action.FAIL)

    def test_pauses(self) -> None:
        """Pauses grow, and four orders at most fall into the first hour; chance lengthens them by up to a quarter."""
        pauses = [pause_after(failures, 0.0) for failures in range(1, 9)]
        self.assertEqual(pauses, sorted(pauses))
        self.assertGreater(sum(pauses[:4]), 3600)
        self.assertEqual(pause_after(1, 1.0), 75.0)


class RecordTests(SynchronousTestCase):
    """How the record changes."""

    def test_life(self) -> None:
        """From before the authority is asked to the certificate; a pause holds until the authority has the order."""
        order = begun(NEW, NAMES, "https://ca.example/", "key", NOW, 0.0)
        self.assertEqual((order.step, order.failures, order.not_before), ("begun", 1, NOW + 60))
        order = ordered(order, "https://ca.example/order/1")
        self.assertEqual((order.step, order.secret, order.not_before), ("ordered", "key", 0.0))
        order = issued(finalized(order), ISSUED, NOW + 600, NOW + 1)
        self.assertEqual((order.step, order.secret, order.url, order.failures), ("issued", "", "", 0))
        self.assertEqual((order.renew_at, order.certificate, order.error), (NOW + 600, "a.b", ""))

    def test_due_at_once(self) -> None:
        """A certificate that is due as it comes is not ordered again before a day is over, and the reason is said."""
        order = issued(NEW, ISSUED, NOW, NOW + 10)
        self.assertEqual(order.not_before, NOW + 10 + MAX_PAUSE_SECONDS)
        self.assertIn("look at the clock", order.error)

    def test_failed(self) -> None:
        """A failure is put off, its names as well; what was put off before is kept while it lasts, and bounded."""
        order = failed(
            begun(NEW, NAMES, "d", "k", NOW, 0.0), "e" * 5000, NOW, 0.0, identifiers=frozenset(["warp.example"])
        )
        self.assertEqual((order.step, order.secret, order.not_before), ("failed", "", NOW + 60))
        self.assertEqual(len(order.error), MAX_ERROR_CHARACTERS)
        self.assertEqual(order.postponed["warp.example"].until, NOW + 60)
        again = failed(order, "e", NOW + 30, 0.0, identifiers=frozenset(["warp.example", "elsewhere.example"]))
        self.assertEqual(again.postponed["warp.example"].until, NOW + 330)
        self.assertEqual(list(again.postponed), ["warp.example"])
        self.assertEqual(failed(again, "e", NOW + 400, 0.0).postponed, {})
        many = tuple(f"{number}.example" for number in range(MAX_POSTPONED + 50))
        crowd = failed(Order(name=many[0], names=many), "e", NOW, 0.0, identifiers=frozenset(many))
        self.assertEqual(len(crowd.postponed), MAX_POSTPONED)

    def test_retry_after(self) -> None:
        """Retry-After lengthens a pause, up to a day."""
        self.assertEqual(failed(NEW, "e", NOW, 0.0, retry_seconds=7200).not_before, NOW + 7200)
        self.assertEqual(failed(NEW, "e", NOW, 0.0, retry_seconds=1e9).not_before, NOW + MAX_PAUSE_SECONDS)
        self.assertEqual(again_later(NEW, "e", NOW, 1e9).not_before, NOW + MAX_PAUSE_SECONDS)

    def test_revocation(self) -> None:
        """A revoked certificate is ordered anew at once; a refused revocation waits, and the order does not."""
        order = issued(NEW, ISSUED, NOW + 600, NOW)
        gone = revoked(order)
        self.assertEqual((gone.certificate, gone.renew_at, gone.not_before), ("", 0.0, 0.0))
        refused = not_revoked(order, "no", NOW)
        self.assertEqual((refused.revoke_at, refused.not_before), (NOW + 60, order.not_before))
