"""Tests of certificates that are shown without a file."""

import os
import ssl

from twisted.trial.unittest import SynchronousTestCase

from tests.self_signed import self_signed
from warp_twisted.edge.certificates.ordered import load_ordered


class OrderedTests(SynchronousTestCase):
    """Text that becomes a context."""

    def test_shown(self) -> None:
        """A visitor is shown the certificate, and nothing is left open."""
        leaf, pem, key = self_signed("a.example", ["A.example", "*.a.example"], is_ca=True)
        before = set(os.listdir("/proc/self/fd"))
        certificate = load_ordered("a.example", pem.decode(), key.decode())
        self.assertEqual(set(os.listdir("/proc/self/fd")), before)
        self.assertEqual(certificate.hostnames, ("a.example", "*.a.example"))
        self.assertEqual(certificate.expires_at, leaf.not_valid_after_utc.timestamp())
        client = ssl.create_default_context(cadata=pem.decode())
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        visitor = client.wrap_bio(to_client, to_server, server_hostname="x.a.example")
        server = certificate.context.wrap_bio(to_server, to_client, server_side=True)
        for _ in range(3):
            for side in (visitor, server):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        self.assertIsNotNone(visitor.getpeercert())

    def test_what_cannot_be_used(self) -> None:
        """Another's key, no certificate, or one without names is refused in a sentence."""
        _, pem, key = self_signed("a.example", ["a.example"])
        _, _, other = self_signed("a.example", ["a.example"])
        _, nameless, nameless_key = self_signed("a.example", [])
        for chain, private in ((pem, other), (b"nonsense", key), (pem, b""), (nameless, nameless_key)):
            error = self.assertRaises(ValueError, load_ordered, "a.example", chain.decode(), private.decode())
            self.assertNotIn("PRIVATE", str(error))
