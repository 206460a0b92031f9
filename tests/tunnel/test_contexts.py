"""`tunnel.contexts`: what the contexts allow, and which files they refuse."""

import ssl
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.system.tunnel.authority import Authority
from warp_twisted.errors import InvalidSettings
from warp_twisted.tunnel.contexts import (
    agent_context,
    edge_context,
    enrollment_context,
    server_name,
    unverified_context,
    verify_name,
)
from warp_twisted.tunnel.errors import PeerNotTrusted


class ContextTests(SynchronousTestCase):
    """The four contexts."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.authority = Authority(self.directory)
        self.leaf = self.authority.leaf("edge1", is_server=True)

    def test_only_the_latest_tls(self) -> None:
        """No context speaks less than TLS 1.3."""
        contexts = [
            edge_context(
                root_pem=self.authority.root_pem, chain_file=self.leaf.chain_file, key_file=self.leaf.key_file
            ),
            agent_context(
                root_pem=self.authority.root_pem, chain_file=self.leaf.chain_file, key_file=self.leaf.key_file
            ),
            enrollment_context(root_pem=self.authority.root_pem),
            unverified_context(),
        ]
        for context in contexts:
            self.assertEqual(context.minimum_version, ssl.TLSVersion.TLSv1_3)
        self.assertEqual(
            [context.verify_mode for context in contexts],
            [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED, ssl.CERT_REQUIRED, ssl.CERT_NONE],
        )

    def test_system_roots_are_not_trusted(self) -> None:
        """Only our CA is trusted, not the machine's."""
        self.assertEqual(len(enrollment_context(root_pem=self.authority.root_pem).get_ca_certs()), 1)

    def test_bad_files(self) -> None:
        """Files that are missing, no certificates, or do not belong together are refused by name."""
        other = self.authority.leaf("edge2")
        nothing = self.directory / "nothing.pem"
        nothing.write_text("nothing")
        for chain_file, key_file in (
            (self.directory / "missing.pem", self.leaf.key_file),
            (nothing, self.leaf.key_file),
            (self.leaf.chain_file, other.key_file),
        ):
            error = self.assertRaises(
                InvalidSettings,
                edge_context,
                root_pem=self.authority.root_pem,
                chain_file=chain_file,
                key_file=key_file,
            )
            self.assertIn(str(chain_file), str(error))

    def test_bad_root(self) -> None:
        """A root that cannot be read is refused."""
        for root_pem in ("nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
            self.assertRaises(InvalidSettings, enrollment_context, root_pem=root_pem)

    def test_encrypted_key(self) -> None:
        """A key with a password is refused instead of asked about."""
        from cryptography.hazmat.primitives import serialization

        key = serialization.load_pem_private_key(self.leaf.key_file.read_bytes(), None)
        self.leaf.key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            )
        )
        self.assertRaises(
            InvalidSettings,
            edge_context,
            root_pem=self.authority.root_pem,
            chain_file=self.leaf.chain_file,
            key_file=self.leaf.key_file,
        )


class NameTests(SynchronousTestCase):
    """`verify_name` and `server_name`."""

    def setUp(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        self.authority = Authority(directory)

    def test_names(self) -> None:
        """A certificate is for the names in it and no others."""
        from cryptography import x509

        leaf = self.authority.leaf("edge1.example.org", is_server=True, address="192.0.2.7")
        certificate = x509.load_pem_x509_certificate(leaf.chain_file.read_bytes())
        for name in ("edge1.example.org", "EDGE1.example.org", "192.0.2.7"):
            verify_name(certificate, name)
        for name in ("edge2.example.org", "example.org", "192.0.2.8", "2001:db8::1"):
            self.assertRaises(PeerNotTrusted, verify_name, certificate, name)
        self.assertRaises(PeerNotTrusted, verify_name, self.authority.root, "edge1.example.org")
        self.assertRaises(PeerNotTrusted, verify_name, None, "edge1.example.org")

    def test_server_name(self) -> None:
        """SNI carries names, not addresses."""
        self.assertEqual(server_name("edge1.example.org"), "edge1.example.org")
        self.assertIsNone(server_name("192.0.2.1"))
        self.assertIsNone(server_name("2001:db8::1"))
