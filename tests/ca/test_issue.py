"""Tests of certificates: what is issued is what was asked, OpenSSL agrees, and requests are read strictly."""

import base64
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.ca.errors import BadCertificate, BadRequest, IssuerExpired
from warp_twisted.ca.issue import (
    AGENT_LIFETIME,
    MAX_PATTERNS,
    Issuer,
    agent_identity,
    fingerprint,
    issue_agent,
    issue_edge,
    issue_intermediate,
    issue_root,
    key_to_pem,
    new_key,
    new_request,
    permitted_names,
    read_request,
    to_pem,
)
from warp_twisted.names import Hostname, HostnamePattern

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PATTERNS = [HostnamePattern.parse("*.team.warp.example"), HostnamePattern.parse("app.warp.example")]


def make_chain(permitted: tuple[str, ...] = ()) -> tuple[Issuer, Issuer]:
    """Return a root and an edge's intermediate."""
    key, edge_key = new_key(), new_key()
    root = Issuer(issue_root(key, "warp.example", NOW), key)
    certificate = issue_intermediate(root, edge_key.public_key(), "edge1", NOW, permitted)
    return root, Issuer(certificate, edge_key, (certificate,))


class HierarchyTests(SynchronousTestCase):
    """Root, intermediates and leaves."""

    def setUp(self) -> None:
        """Make a root and an intermediate."""
        self.root, self.edge = make_chain()

    def test_lifetimes(self) -> None:
        """Ten years, one year, a week, a day; all valid a little before now, for clocks that are slow."""
        key = new_key().public_key()
        leaf = issue_edge(self.edge, key, ["edge1.warp.example"], [], NOW)
        agent = issue_agent(self.edge, key, "a-1", PATTERNS, NOW)
        days = [
            (each.not_valid_after_utc - NOW).days
            for each in (self.root.certificate, self.edge.certificate, leaf, agent)
        ]
        self.assertEqual(days, [3650, 365, 7, 1])
        self.assertLess(agent.not_valid_before_utc, NOW)

    def test_short_life_is_not_half_over_at_its_start(self) -> None:
        """A certificate for a minute is renewed at half of its life, and not at once."""
        agent = issue_agent(self.edge, new_key().public_key(), "a-1", PATTERNS, NOW, timedelta(minutes=1))
        half = agent.not_valid_before_utc + (agent.not_valid_after_utc - agent.not_valid_before_utc) / 2
        self.assertGreater(half, NOW + timedelta(seconds=20))
        self.assertLess(agent.not_valid_before_utc, NOW)

    def test_clock_that_is_behind(self) -> None:
        """Every certificate is good for a clock that is an hour behind, whoever's it is."""
        key = new_key().public_key()
        leaf = issue_edge(self.edge, key, ["edge1.warp.example"], [], NOW)
        agent = issue_agent(self.edge, key, "a-1", PATTERNS, NOW)
        for each in (self.root.certificate, self.edge.certificate, leaf, agent):
            self.assertEqual(NOW - each.not_valid_before_utc, timedelta(hours=1))

    def test_edge_certificate_verifies(self) -> None:
        """A path validator accepts the edge's certificate for its names and addresses, through the intermediate."""
        leaf = issue_edge(self.edge, new_key().public_key(), ["edge1.warp.example"], [ip_address("192.0.2.1")], NOW)
        builder = PolicyBuilder().store(Store([self.root.certificate])).time(NOW)
        for subject in (x509.DNSName("edge1.warp.example"), x509.IPAddress(ip_address("192.0.2.1"))):
            chain = builder.build_server_verifier(subject).verify(leaf, list(self.edge.chain))
            self.assertEqual((chain[0], chain[-1]), (leaf, self.root.certificate))

    def test_agent_certificate_verifies(self) -> None:
        """A path validator accepts the agent's certificate as a client's."""
        leaf = issue_agent(self.edge, new_key().public_key(), "a-1", PATTERNS, NOW)
        builder = PolicyBuilder().store(Store([self.root.certificate])).time(NOW)
        verified = builder.build_client_verifier().verify(leaf, list(self.edge.chain))
        self.assertEqual(len(verified.chain), 3)

    def test_leaf_never_outlives_its_issuer(self) -> None:
        """A certificate ends with its issuer at the latest."""
        late = self.edge.certificate.not_valid_after_utc - timedelta(hours=1)
        leaf = issue_agent(self.edge, new_key().public_key(), "a-1", PATTERNS, late)
        self.assertEqual(leaf.not_valid_after_utc, self.edge.certificate.not_valid_after_utc)

    def test_expired_issuer(self) -> None:
        """An issuer that is not valid now issues nothing."""
        key = new_key().public_key()
        for wrong in (NOW + timedelta(days=366), NOW - timedelta(days=1)):
            self.assertRaises(IssuerExpired, issue_agent, self.edge, key, "a-1", PATTERNS, wrong)
        self.assertRaises(IssuerExpired, issue_intermediate, self.root, key, "e", NOW + timedelta(days=3651))

    def test_intermediate_cannot_make_authorities(self) -> None:
        """What an edge signs as another authority is not accepted."""
        key, leaf_key = new_key(), new_key()
        below = issue_intermediate(self.edge, key.public_key(), "rogue", NOW)
        leaf = issue_agent(Issuer(below, key), leaf_key.public_key(), "a-1", PATTERNS, NOW)
        verifier = PolicyBuilder().store(Store([self.root.certificate])).time(NOW).build_client_verifier()
        self.assertRaises(x509.verification.VerificationError, verifier.verify, leaf, [below, *self.edge.chain])

    def test_issuer_masks_its_key(self) -> None:
        """The repr of an issuer does not hold its key."""
        self.assertIn("****", repr(self.root))
        self.assertNotIn("PrivateKey", repr(self.root))

    def test_serial_numbers_differ(self) -> None:
        """No two certificates have one serial number."""
        key = new_key().public_key()
        serials = {issue_agent(self.edge, key, "a-1", PATTERNS, NOW).serial_number for _ in range(5)}
        self.assertEqual(len(serials), 5)

    def test_fingerprint(self) -> None:
        """The fingerprint is the SHA-256 of the DER form."""
        der = self.root.certificate.public_bytes(serialization.Encoding.DER)
        digest = hashes.Hash(hashes.SHA256())
        digest.update(der)
        self.assertEqual(fingerprint(self.root.certificate), digest.finalize())

    def test_openssl_reads_what_is_written(self) -> None:
        """The standard library's TLS takes chain and key as they are written."""
        key = new_key()
        leaf = issue_edge(self.edge, key.public_key(), ["edge1.warp.example"], [], NOW)
        chain, path, other = to_pem(leaf, *self.edge.chain), Path(self.mktemp()), Path(self.mktemp())
        path.write_text(chain + key_to_pem(key).decode())
        other.write_text(chain + key_to_pem(new_key()).decode())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        with self.assertRaisesRegex(ssl.SSLError, "mismatch"):
            context.load_cert_chain(other)


