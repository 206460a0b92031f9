"""Tests of what visitors are asked for in the handshake, by handshakes in memory."""

import contextlib
import ssl
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from time import thread_time

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.client_authority import ClientAuthority, Credential, new_key
from tests.edge.certificate_files import write_certificate
from tests.edge.certificates.test_directory import visitor_context
from warp_twisted.edge.certificates import asking, openssl
from warp_twisted.edge.certificates.asking import MAX_CHAIN_BYTES, MAX_DEPTH, Authorities, CannotAsk, prove, shown_chain
from warp_twisted.edge.certificates.directory import NOBODY, CertificateDirectory
from warp_twisted.edge.certificates.proof import ProvenTls

BOTH_VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
ASKED = "asked.example"
OTHER = "other.example"
CA = x509.BasicConstraints(ca=True, path_length=None)


class AskingTestCase(SynchronousTestCase):
    """A listener that asks the visitors of one hostname for a certificate of one authority."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        write_certificate(self.directory, "default", ["fallback.example"])
        self.certificates = CertificateDirectory(str(self.directory), Clock())
        self.files = Path(self.mktemp())
        self.files.mkdir()
        self.authority = ClientAuthority(self.files)
        self.ask(self.authority)

    def ask(self, *authorities: ClientAuthority) -> None:
        """Ask for certificates of these."""
        of = frozenset(each.der for each in authorities)
        self.certificates.ask_visitors(Authorities(of) if of else None, lambda name: of if name == ASKED else NOBODY)

    def shake_hands(
        self, visitor: ssl.SSLContext, name: str | None = ASKED, session: ssl.SSLSession | None = None
    ) -> tuple[ssl.SSLObject, ProvenTls]:
        """Complete a handshake and read the ticket; return both ends. Raises what the listener does."""
        to_edge, to_visitor = ssl.MemoryBIO(), ssl.MemoryBIO()
        near = visitor.wrap_bio(to_visitor, to_edge, False, name, session)
        far = self.certificates.context.wrap_bio(to_edge, to_visitor, True)
        assert isinstance(far, ProvenTls)
        for _ in range(3):
            with contextlib.suppress(ssl.SSLWantReadError):
                near.do_handshake()
            with contextlib.suppress(ssl.SSLWantReadError):
                far.do_handshake()
        far.write(b"x")
        self.assertEqual(near.read(1), b"x")
        return near, far

    def shown(self, credential: Credential | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Sequence[bytes]:
        """Return what the listener has of a visitor; raises what its handshake does."""
        visitor = visitor_context(version)
        return shown_chain(self.shake_hands(credential.give(visitor) if credential else visitor)[1])


class AuthoritiesTests(AskingTestCase):
    """`Authorities.ask` and `shown_chain`, as a listener uses them."""

    def test_asked_only_where_it_is_needed(self) -> None:
        """A hostname whose policy wants a certificate gets it; another one, or none, is not even asked."""
        ann = self.authority.issue()
        for version in BOTH_VERSIONS:
            for name, authorities, chain in (
                (ASKED, {self.authority.der}, (ann.der,)),
                (ASKED.upper(), {self.authority.der}, (ann.der,)),
                (OTHER, set[bytes](), ()),
                (None, set[bytes](), ()),
            ):
                write_certificate(self.directory, "app", [ASKED], address="192.0.2.1")
                _, far = self.shake_hands(ann.give(visitor_context(version)), name)
                self.assertEqual((set(far.proof.authorities), shown_chain(far)), (authorities, chain), name)

    def test_without_a_certificate(self) -> None:
        """A visitor that has none passes the handshake: what then is the policy's to say."""
        for version in BOTH_VERSIONS:
            self.assertEqual(self.shown(None, version), ())

    def test_not_vouched_for(self) -> None:
        """Another authority, also one of the same name, a certificate that has ended, or one for servers: an alert."""
        other = ClientAuthority(self.files, "Other CA")
        namesake = ClientAuthority(self.files)
        server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        for version in BOTH_VERSIONS:
            for shown, reason in (
                (other.issue(), "unable to get local issuer certificate"),
                (namesake.issue(), "certificate signature failure"),
                (self.authority.issue(ends=timedelta(seconds=-1)), "certificate has expired"),
                (self.authority.issue("ann", server), "unsuitable certificate purpose"),
            ):
                with self.assertRaisesRegex(ssl.SSLCertVerificationError, reason):
                    self.shown(shown, version)

    def test_chains(self) -> None:
        """Authorities may stand in between if the visitor sends them; one of those is enough to be believed."""
        between = ClientAuthority(self.files, "Staff", self.authority)
        sent = [between.certificate]
        for version in BOTH_VERSIONS:
            self.ask(self.authority)
            ann = between.issue(sent=sent)
            self.assertEqual(self.shown(ann, version), (ann.der, between.der))
            with self.assertRaisesRegex(ssl.SSLCertVerificationError, "unable to get local issuer"):
                self.shown(between.issue(), version)
            self.ask(between)
            self.assertEqual(len(self.shown(between.issue(), version)), 1)

    def test_bounds_of_a_chain(self) -> None:
        """Longer chains, and more bytes, than anybody needs are refused."""
        above = [self.authority]
        for number in range(MAX_DEPTH + 1):
            above.append(ClientAuthority(self.files, f"Level {number}", above[-1]))
        for version in BOTH_VERSIONS:
            sent = [each.certificate for each in reversed(above[1:-1])]
            self.assertEqual(len(self.shown(above[-2].issue(sent=sent), version)), MAX_DEPTH + 1)
            with self.assertRaisesRegex(ssl.SSLCertVerificationError, "certificate chain too long"):
                self.shown(above[-1].issue(sent=[above[-1].certificate, *sent]), version)
            large = [self.authority.issue("x" * 60).certificate for _ in range(MAX_CHAIN_BYTES // 300)]
            with self.assertRaisesRegex(ssl.SSLError, "EXCESSIVE_MESSAGE_SIZE"):
                self.shown(self.authority.issue(sent=large), version)

    def test_price_of_a_stranger(self) -> None:
        """
        The most certificates that fit, which nobody vouches for, cost no more than 25 good ones; so does a large key.

        A good one costs 0.2 ms where the table of prices was measured, so that 25 are 5 ms; other machines are slower.
        """
        key = new_key()
        rogue = ClientAuthority(self.files)
        small = [rogue.issue("x", CA, key=key).certificate]
        size = len(small[0].public_bytes(Encoding.DER)) + 5  # length and extensions of an entry (RFC 8446 §4.4.2)
        room = MAX_CHAIN_BYTES - size - 20  # the visitor's own may be some bytes longer
        many = rogue.issue("x", key=key, sent=small * (room // size))
        large = rogue.issue("x", key=rsa.generate_private_key(65_537, 4_096))
        good = min(self.price(self.authority.issue(), refused=False) for _ in range(20))
        for shown in (many, large):
            self.assertLess(min(self.price(shown, refused=True) for _ in range(20)), 25 * good)

    def price(self, shown: Credential, *, refused: bool) -> float:
        """Return the seconds of computing in which the edge judges what a visitor shows."""
        to_edge, to_visitor = ssl.MemoryBIO(), ssl.MemoryBIO()
        near = shown.give(visitor_context()).wrap_bio(to_visitor, to_edge, False, ASKED)
        far = self.certificates.context.wrap_bio(to_edge, to_visitor, True)
        self.assertRaises(ssl.SSLWantReadError, near.do_handshake)
        self.assertRaises(ssl.SSLWantReadError, far.do_handshake)
        near.do_handshake()
        began = thread_time()
        if refused:
            self.assertRaises(ssl.SSLCertVerificationError, far.do_handshake)
        else:
            far.do_handshake()
        return thread_time() - began

    def test_weak_keys(self) -> None:
        """OpenSSL's own level of security holds for visitors, too; keys of Ed25519 pass the handshake."""
        careless = visitor_context()
        careless.set_ciphers("ALL:@SECLEVEL=0")
        weak = self.authority.issue(key=rsa.generate_private_key(65_537, 1_024))
        with self.assertRaisesRegex(ssl.SSLCertVerificationError, "EE certificate key too weak"):
            self.shake_hands(weak.give(careless))
        self.assertEqual(len(self.shown(self.authority.issue(key=ed25519.Ed25519PrivateKey.generate()))), 1)

    def test_not_resumed(self) -> None:
        """A visitor that was asked gets no ticket; nor does one that was not come in by it when it would be asked."""
        ann = self.authority.issue()
        for version in BOTH_VERSIONS:
            visitor = ann.give(visitor_context(version))
            near, _ = self.shake_hands(visitor)
            again, far = self.shake_hands(visitor, session=near.session)
            self.assertEqual((again.session_reused, shown_chain(far)), (False, (ann.der,)))
            near, _ = self.shake_hands(visitor, OTHER)
            again, far = self.shake_hands(visitor, OTHER, near.session)
            self.assertTrue(again.session_reused)
            _, far = self.shake_hands(visitor, ASKED, near.session)
            self.assertEqual(shown_chain(far), () if far.session_reused else (ann.der,))

    def test_another_policy_ends_sessions(self) -> None:
        """Whoever asked for nothing before a hostname began to ask, or ceased, does a whole handshake."""
        ann = self.authority.issue()
        for version in BOTH_VERSIONS:
            for before, after in (((), (self.authority,)), ((self.authority,), ())):
                self.ask(*before)
                visitor = ann.give(visitor_context(version))
                near, _ = self.shake_hands(visitor, OTHER)
                self.ask(*after)
                again, _ = self.shake_hands(visitor, OTHER, near.session)
                self.assertFalse(again.session_reused)
                self.assertEqual(len(shown_chain(self.shake_hands(visitor)[1])), len(after))

    def test_names_that_visitors_are_told(self) -> None:
        """A hostname's visitors hear of its own authorities, not of those of the policy's other hostnames."""
        other = ClientAuthority(self.files, "Other CA")
        own, both = {self.authority.der}, frozenset({self.authority.der, other.der})
        self.certificates.ask_visitors(Authorities(both), lambda name: frozenset(own) if name == ASKED else both)
        for name, counted in ((ASKED, (1, 0)), (OTHER, (1, 1))):
            to_edge, to_visitor = ssl.MemoryBIO(), ssl.MemoryBIO()
            near = visitor_context(ssl.TLSVersion.TLSv1_2).wrap_bio(to_visitor, to_edge, False, name)
            self.assertRaises(ssl.SSLWantReadError, near.do_handshake)
            self.assertRaises(
                ssl.SSLWantReadError,
                self.certificates.context.wrap_bio(to_edge, to_visitor, True).do_handshake,
            )
            flight = to_visitor.read()  # of TLS 1.2, where it is not encrypted
            self.assertEqual((flight.count(b"Owner's CA"), flight.count(b"Other CA")), counted)


class ProveTests(SynchronousTestCase):
    """`prove`, with an OpenSSL that is not as it should be."""

    def setUp(self) -> None:
        prove.cache_clear()
        self.addCleanup(prove.cache_clear)

    def assert_refused(self, reason: str) -> None:
        """Nobody is asked, and the sentence says why."""
        error = self.assertRaises(CannotAsk, Authorities, [b""])
        self.assertIn(reason, str(error))
        self.assertIn(ssl.OPENSSL_VERSION, str(error))

    def test_here(self) -> None:
        """All is well here, and found out once."""
        prove()
        self.patch(asking, "_first_fault", lambda: "asked twice")
        prove()
        self.assertEqual(prove.cache_info().currsize, 1)

    def test_out_of_reach(self) -> None:
        """Where OpenSSL is a part of Python, or has no such function, nobody can be asked."""
        openssl._function.cache_clear()
        self.addCleanup(openssl._function.cache_clear)
        self.patch(openssl, "openssl_library", lambda: None)
        self.assert_refused("cannot be called")

    def test_another_python(self) -> None:
        """A Python whose connections look different is not written to."""
        self.patch(openssl, "_CONTEXT_OFFSET", openssl._SSL_OFFSET)
        self.assert_refused("not treated as it should be")

    def test_does_not_ask(self) -> None:
        """An OpenSSL that says yes and asks nobody is found out."""
        self.patch(asking, "ask_for_certificate", lambda *args, **options: None)
        self.assert_refused("not treated as it should be")

    def test_does_not_forget(self) -> None:
        """One that goes on with old tickets is found out."""
        self.patch(asking, "forget_tickets", lambda context: None)
        self.assert_refused("tickets are not forgotten")

    def test_bad_authority(self) -> None:
        """What OpenSSL does not read is not asked for."""
        self.assertRaisesRegex(CannotAsk, "does not take an authority", Authorities, [b"nonsense"])
