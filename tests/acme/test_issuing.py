"""Tests for warp_twisted.acme.issuing, against a fake directory by https."""

from cryptography import x509
from msgspec.structs import replace

from tests.acme.fake_directory import Answer, problem
from tests.acme.fake_directory_server import Fault
from tests.acme.issuing_case import IssuingCase
from warp_twisted.acme.door import ExternalAccount, HttpChallenge
from warp_twisted.acme.errors import LockLost, NotYet
from warp_twisted.acme.issuing import AWAY_SECONDS, LOCKED_SECONDS
from warp_twisted.acme.orders import MAX_PAUSE_SECONDS
from warp_twisted.errors import InvalidSettings


class OrderTests(IssuingCase):
    """A certificate is ordered."""

    def test_issued(self) -> None:
        """One certificate has the zone and its wildcard; the record says when to renew it; nothing stays published."""
        self.issuing().look()
        self.assertEqual(self.door.history, ["begun", "ordered", "finalized", "issued", "issued"])
        chain = self.door.certificates["warp.example"].chain
        leaf = x509.load_pem_x509_certificates(chain.encode())[0]
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(set(names.get_values_for_type(x509.DNSName)), {"warp.example", "*.warp.example"})
        life = self.order.expires_at - self.order.issued_at
        self.assertAlmostEqual(self.order.renew_at, self.order.expires_at - life / 3 - life / 60, delta=1)
        self.assertEqual((self.order.error, self.order.failures, self.order.sealed), ("", 0, ""))
        self.assertEqual(self.door.published, [])
        [visible] = self.asked_visible
        self.assertEqual({each.name for each in visible}, {"_acme-challenge.warp.example"})
        self.assertEqual(len({each.value for each in visible}), 2)

    def test_account(self) -> None:
        """The account is registered once, by its contact, and kept with what CAA records need."""
        self.issuing().look()
        [url] = self.directory.accounts
        assert self.door.account is not None
        self.assertEqual((self.door.account.url, self.door.account.issuers), (url, ("fake.example",)))
        self.assertEqual(self.directory.contacts[url], ["mailto:hostmaster@warp.example"])
        self.door.wanted = (*self.door.wanted, ("deeper.warp.example",))
        self.issuing().look()
        self.assertEqual(self.directory.done["newAccount"], 1)
        self.assertEqual(len(self.door.certificates), 2)

    def test_nothing_due(self) -> None:
        """A certificate that is in force is left alone: the authority is not asked."""
        self.issuing().look()
        before = dict(self.directory.done)
        self.assertEqual(self.issuing().look(), 300)
        self.assertEqual(self.directory.done, before)

    def test_outside_of_the_zone(self) -> None:
        """A name outside of the zone is proved by HTTP."""
        self.door.wanted = (("shop.customer.example",),)
        seen: list[object] = []
        validates = self.door.validates

        def see(kind: str, name: str, token: str, value: str) -> bool:
            seen.extend(self.door.published)
            return validates(kind, name, token, value)

        self.directory.validate = see
        self.issuing().look()
        [challenge] = seen
        assert isinstance(challenge, HttpChallenge)
        self.assertEqual(challenge.hostname, "shop.customer.example")
        self.assertTrue(challenge.key_authorization.startswith(f"{challenge.token}."))
        self.assertEqual((self.asked_visible, list(self.door.certificates)), ([], ["shop.customer.example"]))

    def test_no_proof(self) -> None:
        """A wildcard outside of the zone is refused in words: it can be proved by DNS alone."""
        self.door.wanted = (("*.customer.example",),)
        self.issuing().look()
        order = self.door.orders["*.customer.example"]
        self.assertEqual(order.step, "failed")
        self.assertEqual(order.error, "the authority offers no http-01 for customer.example, which is not in the zone")

    def test_visible_first(self) -> None:
        """The authority looks only when all name servers have the value; until then the order waits, and goes on."""

        def not_yet() -> None:
            raise NotYet("not every name server has it")

        self.visible = not_yet
        self.issuing().look()
        self.assertNotIn("challenge", self.directory.done)
        self.assertEqual((self.order.step, self.order.error), ("ordered", "not every name server has it"))
        self.assertEqual(self.door.published, [])
        self.visible = lambda: None
        self.later(61)
        self.issuing().look()
        self.assertEqual((self.order.step, self.directory.done["newOrder"]), ("issued", 1))

    def test_processing(self) -> None:
        """An authority that takes its time to issue is asked again."""
        self.directory.processing_polls = 4
        self.issuing().look()
        self.assertEqual(self.order.step, "issued")
        self.assertEqual(self.pauses[1:4], [0.5, 1.0, 2.0])

    def test_processing_too_long(self) -> None:
        """One that takes too long is asked again later: the order is not given up."""
        self.directory.processing_polls = 1000
        self.issuing().look()
        self.assertEqual(self.order.step, "finalized")
        self.assertIn("has not issued within 180 s", self.order.error)
        for order in self.directory.orders.values():
            order.polls = 0
        self.later(61)
        self.issuing().look()
        self.assertEqual((self.order.step, self.directory.done["newOrder"]), ("issued", 1))

    def test_settings(self) -> None:
        """A directory that is neither a name nor a URL of https is refused, with the key's path."""
        self.door.settings = replace(self.door.settings, directory="http://127.0.0.1/")
        with self.assertRaisesRegex(InvalidSettings, r"acme\.directory: expected an https URL"):
            self.issuing().look()

    def test_profile(self) -> None:
        """A profile is ordered by name; one that the authority does not have is said."""
        self.directory.profiles = {"shortlived": "https://fake.example/profiles"}
        self.door.settings = replace(self.door.settings, profile="shortlived")
        self.issuing().look()
        [order] = self.directory.orders.values()
        self.assertEqual(order.profile, "shortlived")
        self.door.settings = replace(self.door.settings, profile="long-lived")
        self.door.wanted = (("a.warp.example",),)
        self.issuing().look()
        self.assertIn("set acme.profile to one that the authority has", self.door.orders["a.warp.example"].error)

    def test_external_account(self) -> None:
        """An authority that wants an account bound to one of its own gets that, made with the key in the file."""
        self.directory.external = {"kid-1": b"0123456789abcdef0123456789abcdef"}
        self.issuing().look()
        self.assertIn("set acme.eab", self.order.error)
        file = self.mktemp()
        with open(file, "w") as key:
            key.write("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n")
        external = ExternalAccount(key_id="kid-1", hmac_key_file=file)
        self.door.settings = replace(self.door.settings, external_account=external)
        self.later(100)
        self.issuing().look()
        self.assertEqual((self.order.step, self.order.error), ("issued", ""))

    def test_lock(self) -> None:
        """While another edge orders, this one does not; when the lock is lost, the order is left to the other."""
        self.door.holder = "edge2"
        self.assertEqual(self.issuing().look(), LOCKED_SECONDS)
        self.assertEqual((self.door.history, self.directory.done), ([], {}))
        self.door.holder = None

        def lost() -> None:
            raise LockLost

        self.visible = lost
        self.assertEqual(self.issuing().look(), LOCKED_SECONDS)
        self.assertEqual((self.order.step, self.door.published), ("ordered", []))


