"""Tests of a registry's certificates: an authority of its own, names, uses, and a new life."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.trial.unittest import SynchronousTestCase

from tests.ca.test_issue import make_chain
from warp_twisted.ca.errors import BadRequest, IssuerExpired
from warp_twisted.ca.issue import Issuer, issue_root, new_key
from warp_twisted.ca.registry_certificates import (
    LIFETIME,
    MAX_ADDRESSES,
    PEER,
    Use,
    is_registry_root,
    issue_registry_certificate,
    issue_registry_root,
    renew_registry_certificate,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class RegistryCertificatesTests(SynchronousTestCase):
    """Root, members and edges."""

    def setUp(self) -> None:
        """Make a root."""
        key = new_key()
        self.root = Issuer(issue_registry_root(key, "warp.example", NOW), key)

    def issue(self, use: Use, *addresses: str) -> x509.Certificate:
        """Make a certificate."""
        return issue_registry_certificate(self.root, new_key().public_key(), use, "one", addresses, NOW)

    def test_root_is_of_its_own(self) -> None:
        """A registry's root signs itself and no other authority, and a fleet's root is not taken for one."""
        self.assertTrue(is_registry_root(self.root.certificate))
        self.root.certificate.verify_directly_issued_by(self.root.certificate)
        constraints = self.root.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        self.assertEqual((constraints.ca, constraints.path_length), (True, 0))
        self.assertFalse(is_registry_root(issue_root(new_key(), "warp.example", NOW)))
        for issuer in make_chain():
            self.assertFalse(is_registry_root(issuer.certificate))

    def test_member(self) -> None:
        """A member has its addresses, and is a client too, as its own gateway asks it with its own certificate."""
        for use, subject in ((Use.SERVER, "member one"), (Use.PEER, PEER)):
            found = self.issue(use, "192.0.2.1", "2001:db8::1", "Etcd1.Internal")
            found.verify_directly_issued_by(self.root.certificate)
            self.assertEqual(found.subject.rfc4514_string(), f"CN={subject}")
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            self.assertEqual(names.get_values_for_type(x509.DNSName), ["etcd1.internal"])
            addresses = [str(each) for each in names.get_values_for_type(x509.IPAddress)]
            self.assertEqual(addresses, ["192.0.2.1", "2001:db8::1"])
            self.assertEqual(
                set(found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value),
                {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH},
            )

    def test_edge(self) -> None:
        """An edge is a client only, has no name that it could pose as, and is no peer of members."""
        found = self.issue(Use.CLIENT)
        usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        self.assertEqual(list(usage), [ExtendedKeyUsageOID.CLIENT_AUTH])
        self.assertEqual(found.subject.rfc4514_string(), "CN=edge one")
        with self.assertRaises(x509.ExtensionNotFound):
            found.extensions.get_extension_for_class(x509.SubjectAlternativeName)

    def test_no_edge_has_the_name_of_peers(self) -> None:
        """Whatever an edge is called, its certificate is not one of a member to other members."""
        found = issue_registry_certificate(self.root, new_key().public_key(), Use.CLIENT, PEER, (), NOW)
        self.assertNotEqual(found.subject.rfc4514_string(), f"CN={PEER}")

    def test_addresses(self) -> None:
        """A member without an address, with too many, or with one that is none is refused."""
        with self.assertRaisesRegex(BadRequest, "1 to 32 addresses"):
            self.issue(Use.SERVER)
        with self.assertRaisesRegex(BadRequest, "1 to 32 addresses"):
            self.issue(Use.SERVER, *("192.0.2.1",) * (MAX_ADDRESSES + 1))
        with self.assertRaisesRegex(BadRequest, "https://a: a hostname or an IP address is expected"):
            self.issue(Use.PEER, "https://a")

    def test_renewed(self) -> None:
        """The same key, names and uses, and a new life."""
        later = NOW + timedelta(days=300)
        for use, addresses in ((Use.SERVER, ("192.0.2.1", "etcd1.internal")), (Use.CLIENT, ())):
            old = self.issue(use, *addresses)
            new = renew_registry_certificate(self.root, old, later)
            new.verify_directly_issued_by(self.root.certificate)
            self.assertEqual(new.not_valid_after_utc, later + LIFETIME)
            self.assertEqual((new.public_key(), new.subject), (old.public_key(), old.subject))
            self.assertNotEqual(new.serial_number, old.serial_number)
            kept = [
                [each.value for each in found.extensions if not isinstance(each.value, x509.AuthorityKeyIdentifier)]
                for found in (old, new)
            ]
            self.assertCountEqual(*kept)

    def test_not_renewed(self) -> None:
        """What is below another root is not renewed, nor is anything by a root that has ended."""
        key = new_key()
        other = Issuer(issue_registry_root(key, "other.example", NOW), key)
        with self.assertRaisesRegex(BadRequest, "not a certificate of this registry"):
            renew_registry_certificate(other, self.issue(Use.CLIENT), NOW)
        with self.assertRaises(IssuerExpired):
            renew_registry_certificate(self.root, self.issue(Use.CLIENT), NOW + timedelta(days=3651))
