"""Tests for `agent.identity.credentials`."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.errors import StateBroken, StateInUse
from warp_twisted.agent.identity.credentials import Credentials
from warp_twisted.agent.identity.state import StateDirectory, identity_of
from warp_twisted.ca.errors import BadCertificate
from warp_twisted.ca.issue import Issuer, issue_agent, issue_intermediate, issue_root, new_key, to_pem, utc
from warp_twisted.names import HostnamePattern

NOW = 1_800_000_000.0
DAY = 86400.0
Result = TypeVar("Result")


def make_fleet() -> tuple[str, Issuer]:
    """Return a root as PEM, and the intermediate of an edge under it."""
    root_key, edge_key = new_key(), new_key()
    root = Issuer(issue_root(root_key, "warp.example", utc(NOW)), root_key)
    certificate = issue_intermediate(root, edge_key.public_key(), "edge1", utc(NOW))
    return to_pem(root.certificate), Issuer(certificate, edge_key, (certificate,))


class CredentialsTestCase(SynchronousTestCase):
    """A fleet, a state directory and an identity in it."""

    def setUp(self) -> None:
        self.key = new_key()
        self.root_pem, self.issuer = make_fleet()
        self.state = StateDirectory(Path(self.mktemp()))
        self.identity = identity_of(self.chain(self.issuer), self.root_pem, ["192.0.2.1:7844"], self.key.public_key())
        self.state.store(self.key, self.identity)
        self.credentials = Credentials(self.state, self.identity)
        self.addCleanup(self.credentials.close)

    def chain(self, issuer: Issuer, at: float = NOW) -> str:
        """Return a certificate of ours, and its issuer."""
        patterns = [HostnamePattern.parse("app.warp.example")]
        certificate = issue_agent(issuer, self.key.public_key(), "a-1", patterns, utc(at), timedelta(days=1))
        return to_pem(certificate, *issuer.chain)

    def write_roots(self, text: str) -> None:
        """Write what the operator trusts now."""
        (self.state.path / "root.pem").write_text(text)


class CredentialsTests(CredentialsTestCase):
    """What is due, and which roots are trusted."""

    def test_renewal_is_due_at_half_life(self) -> None:
        """A certificate is renewed when half of its life is over, and ends when all of it is."""
        self.assertFalse(self.credentials.should_renew(NOW + DAY / 2 - 2400))
        self.assertTrue(self.credentials.should_renew(NOW + DAY / 2 + 600))
        self.assertTrue(self.credentials.is_valid_at(NOW + DAY - 600))
        self.assertFalse(self.credentials.is_valid_at(NOW + DAY + 1))
        self.assertFalse(self.credentials.is_valid_at(NOW - DAY))

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
        self.successResultOf(self.credentials.renew(self.chain(next_issuer)))
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


class DiskTests(CredentialsTestCase):
    """A disk that takes long: nothing that an edge says waits for it, and not much waits."""

    def setUp(self) -> None:
        super().setUp()
        self.works: list[Callable[[], None]] = []
        self.slow = Credentials(self.state, self.identity, self.in_thread)

    def in_thread(self, work: Callable[[], Result], /) -> Deferred[Result]:
        """Keep the work until the test lets it be done."""
        done: Deferred[Result] = Deferred()
        self.works.append(lambda: done.callback(work()))
        return done

    def work(self) -> None:
        """Let the disk do one thing."""
        self.works.pop(0)()

    def test_edges(self) -> None:
        """However often edges change meanwhile, what is kept is what was said last, with one more write."""
        first = self.slow.remember_edges(["a:1"])
        for number in range(100):
            self.slow.remember_edges([f"b:{number}"])
        self.assertEqual((len(self.works), self.slow.identity.seen_edges), (1, ("b:99",)))
        self.assertNoResult(first)
        self.work()
        self.successResultOf(first)
        self.assertEqual(len(self.works), 1)
        self.work()
        self.assertEqual((self.works, self.state.load().seen_edges), ([], ("b:99",)))
        self.successResultOf(self.slow.remember_edges(["b:99"]))
        self.assertEqual(self.works, [])

    def test_renew(self) -> None:
        """The old certificate is used until the new one is stored; what was learned meanwhile is kept."""
        before = self.slow.context
        renewing = self.slow.renew(self.chain(self.issuer, NOW + 3600))
        self.slow.remember_edges(["c:1"])
        self.assertIs(self.slow.context, before)
        self.work()
        self.successResultOf(renewing)
        self.assertIsNot(self.slow.context, before)
        self.assertEqual(self.slow.identity.seen_edges, ("c:1",))
        self.assertGreater(self.slow.identity.valid_until, self.identity.valid_until)
        self.work()
        self.assertEqual(self.state.load(), self.slow.identity)

    def test_close(self) -> None:
        """The directory is let go when the last write is done."""
        self.slow.remember_edges(["a:1"])
        closing = self.slow.close()
        self.assertRaises(StateInUse, StateDirectory, self.state.path)
        self.work()
        self.successResultOf(closing)
        StateDirectory(self.state.path).close()

    def test_failures_are_told(self) -> None:
        """What cannot be stored is told, and the next write is tried."""
        self.assertIsInstance(self.failureResultOf(self.credentials.renew("no PEM")).value, BadCertificate)
        away = self.state.path.with_name("away")
        self.state.path.rename(away)
        self.assertIsInstance(self.failureResultOf(self.credentials.remember_edges(["a:1"])).value, StateBroken)
        away.rename(self.state.path)
        self.successResultOf(self.credentials.remember_edges(["a:2"]))
        self.assertEqual(self.state.load().seen_edges, ("a:2",))
