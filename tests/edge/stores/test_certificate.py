"""Tests of the certificate with which an edge asks etcd."""

from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from warp_twisted.ca.issue import utc
from warp_twisted.ca.registry_certificates import Use
from warp_twisted.ca.registry_files import add_certificate, init_registry
from warp_twisted.ca.store import init_root
from warp_twisted.edge.stores.certificate import LOOK_SECONDS, SAY_SECONDS, RegistryCertificate, load_trust
from warp_twisted.edge.stores.settings import EtcdSettings, RegistrySettings
from warp_twisted.errors import InvalidSettings

NOW = 1_795_000_000.0
YEAR = 365 * 86400.0


class RegistryCertificateTests(SynchronousTestCase):
    """`RegistryCertificate` and `load_trust`."""

    def setUp(self) -> None:
        """Make a registry's authority, and an edge's certificate for etcd."""
        self.directory = Path(self.mktemp())
        self.clock, self.wall = Clock(), SettableWallClock(NOW)
        init_registry(self.directory, "warp.example", utc(NOW))
        add_certificate(self.directory, Use.CLIENT, "edge1", (), utc(NOW))

    def settings(self, ca: str = "registry-root.pem", name: str = "registry-client-edge1") -> RegistrySettings:
        """Return settings."""
        etcd = EtcdSettings(
            endpoints=("https://etcd1:2379",),
            ca=str(self.directory / ca),
            certificate=str(self.directory / f"{name}.pem"),
            key=str(self.directory / f"{name}.key"),
        )
        return RegistrySettings(etcd=etcd)

    def make(self) -> RegistryCertificate:
        """Return the certificate of an edge that runs."""
        trust = load_trust(self.settings().etcd, [])
        found = RegistryCertificate(self.clock, self.wall, self.settings, trust)
        found.start()
        self.addCleanup(found.stop)
        return found

    def said(self, found: RegistryCertificate, looks: int) -> int:
        """Return how often the log said that it ends, in so many looks."""
        with capturedLogs() as events:
            self.clock.pump([LOOK_SECONDS] * looks)
        return len([each for each in events if each["log_source"] is found])

    def test_files_are_named(self) -> None:
        """A file that cannot be used is named with its key; so is the fleet's root in place of etcd's authority."""
        root = init_root(self.directory, "warp.example", utc(NOW))
        for settings, why in (
            (self.settings(ca="absent.pem"), "registry.etcd.ca: .*No such file"),
            (self.settings(name="absent"), "registry.etcd.certificate: .*No such file"),
            (self.settings(ca="root.pem"), "registry.etcd.ca: .*this is the fleet's root"),
        ):
            with self.assertRaisesRegex(InvalidSettings, f"^{why}"):
                load_trust(settings.etcd, [root])

    def test_without_tls(self) -> None:
        """An etcd on loopback needs no certificate, and none is looked at."""
        settings = RegistrySettings(etcd=EtcdSettings(endpoints=("http://127.0.0.1:2379",)))
        self.assertIsNone(load_trust(settings.etcd, []))
        found = RegistryCertificate(self.clock, self.wall, lambda: settings, None)
        found.start()
        found.read()
        self.assertIsNone(found.expires_at)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_end_is_said_in_time(self) -> None:
        """In its last 30 days the log says once a day that it ends; after a renewal no more."""
        found = self.make()
        self.assertEqual(self.said(found, 1), 0)
        self.wall.offset += YEAR - 29.5 * 86400
        self.assertEqual(self.said(found, 2), 1)
        self.assertEqual(self.said(found, int(SAY_SECONDS / LOOK_SECONDS)), 1)
        for path in self.directory.glob("registry-client-*"):
            path.unlink()
        add_certificate(self.directory, Use.CLIENT, "edge1", (), utc(self.wall.now()))
        found.read()
        assert found.expires_at is not None
        self.assertGreater(found.expires_at, NOW + 1.5 * YEAR)
        self.assertEqual(self.said(found, 48), 0)

    def test_read_again(self) -> None:
        """Files that cannot be used leave what is in use, and are named."""
        found = self.make()
        before = found.expires_at
        (self.directory / "registry-client-edge1.key").unlink()
        with self.assertRaisesRegex(InvalidSettings, "^registry.etcd.key: "):
            found.read()
        self.assertEqual(found.expires_at, before)
