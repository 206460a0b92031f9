"""`ca.edge_identity`: an edge's certificate names it, and no other certificate of the fleet does."""

import base64

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.ca.test_issue import NOW, PATTERNS, make_chain
from warp_twisted.ca.edge_identity import authority_key, check_issued_under, edge_identity
from warp_twisted.ca.errors import BadCertificate
from warp_twisted.ca.issue import Issuer, agent_identity, issue_agent, issue_edge, issue_intermediate, new_key


class EdgeIdentityTests(SynchronousTestCase):
    """Who a certificate says an edge is."""

    def setUp(self) -> None:
        """Make the intermediates of two edges."""
        self.root, self.edge1 = make_chain()
        key = new_key()
        self.edge2 = Issuer(issue_intermediate(self.root, key.public_key(), "edge2", NOW), key)

    def certificate(self, issuer: Issuer, edge: str) -> x509.Certificate:
        """Issue what an edge shows to others."""
        return issue_edge(issuer, new_key().public_key(), [f"{edge or 'edge1'}.warp.example"], [], NOW, edge=edge)

    def refusal(self, certificate: x509.Certificate) -> str:
        """Return why a certificate is not an edge's."""
        return str(self.assertRaises(BadCertificate, edge_identity, certificate))

    def test_an_edge(self) -> None:
        """An edge's certificate says its name, serves agents as well, and was issued under its own key."""
        certificate = self.certificate(self.edge1, "edge1")
        self.assertEqual(edge_identity(certificate), "edge1")
        check_issued_under(certificate, authority_key(self.edge1.certificate))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(names.get_values_for_type(x509.DNSName), ["edge1.warp.example"])

    def test_no_other_role_is_an_edge(self) -> None:
        """An agent's certificate, a listener's, an intermediate and a root are no edge's, nor is that an agent's."""
        agent = issue_agent(self.edge1, new_key().public_key(), "a-1", PATTERNS, NOW)
        for certificate in (agent, self.certificate(self.edge1, ""), self.edge1.certificate, self.root.certificate):
            self.assertIn("not an edge's certificate", self.refusal(certificate))
        self.assertRaises(BadCertificate, agent_identity, self.certificate(self.edge1, "edge1"))

    def test_an_agent_that_is_called_like_an_edge(self) -> None:
        """No id of an agent makes its certificate an edge's."""
        for agent in ("edge1", "../edge/edge1", "//edge/edge1"):
            certificate = issue_agent(self.edge1, new_key().public_key(), agent, PATTERNS, NOW)
            self.assertIn("not for servers and clients", self.refusal(certificate))

    def test_under_another_edges_intermediate(self) -> None:
        """What one edge issues in the name of another is refused."""
        self.assertIn("issued by another", self.refusal(self.certificate(self.edge2, "edge1")))

    def test_under_another_key(self) -> None:
        """An intermediate that the registry does not know any more, or not yet, makes nobody a peer."""
        key = new_key()
        former = Issuer(issue_intermediate(self.root, key.public_key(), "edge1", NOW), key)
        certificate = self.certificate(former, "edge1")
        self.assertEqual(edge_identity(certificate), "edge1")
        error = self.assertRaises(
            BadCertificate, check_issued_under, certificate, authority_key(self.edge1.certificate)
        )
        self.assertIn("not the one that the registry knows", str(error))

    def test_two_names(self) -> None:
        """A certificate with two identities, or an empty one, has none."""
        for uris in (
            ["warp://edge/edge1", "warp://edge/edge2"],
            ["warp://edge/edge1", "warp://agent/a"],
            ["warp://edge/"],
        ):
            builder = (
                x509.CertificateBuilder()
                .subject_name(x509.Name([]))
                .issuer_name(self.edge1.certificate.subject)
                .public_key(new_key().public_key())
                .serial_number(1)
                .not_valid_before(NOW)
                .not_valid_after(NOW.replace(year=2027))
                .add_extension(
                    x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False
                )
                .add_extension(
                    x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris]), False
                )
            )
            self.assertIn("is expected", self.refusal(builder.sign(self.edge1.key, hashes.SHA256())))

    def test_other_kinds_of_keys(self) -> None:
        """A key in the registry that is not P-256 is refused before it costs anything."""
        key = rsa.generate_private_key(65537, 2048).public_key()
        text = base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
        certificate = self.certificate(self.edge1, "edge1")
        self.assertRaises(BadCertificate, check_issued_under, certificate, text)

    @settings(max_examples=200, deadline=None)
    @given(st.text(max_size=300))
    def test_any_key(self, key: str) -> None:
        """Whatever the registry holds as a key, the answer is a refusal."""
        certificate = self.certificate(self.edge1, "edge1")
        self.assertRaises(BadCertificate, check_issued_under, certificate, key)
