"""Tests of what the TLS of visitors' connections is like, whichever certificate they are shown."""

import ssl
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.certificate_files import write_certificate
from tests.edge.certificates.test_directory import shake_hands, visitor_context
from warp_twisted.edge.certificates import openssl
from warp_twisted.edge.certificates.contexts import visitors_context


class VisitorsContextTests(SynchronousTestCase):
    """`visitors_context`."""

    def test_what_is_spoken(self) -> None:
        """TLS 1.2 and 1.3 with forward secrecy, never negotiated anew, and nobody asked for a certificate."""
        context = visitors_context()
        self.assertEqual(context.minimum_version, ssl.TLSVersion.TLSv1_2)
        old = {each["name"] for each in context.get_ciphers() if each["protocol"] == "TLSv1.2"}
        self.assertTrue(old)
        self.assertTrue(all(name.startswith("ECDHE-") and "CBC" not in name for name in old), old)
        for option in (ssl.OP_NO_RENEGOTIATION, ssl.OP_NO_COMPRESSION, ssl.OP_CIPHER_SERVER_PREFERENCE):
            self.assertTrue(context.options & option)
        self.assertEqual(context.verify_mode, ssl.CERT_NONE)

    def test_no_session_is_kept(self) -> None:
        """A visitor without tickets leaves nothing behind."""
        directory = Path(self.mktemp())
        directory.mkdir()
        write_certificate(directory, "app", ["app.example"])
        visitor = visitor_context(ssl.TLSVersion.TLSv1_2)
        visitor.options |= ssl.OP_NO_TICKET
        context = visitors_context()
        context.load_cert_chain(directory / "app.pem", directory / "app.key")
        near = shake_hands(context, "app.example", visitor)
        self.assertFalse(near.session is not None and near.session.id)
        self.assertEqual(context.session_stats()["number"], 0)

    def test_out_of_reach(self) -> None:
        """Where OpenSSL is out of reach visitors are served all the same."""
        self.patch(openssl, "openssl_library", lambda: None)
        self.assertEqual(visitors_context().verify_mode, ssl.CERT_NONE)