class PermittedTests(SynchronousTestCase):
    """Intermediates that may issue under some names only."""

    def setUp(self) -> None:
        """Make an intermediate for one zone."""
        self.root, self.edge = make_chain(("warp.example",))

    def test_names_are_written_and_read(self) -> None:
        """The names stand in the certificate."""
        self.assertEqual(permitted_names(self.edge.certificate), ("warp.example",))

    def test_pattern_outside(self) -> None:
        """A pattern outside is refused in words, before OpenSSL would refuse the certificate."""
        for text in ("*.other.example", "notwarp.example", "example"):
            patterns = [HostnamePattern.parse(text)]
            error = self.assertRaises(BadRequest, issue_agent, self.edge, new_key().public_key(), "a", patterns, NOW)
            self.assertIn(text, str(error))

    def test_pattern_inside_verifies(self) -> None:
        """A wildcard inside is issued, and a path validator agrees."""
        patterns = [HostnamePattern.parse("*.warp.example"), HostnamePattern.parse("warp.example")]
        leaf = issue_agent(self.edge, new_key().public_key(), "a-1", patterns, NOW)
        verifier = PolicyBuilder().store(Store([self.root.certificate])).time(NOW).build_client_verifier()
        chain = verifier.verify(leaf, list(self.edge.chain)).chain
        self.assertEqual((chain[0], chain[-1]), (leaf, self.root.certificate))


class IdentityTests(SynchronousTestCase):
    """Reading an agent's certificate."""

    def setUp(self) -> None:
        """Make an issuer."""
        self.root, self.edge = make_chain()

    def test_agent(self) -> None:
        """Id, patterns and end are those that were issued."""
        leaf = issue_agent(self.edge, new_key().public_key(), "a-1", PATTERNS, NOW)
        identity = agent_identity(leaf)
        self.assertEqual((identity.id, list(identity.patterns)), ("a-1", PATTERNS))
        self.assertEqual(identity.expires_at, (NOW + AGENT_LIFETIME).timestamp())
        self.assertTrue(identity.patterns[0].allows(Hostname("x.team.warp.example")))

    def test_no_patterns_or_too_many(self) -> None:
        """An agent without a hostname, or with too many, is not issued."""
        many = [HostnamePattern.parse(f"h{n}.example") for n in range(MAX_PATTERNS + 1)]
        for patterns in ([], many):
            self.assertRaises(BadRequest, issue_agent, self.edge, new_key().public_key(), "a-1", patterns, NOW)

    def test_other_certificates_are_no_agents(self) -> None:
        """An edge's certificate, an intermediate and a root are not taken for an agent's."""
        edge = issue_edge(self.edge, new_key().public_key(), ["edge1.warp.example"], [], NOW)
        for certificate in (edge, self.edge.certificate, self.root.certificate):
            self.assertRaises(BadCertificate, agent_identity, certificate)


