"""Tests of what is said of a certificate."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.ca.test_issue import NOW, make_chain
from warp_twisted.ca.issue import fingerprint
from warp_twisted.cli.operate.certificate_facts import certificate_facts


class CertificateFactsTests(SynchronousTestCase):
    """`certificate_facts`."""

    def test_facts(self) -> None:
        """Where it is, whose, until when, and under which names it issues; the key's path if it was made now."""
        certificate = make_chain(("warp.example",))[1].certificate
        facts = certificate_facts(certificate, Path("edge1.pem"))
        self.assertEqual(
            facts,
            {
                "certificate": "edge1.pem",
                "subject": "CN=Warp edge edge1",
                "fingerprint_sha256": fingerprint(certificate).hex(),
                "permitted": ["warp.example"],
                "expires_at": certificate.not_valid_after_utc.timestamp(),
            },
        )
        self.assertGreater(certificate.not_valid_after_utc, NOW)
        self.assertEqual(certificate_facts(certificate, Path("a.pem"), Path("a.key"))["key"], "a.key")
