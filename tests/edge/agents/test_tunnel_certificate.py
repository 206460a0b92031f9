"""Tests of the tunnel listener's own certificate."""

import errno
import os
import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from tests.edge.control import NOW, make_authority, make_settings
from warp_twisted.ca.errors import IssuerExpired
from warp_twisted.edge.agents import tunnel_certificate
from warp_twisted.edge.agents.tunnel_certificate import CHECK_SECONDS, RETRY_SECONDS, TunnelCertificate
from warp_twisted.errors import InvalidSettings

DAY = 86400.0


class TunnelCertificateTests(SynchronousTestCase):
    """Issued at the start, renewed in time."""

    def setUp(self) -> None:
        """Start with a certificate of two days."""
        self.clock = Clock()
        self.wall = SettableWallClock(NOW, self.clock)
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.contexts: list[ssl.SSLContext] = []
        self.addresses = ["192.0.2.1"]
        self.authority = make_authority(NOW)
        self.certificate = self.make()
        self.certificate.start()

    def make(self, now: float = NOW) -> TunnelCertificate:
        """Return a certificate's keeper."""
        settings = make_settings(
            ca={"root": "r", "certificate": "c", "key": "k", "edge_lifetime": 2 * DAY},
            edge={"name": "edge1", "addresses": self.addresses},
        )
        authority = self.authority if now == NOW else make_authority(now)
        made = TunnelCertificate(authority, settings, self.directory, self.clock, self.wall, self.contexts.append)
        self.addCleanup(made.stop)
        return made

    def read(self) -> x509.Certificate:
        """Return the certificate on disk."""
        return x509.load_pem_x509_certificate((self.directory / "tunnel.pem").read_bytes())

    def pass_time(self, seconds: float) -> None:
        """Let time pass in the steps in which the renewal looks."""
        for _ in range(int(seconds / CHECK_SECONDS)):
            self.clock.advance(CHECK_SECONDS)

    def test_first(self) -> None:
        """It is for the edge's name and addresses, its key is private, and there is a context at once."""
        names = self.read().extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(names.get_values_for_type(x509.DNSName), ["edge1.warp.example"])
        self.assertEqual([str(each) for each in names.get_values_for_type(x509.IPAddress)], ["192.0.2.1"])
        self.assertEqual(stat.S_IMODE((self.directory / "tunnel.key").stat().st_mode), 0o600)
        self.assertEqual(len(self.contexts), 1)
        self.assertEqual(self.certificate.expires_at, NOW + 2 * DAY)

    def test_renewed_at_half_life(self) -> None:
        """At half its life another takes its place, with another key."""
        first = self.read()
        self.pass_time(DAY - CHECK_SECONDS)
        self.assertEqual(len(self.contexts), 1)
        self.pass_time(CHECK_SECONDS)
        self.assertEqual(len(self.contexts), 2)
        self.assertNotEqual(self.read().public_key(), first.public_key())
        self.assertEqual(self.certificate.expires_at, NOW + 3 * DAY)

    def test_renewal_that_fails(self) -> None:
        """A renewal that fails is logged, the old certificate stays, and it is tried again after a while."""
        self.directory.rename(self.directory.with_name("away"))
        self.pass_time(DAY)
        self.assertEqual(len(self.contexts), 1)
        self.directory.with_name("away").rename(self.directory)
        self.pass_time(RETRY_SECONDS)
        self.assertEqual(len(self.contexts), 2)

    def test_slow_disk(self) -> None:
        """While a disk does not answer, the old certificate stays, and no second renewal begins."""
        waiting: list[tuple[Deferred[Any], Callable[[], Any]]] = []

        def in_thread(work: Callable[[], Any], /) -> Deferred[Any]:
            waiting.append((Deferred(), work))
            return waiting[-1][0]

        self.patch(self.certificate, "_in_thread", in_thread)
        self.pass_time(DAY + 5 * CHECK_SECONDS)
        self.certificate.clock_stepped()
        self.assertEqual((len(waiting), len(self.contexts)), (1, 1))
        deferred, work = waiting.pop()
        deferred.callback(work())
        self.assertEqual((len(waiting), len(self.contexts)), (0, 2))
        self.pass_time(DAY)
        self.assertEqual(len(waiting), 1)

    def test_kept(self) -> None:
        """A start uses what is there for the first half of its life; then, or for other names, it issues anew."""
        first = self.read()
        self.certificate.stop()
        self.make().start()
        self.assertEqual((self.read(), len(self.contexts)), (first, 2))
        self.clock.advance(DAY)
        self.make().start()
        second = self.read()
        self.assertNotEqual(second, first)
        for spoil in (
            lambda: (self.directory / "tunnel.key").write_text("damaged"),
            lambda: (self.directory / "tunnel.pem").write_text("damaged"),
            lambda: (self.directory / "tunnel.key").unlink(),
            lambda: setattr(self, "addresses", ["192.0.2.2"]),
        ):
            spoil()
            self.make().start()
            self.assertNotEqual(self.read(), second)
            second = self.read()

    def test_full_disk(self) -> None:
        """Where none can be written, a start uses what is there to its end, and then says what is wrong."""
        first = self.read()
        self.certificate.stop()
        self.clock.advance(1.5 * DAY)

        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self.patch(tunnel_certificate, "write_file", refuse)
        again = self.make()
        again.start()
        self.assertEqual((self.read(), len(self.contexts)), (first, 2))
        self.assertEqual(again.expires_at, NOW + 2 * DAY)
        self.clock.advance(DAY)
        error = self.assertRaises(InvalidSettings, self.make().start)
        self.assertIn("No space left on device", str(error))

    def test_clock_that_was_wrong(self) -> None:
        """What a clock that was ahead made issue is replaced when it is right, and not by one that is behind."""
        self.certificate.clock_stepped()
        self.assertEqual(len(self.contexts), 1)
        self.wall.set(NOW + 4 * DAY)
        self.certificate.clock_stepped()
        self.assertEqual((len(self.contexts), self.certificate.expires_at), (2, NOW + 6 * DAY))
        self.wall.set(NOW - 20_000 * DAY)
        self.certificate.clock_stepped()
        self.assertEqual(len(self.contexts), 2)
        self.wall.set(NOW)
        self.certificate.clock_stepped()
        self.assertEqual((len(self.contexts), self.certificate.expires_at), (3, NOW + 2 * DAY))

    def test_expired_intermediate(self) -> None:
        """An intermediate that has ended stops the start, in words."""
        ended = self.make(NOW - 366 * DAY)
        self.assertIn("valid from", str(self.assertRaises(IssuerExpired, ended.start)))

    def test_stop(self) -> None:
        """After stop nothing is renewed."""
        self.certificate.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