class RequestTests(SynchronousTestCase):
    """Certificate requests are read strictly."""

    def refusal(self, pem: str) -> str:
        """Return the reason for which a request is refused."""
        return str(self.assertRaises(BadRequest, read_request, pem))

    def make(self, key: object, **extensions: x509.ExtensionType) -> str:
        """Return a request of a key, with extensions if any."""
        builder = x509.CertificateSigningRequestBuilder().subject_name(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "me")])
        )
        for extension in extensions.values():
            builder = builder.add_extension(extension, critical=False)
        request = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
        return request.public_bytes(serialization.Encoding.PEM).decode()

    def test_good_request(self) -> None:
        """A request as agents make it gives the key."""
        key = new_key()
        self.assertEqual(read_request(new_request(key)), key.public_key())
        self.assertEqual(read_request(self.make(key)), key.public_key())

    def test_other_keys(self) -> None:
        """Keys other than ECDSA P-256 are refused."""
        for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
            self.assertIn("P-256", self.refusal(self.make(key)))

    def test_keys_that_take_long(self) -> None:
        """A signature by another kind of key, which may take long to check, is not looked at."""
        request = x509.load_pem_x509_csr(self.make(dsa.generate_private_key(1024)).encode())
        der = bytearray(request.public_bytes(serialization.Encoding.DER))
        der[-1] ^= 1
        body = base64.b64encode(der).decode()
        pem = f"-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n"
        self.assertIn("P-256", self.refusal(pem))

    def test_wishes(self) -> None:
        """A request that asks for names is refused, rather than answered with others."""
        names = x509.SubjectAlternativeName([x509.DNSName("bank.example")])
        self.assertIn("extensions", self.refusal(self.make(new_key(), names=names)))

    def test_signature_of_another_key(self) -> None:
        """A request whose signature does not fit is refused."""
        der = bytearray(
            x509.load_pem_x509_csr(new_request(new_key()).encode()).public_bytes(serialization.Encoding.DER)
        )
        der[-1] ^= 1
        body = ssl.DER_cert_to_PEM_cert(bytes(der)).replace(" CERTIFICATE", " CERTIFICATE REQUEST")
        self.refusal(body)

    def test_not_one_request(self) -> None:
        """Nothing, two requests, and other PEM blocks are refused."""
        good = new_request(new_key())
        for text in ("", good + good, "x" + good, key_to_pem(new_key()).decode(), good.replace("REQUEST", "")):
            self.refusal(text)

    def test_too_large(self) -> None:
        """A request over the limit is refused before it is parsed."""
        good = new_request(new_key())
        self.assertIn("larger", self.refusal(good.replace("\n", "\n" + " " * 5000)))

    @settings(deadline=None, derandomize=True, max_examples=150)
    @given(st.binary(max_size=300))
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes in a PEM block are refused, never an exception of another kind."""
        pem = ssl.DER_cert_to_PEM_cert(data).replace(" CERTIFICATE", " CERTIFICATE REQUEST")
        self.refusal(pem)

    @settings(deadline=None, derandomize=True, max_examples=150)
    @given(st.integers(0, 10_000), st.integers(1, 255))
    def test_any_flipped_byte(self, at: int, flip: int) -> None:
        """A good request with one byte changed is refused: its signature covers all of it."""
        der = bytearray(self.good_der())
        at %= len(der)
        der[at] ^= flip
        pem = ssl.DER_cert_to_PEM_cert(bytes(der)).replace(" CERTIFICATE", " CERTIFICATE REQUEST")
        self.refusal(pem)

    def good_der(self) -> bytes:
        """Return a good request, the same for each call."""
        if not hasattr(type(self), "_der"):
            pem = new_request(new_key()).encode()
            type(self)._der = x509.load_pem_x509_csr(pem).public_bytes(serialization.Encoding.DER)  # type: ignore[attr-defined]
        return type(self)._der  # type: ignore[attr-defined, no-any-return]
