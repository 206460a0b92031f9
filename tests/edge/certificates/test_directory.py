"""Tests of the certificates that visitors are shown, with handshakes in memory."""

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.certificate_files import write_certificate
from tests.self_signed import self_signed
from warp_twisted.edge.certificates.directory import CHECK_SECONDS, CertificateDirectory
from warp_twisted.edge.certificates.ordered import load_ordered
from warp_twisted.errors import InvalidSettings


def visitor_context(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """Return a visitor that trusts everybody and speaks one version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def shake_hands(edge: ssl.SSLContext, name: str | None, visitor: ssl.SSLContext | None = None) -> ssl.SSLObject:
    """Complete a handshake in memory and return the visitor's end; raises ssl.SSLError as the visitor sees it."""
    to_edge, to_visitor = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = (visitor or visitor_context()).wrap_bio(to_visitor, to_edge, False, name)
    far = edge.wrap_bio(to_edge, to_visitor, True)
    ends = [near, far]
    error: ssl.SSLError | None = None
    for _ in range(10):
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as problem:
                if end is near:
                    raise
                error = problem
            ends.remove(end)
        if not ends:
            break
    if error is not None:
        raise error
    return near


class CertificateTests(SynchronousTestCase):
    """A directory of certificates."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.clock = Clock()

    def shown(self, certificates: CertificateDirectory, name: str | None) -> bytes | None:
        """Return the certificate that a visitor is shown."""
        return shake_hands(certificates.context, name).getpeercert(binary_form=True)

    def assert_alert(self, certificates: CertificateDirectory, name: str | None) -> None:
        """Expect the alert that no certificate fits."""
        with self.assertRaises(ssl.SSLError) as caught:
            shake_hands(certificates.context, name)
        self.assertIn("UNRECOGNIZED_NAME", str(caught.exception).upper().replace(" ", "_"))

    def refresh(self, certificates: CertificateDirectory) -> list[str]:
        """Read what has changed, and return the complaints."""
        self.successResultOf(certificates.refresh())
        return certificates.complaints

    def touch_later(self, *names: str) -> None:
        """Give files another time of change, as a file system with coarse clocks might not."""
        for name in names:
            status = (self.directory / name).stat()
            os.utime(self.directory / name, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))

    def test_chosen_by_name(self) -> None:
        """The exact name wins over the wildcard, which covers one label; case and a trailing dot do not count."""
        exact = write_certificate(self.directory, "one", ["app.example", "other.example"])
        wild = write_certificate(self.directory, "two", ["*.example"], joined=True)
        certificates = CertificateDirectory(str(self.directory), self.clock)
        for name, expected in (
            ("app.example", exact),
            ("APP.Example", exact),
            ("other.example", exact),
            ("any.example", wild),
        ):
            self.assertEqual(self.shown(certificates, name), expected, name)
        for unknown in ("a.b.example", "example", "elsewhere.test", None):
            self.assert_alert(certificates, unknown)

    def test_ordered(self) -> None:
        """What was ordered is shown where the directory has nothing for a hostname, before the default certificate."""
        own = write_certificate(self.directory, "one", ["app.example", "*.team.example"])
        default = write_certificate(self.directory, "default", ["fallback.example"])
        certificates = CertificateDirectory(str(self.directory), self.clock)
        _, pem, key = self_signed("example", ["example", "*.example", "x.team.example"])
        ordered = load_ordered("example", pem.decode(), key.decode())
        certificates.use_ordered({"example": ordered})
        der = ssl.PEM_cert_to_DER_cert(pem.decode())
        for name, expected in (
            ("app.example", own),
            ("x.team.example", own),
            ("other.example", der),
            ("example", der),
            ("a.b.example", default),
            (None, default),
        ):
            self.assertEqual(self.shown(certificates, name), expected, name)
        self.assertTrue(certificates.has_certificate("other.example"))
        self.assertEqual([certificates.is_ordered(name) for name in ("example", "a.b.example")], [True, False])
        self.assertEqual([each.name for each in certificates.ordered], ["example"])
        certificates.use_ordered({})
        self.assertEqual(self.shown(certificates, "other.example"), default)

    def test_no_directory(self) -> None:
        """Where all certificates are ordered, there need not be one."""
        certificates = CertificateDirectory(None, self.clock)
        self.assertEqual(self.refresh(certificates), [])
        self.assert_alert(certificates, "app.example")
        _, pem, key = self_signed("app.example", ["app.example"])
        certificates.use_ordered({"app.example": load_ordered("app.example", pem.decode(), key.decode())})
        self.assertEqual(self.shown(certificates, "app.example"), ssl.PEM_cert_to_DER_cert(pem.decode()))

    def test_default(self) -> None:
        """`default.pem` is shown for unknown names and without one."""
        exact = write_certificate(self.directory, "one", ["app.example"])
        default = write_certificate(self.directory, "default", ["fallback.example"])
        certificates = CertificateDirectory(str(self.directory), self.clock)
        for name, expected in (("app.example", exact), ("unknown.example", default), (None, default)):
            self.assertEqual(self.shown(certificates, name), expected, name)

    def test_address(self) -> None:
        """A certificate for an IP address is shown to visitors that send no name."""
        write_certificate(self.directory, "a", ["app.example"])
        expected = write_certificate(self.directory, "b", ["ip.example"], address="127.0.0.1")
        certificates = CertificateDirectory(str(self.directory), self.clock)
        self.assertEqual(self.shown(certificates, None), expected)
        self.assert_alert(certificates, "unknown.example")

    def test_protocols(self) -> None:
        """TLS 1.2 and 1.3 with http/1.1 in ALPN are spoken, TLS 1.1 is not."""
        write_certificate(self.directory, "one", ["app.example"])
        certificates = CertificateDirectory(str(self.directory), self.clock)
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            visitor = shake_hands(certificates.context, "app.example", visitor_context(version))
            self.assertEqual((visitor.version(), visitor.selected_alpn_protocol()), (name, "http/1.1"))
        old = visitor_context()
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        self.assertRaises(ssl.SSLError, shake_hands, certificates.context, "app.example", old)

    def test_only_forward_secrecy(self) -> None:
        """TLS 1.2 without forward secrecy or without authenticated encryption is refused."""
        write_certificate(self.directory, "one", ["app.example"])
        certificates = CertificateDirectory(str(self.directory), self.clock)
        for ciphers in ("AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"):
            visitor = visitor_context(ssl.TLSVersion.TLSv1_2)
            visitor.set_ciphers(ciphers)
            self.assertRaises(ssl.SSLError, shake_hands, certificates.context, "app.example", visitor)

    def test_reloaded(self) -> None:
        """A changed, a new and a removed file are noticed without a restart."""
        write_certificate(self.directory, "one", ["app.example"])
        write_certificate(self.directory, "two", ["gone.example"])
        certificates = CertificateDirectory(str(self.directory), self.clock)
        certificates.start()
        self.addCleanup(certificates.stop)
        changed = write_certificate(self.directory, "one", ["app.example"])
        self.touch_later("one.pem", "one.key")
        new = write_certificate(self.directory, "three", ["new.example"])
        (self.directory / "two.pem").unlink()
        self.clock.advance(CHECK_SECONDS)
        self.assertEqual(self.shown(certificates, "app.example"), changed)
        self.assertEqual(self.shown(certificates, "new.example"), new)
        self.assert_alert(certificates, "gone.example")
        self.assertEqual([certificate.name for certificate in certificates.certificates], ["one", "three"])

    def test_slow_disk(self) -> None:
        """While a disk does not answer, visitors are shown what there was, and nothing else is looked for."""
        waiting: list[tuple[Deferred[Any], Callable[[], Any]]] = []

        def in_thread(work: Callable[[], Any], /) -> Deferred[Any]:
            waiting.append((Deferred(), work))
            return waiting[-1][0]

        before = write_certificate(self.directory, "one", ["app.example"])
        certificates = CertificateDirectory(str(self.directory), self.clock, in_thread)
        certificates.start()
        self.addCleanup(certificates.stop)
        self.clock.advance(CHECK_SECONDS)
        after = write_certificate(self.directory, "one", ["app.example"])
        self.touch_later("one.pem", "one.key")
        self.clock.pump([CHECK_SECONDS] * 3)
        self.assertEqual((len(waiting), self.shown(certificates, "app.example")), (1, before))
        asked = Deferred.fromCoroutine(certificates.refresh())  # as a reload does
        deferred, work = waiting.pop()
        deferred.callback(work())
        self.assertTrue(self.successResultOf(asked))
        self.assertEqual(self.shown(certificates, "app.example"), after)
        write_certificate(self.directory, "one", ["app.example"])
        self.touch_later("one.pem", "one.key")
        early, early_work = waiting.pop()
        early.callback(early_work())
        self.assertEqual(self.shown(certificates, "app.example"), after, "a read that was begun before does not count")

    def test_bad_file_keeps_the_old(self) -> None:
        """A file that cannot be used changes nothing, until it is good again."""
        before = write_certificate(self.directory, "one", ["app.example"])
        certificates = CertificateDirectory(str(self.directory), self.clock)
        good_key = (self.directory / "one.key").read_bytes()
        after = write_certificate(self.directory, "one", ["app.example"])
        new_key = (self.directory / "one.key").read_bytes()
        for text in (b"", b"nonsense", good_key):
            (self.directory / "one.key").write_bytes(text)
            self.touch_later("one.key")
            complaints = self.refresh(certificates)
            self.assertEqual(len(complaints), 1)
            self.assertIn("one.pem cannot be used", complaints[0])
            self.assertEqual(self.shown(certificates, "app.example"), before)
        (self.directory / "one.key").write_bytes(new_key)
        self.touch_later("one.key")
        self.touch_later("one.key")
        self.assertEqual(self.refresh(certificates), [])
        self.assertEqual(self.shown(certificates, "app.example"), after)

    def test_what_cannot_be_used(self) -> None:
        """A certificate without names and one without a key are refused by file, and others are served."""
        good = write_certificate(self.directory, "good", ["app.example"])
        write_certificate(self.directory, "nameless", [])
        write_certificate(self.directory, "keyless", ["b.example"])
        (self.directory / "keyless.key").unlink()
        certificates = CertificateDirectory(str(self.directory), self.clock)
        self.assertEqual([certificate.name for certificate in certificates.certificates], ["good"])
        self.assertEqual(self.shown(certificates, "app.example"), good)

    def test_one_that_is_no_file(self) -> None:
        """A link to nowhere, a directory and a pipe are named each time, and the others are read, old and new."""
        good = write_certificate(self.directory, "good", ["app.example"])
        (self.directory / "gone.pem").symlink_to("/nowhere/fullchain.pem")
        (self.directory / "gone.key").symlink_to("/nowhere/privkey.pem")
        (self.directory / "folder.pem").mkdir()
        os.mkfifo(self.directory / "pipe.pem")
        write_certificate(self.directory, "half", ["half.example"])
        (self.directory / "half.key").unlink()
        (self.directory / "half.key").symlink_to("/nowhere/privkey.pem")
        certificates = CertificateDirectory(str(self.directory), self.clock)
        self.assertEqual(self.shown(certificates, "app.example"), good)
        later = write_certificate(self.directory, "later", ["later.example"])
        for _ in range(2):
            folder, gone, half, pipe = self.refresh(certificates)
            self.assertIn("folder.pem is no file", folder)
            self.assertIn("gone.pem is a link to /nowhere/fullchain.pem, which cannot be opened", gone)
            self.assertIn("half.key is a link to /nowhere/privkey.pem, which cannot be opened", half)
            self.assertIn("pipe.pem is no file", pipe)
        self.assertEqual(self.shown(certificates, "later.example"), later)
        (self.directory / "half.key").unlink()
        (self.directory / "gone.pem").unlink()
        self.assertEqual(len(self.refresh(certificates)), 3)

    def test_target_goes(self) -> None:
        """A certificate whose link comes to point to nowhere is used on, and named; the link's removal removes it."""
        store = self.directory / "lineage"
        store.mkdir()
        expected = write_certificate(store, "one", ["app.example"], joined=True)
        (self.directory / "one.pem").symlink_to("lineage/one.pem")
        certificates = CertificateDirectory(str(self.directory), self.clock)
        self.assertEqual(self.shown(certificates, "app.example"), expected)
        (store / "one.pem").unlink()
        self.assertEqual(len(self.refresh(certificates)), 1)
        self.assertEqual(self.shown(certificates, "app.example"), expected)
        (self.directory / "one.pem").unlink()
        self.assertEqual(self.refresh(certificates), [])
        self.assert_alert(certificates, "app.example")

    def test_what_is_known_of_a_certificate(self) -> None:
        """Its names and its end can be asked for."""
        write_certificate(self.directory, "one", ["App.Example", "*.b.example"])
        (certificate,) = CertificateDirectory(str(self.directory), self.clock).certificates
        self.assertEqual(certificate.hostnames, ("app.example", "*.b.example"))
        self.assertGreater(certificate.expires_at, 1_700_000_000)

    def test_directory_that_is_not_there(self) -> None:
        """A directory that cannot be read is a mistake in the settings; one that vanishes later changes nothing."""
        with self.assertRaises(InvalidSettings) as caught:
            CertificateDirectory(str(self.directory / "missing"), self.clock)
        self.assertIn("certificates: ", str(caught.exception))
        expected = write_certificate(self.directory, "one", ["app.example"])
        certificates = CertificateDirectory(str(self.directory), self.clock)
        certificates.start()
        self.addCleanup(certificates.stop)
        self.directory.rename(self.directory.with_suffix(".moved"))
        self.clock.advance(CHECK_SECONDS)
        self.assertEqual(self.shown(certificates, "app.example"), expected)
