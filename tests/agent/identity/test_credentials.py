"""Tests for `agent.identity.credentials`."""

from datetime import timedelta
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.errors import StateBroken
from warp_twisted.agent.identity.credentials import Credentials
from warp_twisted.agent.identity.state import StateDirectory, identity_of
from warp_twisted.ca.issue import Issuer, issue_agent, issue_intermediate, issue_root, new_key, to_pem, utc
from warp_twisted.names import HostnamePattern

NOW = 1_800_000_000.0
DAY = 86400.0


def make_fleet() -> tuple[str, Issuer]:
    """Return a root as PEM, and the intermediate of an edge under it."""
    root_key, edge_key = new_key(), new_key()
    root = Issuer(issue_root(root_key, "warp.example", utc(NOW)), root_key)
    certificate = issue_intermediate(root, edge_key.public_key(), "edge1", utc(NOW))
    return to_pem(root.certificate), Issuer(certificate, edge_key, (certificate,))


class CredentialsTests(SynchronousTestCase):
    """Tests for `Credentials`."""

    def setUp(self) -> None:
        self.key = new_key()
        self.root_pem, self.issuer = make_fleet()
        self.state = StateDirectory(Path(self.mktemp()))
        identity = identity_of(self.chain(self.issuer), self.root_pem, ["192.0.2.1:7844"], self.key.public_key())
        self.state.store(self.key, identity)
        self.credentials = Credentials(self.state, identity)
        self.addCleanup(self.credentials.close)

    def chain(self, issuer: Issuer, at: float = NOW) -> str:
        """Return a certificate of ours, and its issuer."""
        patterns = [HostnamePattern.parse("app.warp.example")]
        certificate = issue_agent(issuer, self.key.public_key(), "a-1", patterns, utc(at), timedelta(days=1))
        return to_pem(certificate, *issuer.chain)

    def write_roots(self, text: str) -> None:
        """Write what the operator trusts now."""
        (self.state.path / "root.pem").write_text(text)

    def test_renewal_is_due_at_half_life(self) -> None:
        """A certificate is renewed when half of its life is over, and ends when all of it is."""
        self.assertFalse(self.credentials.should_renew(NOW + DAY / 2 - 600))
        self.assertTrue(self.credentials.should_renew(NOW + DAY / 2 + 600))
        self.assertFalse(self.credentials.has_expired(NOW + DAY - 600))
        self.assertTrue(self.credentials.has_expired(NOW + DAY + 1))

    def test_same_roots_change_nothing(self) -> None:
        """Reading the roots again without a change is not a reason to renew."""
        before = self.credentials.context
        self.assertFalse(self.credentials.reread_roots())
        self.assertIs(self.credentials.context, before)
        self.assertFalse(self.credentials.should_renew(NOW))

    def test_other_roots_are_trusted_and_renewal_is_due(self) -> None:
        """With both roots in the file both are trusted, and a certificate is asked for until one has come."""
        next_root, next_issuer = make_fleet()
        self.write_roots(self.root_pem + next_root)
        self.assertTrue(self.credentials.reread_roots())
        self.assertEqual(len(self.credentials.context.get_ca_certs()), 2)
        self.assertTrue(self.credentials.should_renew(NOW))
        self.credentials.renew(self.chain(next_issuer))
        self.assertFalse(self.credentials.should_renew(NOW))
        self.assertEqual(self.credentials.identity.root_pem, self.root_pem + next_root)
        self.assertEqual(self.state.load().root_pem, self.root_pem + next_root)

    def test_roots_that_are_none_are_refused(self) -> None:
        """A file that is missing, empty or no certificate is refused, and the old roots stay."""
        for text in ("", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
            self.write_roots(text)
            self.assertRaises(StateBroken, self.credentials.reread_roots)
        (self.state.path / "root.pem").unlink()
        self.assertRaises(StateBroken, self.credentials.reread_roots)
        self.assertEqual(self.credentials.identity.root_pem, self.root_pem)
        self.assertFalse(self.credentials.should_renew(NOW))