class FailureTests(IssuingCase):
    """What goes wrong is kept in words, and tried again by itself."""

    def test_refused(self) -> None:
        """A name that the authority does not find is put off, longer each time, and the reason says what to do."""
        self.directory.validate = lambda *proof: False
        began_at = self.wall.now()
        for failures, pause in ((1, 60), (2, 300), (3, 900)):
            self.issuing().look()
            self.assertEqual((self.order.step, self.order.failures), ("failed", failures))
            self.assertAlmostEqual(self.order.not_before - self.wall.now(), pause * 1.125, delta=5)
            self.assertIn("the value was not found (unauthorized); let all name servers", self.order.error)
            self.assertEqual(list(self.order.postponed), ["warp.example"])
            asked = self.directory.done["newOrder"]
            self.issuing().look()
            self.assertEqual(self.directory.done["newOrder"], asked)
            self.later(pause * 1.125 + 1)
        self.assertEqual(self.door.published, [])
        self.directory.validate = self.door.validates
        self.issuing().look()
        self.assertEqual((self.order.step, self.order.failures, self.order.postponed), ("issued", 0, {}))
        self.assertGreater(self.wall.now() - began_at, 1200)

    def test_identifier(self) -> None:
        """A name that failed is put off in another certificate as well."""
        self.directory.validate = lambda *proof: False
        self.issuing().look()
        asked = self.directory.done["newOrder"]
        self.door.wanted = (("a.warp.example", "warp.example"), ("b.warp.example",))
        self.issuing().look()
        self.assertEqual(list(self.door.orders), ["warp.example", "b.warp.example"])
        self.assertEqual(self.directory.done["newOrder"], asked + 1)

    def test_rate_limited(self) -> None:
        """An authority that says when to come again is believed, up to a day."""
        limited = problem("rateLimited", "too many", 429)
        for said, waits in (("7200", 7200.0), ("9999999", MAX_PAUSE_SECONDS)):
            limited.headers["Retry-After"] = said
            self.server.faults["newOrder"] = Fault(limited)
            self.issuing().look()
            self.assertAlmostEqual(self.order.not_before - self.wall.now(), waits, delta=1)
            self.assertIn("too many (rateLimited); nothing is to be done", self.order.error)
            self.later(waits - 10)
            asked = self.directory.done.get("newOrder", 0)
            self.issuing().look()
            self.assertEqual(self.directory.done.get("newOrder", 0), asked)
            self.later(20)
        self.issuing().look()
        self.assertEqual(self.order.step, "issued")

    def test_away(self) -> None:
        """An authority that is not there is asked again, at the latest after a quarter of an hour."""
        self.server.faults["directory"] = Fault(problem("serverInternal", "on fire", 500), times=8)
        for _ in range(8):
            self.assertEqual(self.issuing().look(), AWAY_SECONDS)
            self.assertLess(self.order.not_before - self.wall.now(), 901)
            self.later(901)
        self.issuing().look()
        self.assertEqual(self.order.step, "issued")

    def test_away_in_the_middle(self) -> None:
        """One that goes away in the middle of an order finds the same order when it is back."""
        self.server.faults["finalize"] = Fault(problem("serverInternal", "on fire", 503))
        self.assertEqual(self.issuing().look(), AWAY_SECONDS)
        self.assertEqual(self.order.step, "finalized")
        self.later(61)
        self.issuing().look()
        self.assertEqual((self.order.step, self.directory.done["newOrder"]), ("issued", 1))

    def test_bad_nonces(self) -> None:
        """Nonces that are refused are replaced, several in a row."""
        self.server.faults["newOrder"] = Fault(problem("badNonce", "another one, please"), times=5)
        self.issuing().look()
        self.assertEqual(self.order.step, "issued")

    def test_account_lost(self) -> None:
        """An authority that has lost the account gets it again, with the same key."""
        self.issuing().look()
        [(url, key)] = self.directory.accounts.items()
        self.directory.accounts.clear()
        self.door.wanted = (("a.warp.example",),)
        self.issuing().look()
        self.assertIn("(accountDoesNotExist)", self.door.orders["a.warp.example"].error)
        self.later(100)
        self.issuing().look()
        self.assertEqual(self.door.orders["a.warp.example"].step, "issued")
        self.assertEqual(list(self.directory.accounts.values()), [key])
        self.assertNotEqual(list(self.directory.accounts), [url])

    def test_order_lost(self) -> None:
        """An order that the authority does not know any more is begun anew after the pause."""
        self.visible = self._not_visible
        self.issuing().look()
        self.directory.orders.clear()
        self.visible = lambda: None
        self.later(61)
        self.issuing().look()
        self.assertEqual(self.order.step, "failed")
        self.later(100)
        self.issuing().look()
        self.assertEqual((self.order.step, self.directory.done["newOrder"]), ("issued", 2))

    def test_key_lost(self) -> None:
        """An order whose key cannot be opened is begun anew after the pause."""
        self.visible = self._not_visible
        self.issuing().look()
        self.door.orders["warp.example"] = replace(self.order, sealed="1.AAAA")
        self.visible = lambda: None
        self.later(61)
        self.issuing().look()
        self.assertIn("cannot be opened by this edge", self.order.error)
        self.later(100)
        self.issuing().look()
        self.assertEqual(self.order.step, "issued")

    def test_another_key(self) -> None:
        """A certificate for another key, or without a name, is not taken."""
        self.issuing().look()
        chain = self.door.certificates.pop("warp.example").chain
        self.server.faults["certificate"] = Fault(_pem(chain))
        self.door.orders["warp.example"] = replace(self.order, renew_at=0, not_before=0)
        self.issuing().look()
        self.assertEqual(self.door.certificates, {})
        self.assertEqual(self.order.error, "the authority issued a certificate for another key")

    def test_nonsense(self) -> None:
        """Answers that are no ACME are said to be so, whichever resource gives them."""
        for resource in ("directory", "newNonce", "newAccount", "newOrder", "order", "authorization", "finalize"):
            for body in (b"<html>", b"[]", b"{}", b'{"status": 7}', b'{"status": "odd", "authorizations": [[]]}'):
                self.door.orders.clear()
                self.door.account = None
                answer = _pem("")
                answer.body = body
                self.server.faults[resource] = Fault(answer)
                self.issuing().look()
                del self.server.faults[resource]
                if self.order.step != "issued":
                    self.assertRegex(self.order.error, "the authority", f"{resource}: {body!r}")
                self.assertEqual(self.door.published, [])

    def _not_visible(self) -> None:
        raise NotYet("not every name server has it")


def _pem(text: str) -> Answer:
    return Answer(200, text.encode(), {"Content-Type": "application/pem-certificate-chain"})
