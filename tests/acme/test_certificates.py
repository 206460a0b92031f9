"""Tests for warp_twisted.acme.certificates."""

from datetime import timedelta

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.acme.issuing_authority import IssuingAuthority
from tests.self_signed import self_signed
from warp_twisted.acme.certificates import (
    MAX_CHAIN_CERTIFICATES,
    certificate_request,
    identifier_of,
    leaf_of,
    load_key,
    new_key,
    read_chain,
)
from warp_twisted.acme.door import MAX_CHAIN_BYTES
from warp_twisted.acme.errors import UnusableCertificate

NAMES = ("warp.example", "*.warp.example")
# The example of RFC 9773, 4.1.
RFC_CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----
"""


class ChainTests(SynchronousTestCase):
    """What an authority issued."""

    def setUp(self) -> None:
        self.authority = IssuingAuthority()
        self.key = load_key(new_key())

    def test_read(self) -> None:
        """Its instants and its identifier are read."""
        self.authority.life = timedelta(days=6)
        issued = read_chain(self.authority.issue(certificate_request(self.key, NAMES)), self.key, NAMES)
        self.assertEqual(issued.expires_at - issued.issued_at, 6 * 86400)
        self.assertEqual(issued.certificate.count("."), 1)

    def test_identifier(self) -> None:
        """The identifier is that of the example in RFC 9773, 4.1."""
        self.assertEqual(identifier_of(leaf_of(RFC_CERTIFICATE)), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE")

    def test_no_identifier(self) -> None:
        """A certificate that names no key of its issuer's has none."""
        certificate, _, _ = self_signed("localhost", ["localhost"])
        self.assertEqual(identifier_of(certificate), "")

    def test_another(self) -> None:
        """A certificate for another key, or without one of the names, is not what was ordered."""
        chain = self.authority.issue(certificate_request(self.key, NAMES[:1]))
        with self.assertRaisesRegex(UnusableCertificate, r"without \*\.warp\.example"):
            read_chain(chain, self.key, NAMES)
        with self.assertRaisesRegex(UnusableCertificate, "for another key"):
            read_chain(chain, load_key(new_key()), NAMES[:1])

    def test_bounded(self) -> None:
        """What is no chain, or too long for one, is refused before it is read."""
        one = self.authority.root_pem
        for text, reason in (
            ("", "no certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate"),
            (one * (MAX_CHAIN_CERTIFICATES + 1), "more than 10 certificates"),
            ("x" * (MAX_CHAIN_BYTES + 1), "bytes"),
        ):
            with self.assertRaisesRegex(UnusableCertificate, reason):
                leaf_of(text)


class RequestTests(SynchronousTestCase):
    """Keys and requests."""

    def test_request(self) -> None:
        """A request has all names, and is signed with the key."""
        key = load_key(new_key())
        request = certificate_request(key, NAMES)
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(tuple(names.get_values_for_type(x509.DNSName)), NAMES)
        self.assertTrue(request.is_signature_valid)

    def test_no_key(self) -> None:
        """A text that is no key of ours is refused."""
        for text in ("", "nonsense"):
            with self.assertRaises(ValueError):
                load_key(text)
