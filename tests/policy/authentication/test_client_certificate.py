"""Tests for `warp_twisted.policy.authentication.client_certificate`."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.policy.authentication.requests import NOW, WALL, request
from warp_twisted.policy.authentication.client_certificate import (
    AuthoritiesError,
    ClientCertificateCheck,
    read_authorities,
)
from warp_twisted.policy.interfaces import ABSENT, Answer, Outcome

CA_KEY = ec.generate_private_key(ec.SECP256R1())
INSTANT = datetime.fromtimestamp(WALL, UTC)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(
    subject: str,
    *extensions: x509.ExtensionType,
    signer: ec.EllipticCurvePrivateKey = CA_KEY,
    issuer: str = "Owner's CA",
    begins: timedelta = timedelta(days=-1),
) -> x509.Certificate:
    """Make a certificate that holds for ten days."""
    key = CA_KEY if subject == issuer else ec.generate_private_key(ec.SECP256R1())
    return _sign(subject, key.public_key(), issuer, signer, *extensions, begins=begins)


def _sign(
    subject: str,
    key: ec.EllipticCurvePublicKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    *extensions: x509.ExtensionType,
    begins: timedelta = timedelta(days=-1),
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(INSTANT + begins)
        .not_valid_after(INSTANT + begins + timedelta(days=10))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signer, SHA256())


CA = certificate("Owner's CA", x509.BasicConstraints(ca=True, path_length=None))
SAN = x509.SubjectAlternativeName([x509.RFC822Name("ann@example.org"), x509.DNSName("ann.example")])


def look(shown: x509.Certificate, wall: float = WALL, **rule: object) -> Answer:
    """Show a certificate to a rule."""
    check = ClientCertificateCheck([CA], **rule)  # type: ignore[arg-type]  # the tests' own words
    return check.look(request(chain=(shown.public_bytes(Encoding.DER),)), NOW, wall)


class LookTests(SynchronousTestCase):
    """`ClientCertificateCheck.look`."""

    def test_of_the_authority(self) -> None:
        """With a name and without one; the identity is the first name, or the subject."""
        answer = look(certificate("ann", SAN))
        assert answer.identity is not None
        self.assertEqual(answer.identity.subject, "ann@example.org")
        answer = look(certificate("ann"))
        assert answer.identity is not None
        self.assertEqual(answer.identity.subject, "CN=ann")
        self.assertEqual(ClientCertificateCheck([CA]).look(request(), NOW, WALL), ABSENT)

    def test_refused(self) -> None:
        """Another authority, one that signs itself, one for servers, one of tomorrow or yesterday."""
        other = ec.generate_private_key(ec.SECP256R1())
        inner = certificate("not a CA")
        for shown in (
            certificate("ann", signer=other),
            certificate("ann", issuer="ann", signer=other),
            certificate("ann", issuer=inner.subject.rfc4514_string(), signer=other),
            certificate("ann", x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])),
            certificate("ann", begins=timedelta(days=1)),
            certificate("ann", begins=timedelta(days=-11)),
        ):
            self.assertEqual(look(shown).outcome, Outcome.REFUSED)
        self.assertEqual(look(certificate("ann", x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]))).outcome,
                         Outcome.PROVEN)  # fmt: skip

    def test_reason_for_the_log(self) -> None:
        """The log is told what the verifier says, and none of the visitor's own words."""
        answer = look(certificate("what the visitor says", signer=ec.generate_private_key(ec.SECP256R1())))
        self.assertTrue(answer.reason.startswith("not of these authorities, not for a client, or not valid today: "))
        self.assertNotIn("visitor says", answer.reason)

    def test_others_in_between(self) -> None:
        """Certificates that came with it lead to an authority; without them, or with others, nothing is proven."""
        between_key = ec.generate_private_key(ec.SECP256R1())
        authority = x509.BasicConstraints(ca=True, path_length=None)
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = _sign("between", between_key.public_key(), "Owner's CA", CA_KEY, authority)
        leaf = _sign("ann", key.public_key(), "between", between_key).public_bytes(Encoding.DER)
        check = ClientCertificateCheck([CA])
        for chain, outcome in (
            ((leaf,), Outcome.REFUSED),
            ((leaf, issuer.public_bytes(Encoding.DER)), Outcome.PROVEN),
            ((leaf, CA.public_bytes(Encoding.DER)), Outcome.REFUSED),
            ((leaf, b"nonsense"), Outcome.REFUSED),
            ((leaf,), Outcome.REFUSED),  # what was remembered of another chain does not count
        ):
            self.assertEqual(check.look(request(chain=chain), NOW, WALL).outcome, outcome)

    def test_names_and_fingerprints(self) -> None:
        """A rule may ask for a name or for the very certificate."""
        ann = certificate("ann", SAN)
        fingerprint = sha256(ann.public_bytes(Encoding.DER)).hexdigest()
        for rule, outcome in (
            ({"san": ["*@example.org"]}, Outcome.PROVEN),
            ({"san": ["bob@example.org", "ann.example"]}, Outcome.PROVEN),
            ({"san": ["ann@example"]}, Outcome.REFUSED),
            ({"san": ["*@example.com"]}, Outcome.REFUSED),
            ({"fingerprints": frozenset({fingerprint})}, Outcome.PROVEN),
            ({"fingerprints": frozenset({"0" * 64})}, Outcome.REFUSED),
            ({"fingerprints": frozenset({fingerprint}), "san": ["x"]}, Outcome.REFUSED),
        ):
            self.assertEqual(look(ann, **rule).outcome, outcome, rule)
        self.assertEqual(look(certificate("ann"), san=["*"]).outcome, Outcome.REFUSED)

    def test_remembered_until_it_ends(self) -> None:
        """What is remembered does not outlive the certificate, whatever the clocks do."""
        check = ClientCertificateCheck([CA])
        facts = request(chain=(certificate("ann").public_bytes(Encoding.DER),))
        self.assertEqual(check.look(facts, NOW, WALL).outcome, Outcome.PROVEN)
        self.assertIs(check.look(facts, NOW + 1, WALL + 1), check.look(facts, NOW + 2, WALL + 2))
        self.assertEqual(check.look(facts, NOW + 3, WALL + 10 * 86_400).outcome, Outcome.REFUSED)

    @given(st.binary(min_size=1, max_size=200))
    def test_any_bytes(self, der: bytes) -> None:
        """Whatever stands for a certificate is refused."""
        self.assertEqual(ClientCertificateCheck([CA]).look(request(chain=(der,)), NOW, WALL).outcome, Outcome.REFUSED)


class ReadAuthoritiesTests(SynchronousTestCase):
    """`read_authorities`."""

    def test_pem(self) -> None:
        """One certificate or several; nothing else."""
        pem = CA.public_bytes(Encoding.PEM).decode()
        self.assertEqual(read_authorities(pem + pem), (CA, CA))
        for text in ("", "nonsense", pem[:100]):
            with self.assertRaisesRegex(AuthoritiesError, "expected certificates in PEM"):
                read_authorities(text)
        usage = x509.KeyUsage(True, *[False] * 8)
        for shown in (
            certificate("ann"),
            certificate("ann", x509.BasicConstraints(ca=False, path_length=None)),
            certificate("ann", x509.BasicConstraints(ca=True, path_length=None), usage),
        ):
            with self.assertRaisesRegex(AuthoritiesError, "CN=ann is no authority: it may not sign certificates"):
                read_authorities(pem + shown.public_bytes(Encoding.PEM).decode())
        with self.assertRaisesRegex(AuthoritiesError, "more than 100"):
            read_authorities(pem * 101)
