"""Tests of what a connection may be used for, by names and by handshakes in memory."""

import ssl
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.certificate_files import write_certificate
from tests.edge.certificates.test_directory import visitor_context
from warp_twisted.edge.certificates.directory import CertificateDirectory
from warp_twisted.edge.certificates.proof import Proof, ProvenTls

BOTH_VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


class ProofTests(SynchronousTestCase):
    """Which hostnames a connection may be used for."""

    def test_hostnames(self) -> None:
        """The asked name, and what the certificate covers if it covers the asked one; without one, what it covers."""
        one = {"a.example", "b.example", "*.wild.example", "192.0.2.1", "[2001:db8::1]"}
        for asked, names, hostname, expected in (
            ("a.example", {"a.example"}, "a.example", True),
            ("a.example", {"a.example"}, "b.example", False),
            ("a.example", one, "b.example", True),
            ("a.example", one, "x.wild.example", True),
            ("x.wild.example", one, "y.wild.example", True),
            ("x.wild.example", one, "b.example", True),
            ("a.example", one, "wild.example", False),
            ("a.example", one, "x.y.wild.example", False),
            ("a.example", one, "*.wild.example", True),  # no hostname: nobody can ask for it
            ("a.example", one, "192.0.2.1", True),
            ("a.example", one, "", False),
            ("unknown.example", one, "unknown.example", True),  # shown the default certificate
            ("unknown.example", one, "a.example", False),
            (None, one, "a.example", True),
            (None, one, "x.wild.example", True),
            (None, one, "[2001:db8::1]", True),
            (None, one, "c.example", False),
            (None, set[str](), "a.example", False),
        ):
            self.assertIs(Proof(asked, names).admits(hostname), expected, (asked, names, hostname))

    def test_without_a_choice(self) -> None:
        """A connection whose certificate nobody chose proves nothing."""
        self.assertFalse(Proof().admits("a.example"))

    def test_chain(self) -> None:
        """What was shown counts where the same authorities are asked for; who was not told of them is to come again."""
        one, both, nobody = frozenset({b"1"}), frozenset({b"1", b"2"}), frozenset[bytes]()
        chain = (b"leaf", b"issuer")
        for proof, authorities, expected in (
            (Proof("a.example", (), one, chain), one, chain),
            (Proof("a.example", (), one), one, ()),  # asked, and had none
            (Proof("a.example", (), one, chain), both, None),
            (Proof("a.example", (), both, chain), one, None),
            (Proof("a.example"), one, None),
            (Proof(None), one, ()),  # is never asked, on a new connection neither
            (Proof(), one, ()),
            (Proof("a.example"), nobody, ()),
        ):
            self.assertEqual(proof.chain_for(authorities), expected, proof)


class HandshakeTests(SynchronousTestCase):
    """What the handshake leaves."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        write_certificate(self.directory, "one", ["app.example", "*.b.example"])
        write_certificate(self.directory, "default", ["fallback.example"], address="2001:db8::1")
        self.edge = CertificateDirectory(str(self.directory), Clock()).context

    def shake_hands(
        self, name: str | None, visitor: ssl.SSLContext, session: ssl.SSLSession | None = None
    ) -> tuple[ssl.SSLObject, ProvenTls]:
        """Complete a handshake and read the ticket; return both ends."""
        to_edge, to_visitor = ssl.MemoryBIO(), ssl.MemoryBIO()
        near = visitor.wrap_bio(to_visitor, to_edge, False, name, session)
        far = self.edge.wrap_bio(to_edge, to_visitor, True)
        assert isinstance(far, ProvenTls)
        ends: list[ssl.SSLObject] = [near, far]
        while ends:
            for end in list(ends):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
                ends.remove(end)
        far.write(b"x")
        self.assertEqual(near.read(1), b"x")
        return near, far

    def test_proof(self) -> None:
        """It has the name in its normal form, and the names of the certificate that was shown."""
        shown = {"app.example", "*.b.example"}
        default = {"fallback.example", "[2001:db8::1]"}
        for version in BOTH_VERSIONS:
            for name, asked, names in (
                ("app.example", "app.example", shown),
                ("APP.Example", "app.example", shown),
                ("x.b.example", "x.b.example", shown),
                ("unknown.example", "unknown.example", default),
                (None, None, default),
            ):
                _, far = self.shake_hands(name, visitor_context(version))
                self.assertEqual((far.proof.asked, set(far.proof.names)), (asked, names))

    def test_resumed(self) -> None:
        """A session goes on for its own name; under another one it is for one of both, and never for the other."""
        for version, goes_on_for, not_for in (
            (ssl.TLSVersion.TLSv1_2, "app.example", "unknown.example"),  # OpenSSL: the name belongs to the session
            (ssl.TLSVersion.TLSv1_3, "unknown.example", "app.example"),
        ):
            visitor = visitor_context(version)
            near, _ = self.shake_hands("app.example", visitor)
            again, far = self.shake_hands("app.example", visitor, near.session)
            self.assertTrue(again.session_reused)
            self.assertTrue(far.proof.admits("x.b.example"))
            _, far = self.shake_hands("unknown.example", visitor, near.session)
            self.assertEqual((far.proof.admits(goes_on_for), far.proof.admits(not_for)), (True, False))
