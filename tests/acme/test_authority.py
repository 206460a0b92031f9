"""Tests for warp_twisted.acme.authority; tests.acme.test_issuing says what comes of its answers."""

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.acme.fake_directory import Answer, problem
from tests.acme.fake_directory_server import FakeDirectoryServer, Fault
from warp_twisted.acme.authority import MAX_AUTHORIZATIONS, Authority
from warp_twisted.acme.certificates import leaf_of, load_key, new_key
from warp_twisted.acme.door import ExternalAccount
from warp_twisted.acme.errors import AuthorityAway, AuthorityFailed, CannotOrder


class AuthorityTests(SynchronousTestCase):
    """An authority's answers and errors."""

    def setUp(self) -> None:
        self.server = FakeDirectoryServer(self)
        self.key = load_key(new_key())

    def authority(self) -> Authority:
        """Return the authority, with a new account."""
        authority = Authority(self.server.url, str(self.server.root), self.key)
        self.addCleanup(authority.close)
        authority.register("hostmaster@warp.example", None)
        return authority

    def test_registered_again(self) -> None:
        """A key that has an account finds it."""
        first = self.authority()
        self.assertEqual(first.register("", None), first.register("other@warp.example", None))
        self.assertEqual(len(self.server.directory.accounts), 1)

    def test_problem(self) -> None:
        """A problem says its kind, its names, those of its parts, and when to come again."""
        part = problem("dns", "no record", identifier={"type": "dns", "value": "*.a.example"}).body
        answer = problem("rejectedIdentifier", "some names", 403, subproblems=[part])
        answer.headers["Retry-After"] = "77"
        self.server.faults["newOrder"] = Fault(answer)
        with self.assertRaises(AuthorityFailed) as caught:
            self.authority().order(["a.example"], "", "")
        error = caught.exception
        self.assertNotIsInstance(error, AuthorityAway)
        self.assertEqual((error.kind, error.retry_seconds), ("rejectedIdentifier", 77))
        self.assertEqual(error.identifiers, {"a.example"})
        self.assertIn("some names; no record (rejectedIdentifier); the authority issues no", str(error))

    def test_away(self) -> None:
        """What the authority has counted nothing for is told apart."""
        authority = self.authority()
        for answer in (problem("serverInternal", "e", 500), Answer(502, b"<html>"), Answer(429, b"slow down")):
            self.server.faults["newOrder"] = Fault(answer)
            with self.assertRaises(AuthorityAway):
                authority.order(["a.example"], "", "")
        with self.assertRaisesRegex(AuthorityAway, "is not reached"):
            Authority("https://127.0.0.1:1/", "", self.key)
        with self.assertRaisesRegex(AuthorityAway, "set acme.root if it is your own, and look at this machine's clock"):
            Authority(self.server.url, "", self.key)

    def test_too_many_proofs(self) -> None:
        """An order with more proofs than there are names is not believed."""
        urls = [f"https://127.0.0.1/{number}" for number in range(MAX_AUTHORIZATIONS + 1)]
        body = {"status": "pending", "authorizations": urls, "finalize": "https://127.0.0.1/"}
        authority = self.authority()
        url = authority.order(["a.example"], "", "")
        self.server.faults["order"] = Fault(Answer(200, body))
        with self.assertRaisesRegex(AuthorityFailed, "more than 200 proofs"):
            authority.order_state(url)

    def test_binding(self) -> None:
        """A file that holds no key for the binding is named by its setting."""
        authority = self.authority()
        file = self.mktemp()
        with open(file, "wb") as key:
            key.write(b"\xff")
        for path in (file, "/nonexistent"):
            with self.assertRaisesRegex(CannotOrder, r"^acme\.eab\.hmac_key_file: "):
                authority.register("", ExternalAccount(key_id="k", hmac_key_file=path))

    def test_revoked_already(self) -> None:
        """A certificate that is revoked already is revoked."""
        authority = self.authority()
        self.server.faults["revokeCert"] = Fault(problem("alreadyRevoked", "it is"))
        leaf = load_leaf(self.server)
        authority.revoke(leaf)
        self.server.faults["revokeCert"] = Fault(problem("unauthorized", "not yours", 403))
        with self.assertRaises(AuthorityFailed):
            authority.revoke(leaf)


def load_leaf(server: FakeDirectoryServer) -> x509.Certificate:
    """Return some certificate."""
    return leaf_of(server.directory.authority.root_pem)
