"""Tests for warp_twisted.acme.issuing: certificates that are there are renewed, replaced and revoked."""

from cryptography import x509
from msgspec.structs import replace

from tests.acme.fake_directory import problem
from tests.acme.fake_directory_server import Fault
from tests.acme.issuing_case import IssuingCase
from warp_twisted.acme.issuing import AWAY_SECONDS


class RenewalTests(IssuingCase):
    """A certificate is replaced in time."""

    def test_third_of_its_life(self) -> None:
        """Without ARI it is renewed when a third of its life is left, and the certificate in force stays until then."""
        self.issuing().look()
        first = self.door.certificates["warp.example"]
        self.later(self.order.renew_at - self.wall.now() - 7 * 3600)
        self.issuing().look()
        self.assertIs(self.door.certificates["warp.example"], first)
        self.later(7 * 3600 + 1)
        self.issuing().look()
        self.assertIsNot(self.door.certificates["warp.example"], first)
        self.assertNotEqual(self.door.certificates["warp.example"].key, first.key)

    def test_window(self) -> None:
        """With ARI it is renewed within the window, and the order names the certificate that it replaces."""
        self.directory.window = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
        self.wall.set(1767139200.0)  # 2025-12-31
        self.issuing().look()
        self.assertEqual(self.order.renew_at, 1767225600.0 + 43200)
        self.assertEqual(self.order.ask_window_at, self.wall.now() + 3600)
        replaced = self.order.certificate
        self.wall.set(self.order.renew_at - 1)
        self.issuing().look()
        self.assertEqual(self.order.certificate, replaced)
        self.wall.set(self.order.renew_at)
        self.directory.window = ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")
        self.issuing().look()
        self.assertEqual([each.replaces for each in self.directory.orders.values()], [None, replaced])
        self.assertNotEqual(self.order.certificate, replaced)

    def test_window_moves(self) -> None:
        """A window that moves to the past, as after a mass revocation, has the certificate renewed at once."""
        self.directory.window = ("2036-01-01T00:00:00Z", "2036-01-02T00:00:00Z")
        self.issuing().look()
        first = self.order.certificate
        self.directory.window = ("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z")
        self.later(3601)
        self.server.faults["renewalInfo"] = Fault(problem("serverInternal", "on fire", 503))
        self.assertEqual(self.issuing().look(), AWAY_SECONDS)
        self.assertEqual((self.order.certificate, self.order.error), (first, ""))
        self.later(3601)
        self.directory.replaced.add(first)  # and it is replaced already: ordered without saying what it replaces
        self.server.faults["renewalInfo"] = Fault(times=0)
        issuing = self.issuing()

        def only_once(what: str) -> None:
            if what == "certificate":
                self.directory.window = ("2036-01-01T00:00:00Z", "2036-01-02T00:00:00Z")

        self.door.happened = only_once
        issuing.look()
        self.assertNotEqual(self.order.certificate, first)
        self.assertEqual([each.replaces for each in self.directory.orders.values()], [None, None])

    def test_renewal_fails(self) -> None:
        """A renewal that fails leaves the certificate in force, and is tried again."""
        self.issuing().look()
        first, expires_at = self.door.certificates["warp.example"], self.order.expires_at
        self.directory.validate = lambda *proof: False
        self.wall.set(self.order.renew_at)
        self.issuing().look()
        self.assertEqual((self.order.step, self.order.expires_at), ("failed", expires_at))
        self.assertIs(self.door.certificates["warp.example"], first)
        self.directory.validate = self.door.validates
        self.later(100)
        self.issuing().look()
        self.assertIsNot(self.door.certificates["warp.example"], first)

    def test_other_names(self) -> None:
        """A certificate whose names are not those that are wanted is ordered anew."""
        self.issuing().look()
        self.door.wanted = (("warp.example", "*.warp.example", "*.deep.warp.example"),)
        self.issuing().look()
        self.assertEqual(self.order.names, self.door.wanted[0])
        self.assertEqual(self.order.step, "issued")

    def test_revoked(self) -> None:
        """A certificate that an operator wants revoked is, and another one with another key is ordered."""
        self.issuing().look()
        first = self.door.certificates["warp.example"]
        self.door.orders["warp.example"] = replace(self.order, revoke=True)
        self.issuing().look()
        serial = x509.load_pem_x509_certificates(first.chain.encode())[0].serial_number
        self.assertEqual(self.directory.revoked, [serial])
        self.assertNotEqual(self.door.certificates["warp.example"].key, first.key)
        self.assertFalse(self.order.revoke)

    def test_revocation_refused(self) -> None:
        """A revocation that is refused is tried again, and the certificate stays as it is."""
        self.issuing().look()
        self.server.faults["revokeCert"] = Fault(problem("unauthorized", "not yours", 403))
        self.door.orders["warp.example"] = replace(self.order, revoke=True)
        self.issuing().look()
        self.assertEqual((self.order.step, self.order.revoke), ("issued", True))
        self.assertIn("not yours", self.order.error)
        self.later(61)
        self.issuing().look()
        self.assertEqual((len(self.directory.revoked), self.order.error), (1, ""))


class ClockTests(IssuingCase):
    """A clock that is wrong leaves nothing that needs a hand."""

    def test_clock_of_the_future(self) -> None:
        """What failed while the clock was ten years ahead is tried again as soon as it is right."""
        now = self.wall.now()
        self.wall.set(now + 10 * 365 * 86400)
        self.server.faults["newOrder"] = Fault(problem("unauthorized", "not now", 403))
        self.issuing().look()
        self.assertEqual(self.order.step, "failed")
        self.wall.set(now)
        self.issuing().look()
        self.assertEqual(self.order.step, "issued")
