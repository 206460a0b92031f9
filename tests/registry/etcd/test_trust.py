"""
Tests of `warp_twisted.registry.etcd.trust`: which files are refused, and why.

What they open is in `tests.system.registry.test_trust`.
"""

from datetime import UTC, datetime
from pathlib import Path

from OpenSSL import SSL
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.ca.errors import BadCaFile
from warp_twisted.ca.registry_certificates import LIFETIME, Use
from warp_twisted.ca.registry_files import add_certificate, init_registry
from warp_twisted.ca.store import init_root
from warp_twisted.registry.etcd.trust import RegistryTrust, TrustFiles

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class _NoCallbacks:
    """What pyOpenSSL calls C by, where the system gives no memory for callbacks."""

    def __init__(self, ffi: object) -> None:
        self._ffi = ffi

    def __getattr__(self, name: str) -> object:
        return getattr(self._ffi, name)

    def callback(self, *_: object) -> object:
        raise MemoryError("Cannot allocate write+execute memory for ffi.callback()")


class RegistryTrustTests(SynchronousTestCase):
    """`RegistryTrust`."""

    def setUp(self) -> None:
        """Make a registry's authority and an edge's certificate."""
        self.directory = Path(self.mktemp())
        init_registry(self.directory, "warp.example", NOW)
        self.path, _ = add_certificate(self.directory, Use.CLIENT, "edge1", (), NOW)

    def files(self, *, ca: str = "registry-root.pem", certificate: str = "", key: str = "") -> TrustFiles:
        """Return the files, one of which may be another."""
        own = self.path.name
        return TrustFiles(
            ca=self.directory / ca,
            certificate=self.directory / (certificate or own),
            key=self.directory / (key or own.replace(".pem", ".key")),
        )

    def test_good(self) -> None:
        """It says until when the client's certificate is good."""
        self.assertEqual(RegistryTrust(self.files()).expires_at, (NOW + LIFETIME).timestamp())

    def test_no_callbacks(self) -> None:
        """A connection is made without a callback into Python, which a process without executable heap cannot have."""
        self.patch(SSL, "_ffi", _NoCallbacks(getattr(SSL, "_ffi", None)))
        trust = RegistryTrust(self.files())
        for hostname in (b"192.0.2.10", b"[2001:db8::1]", b"etcd1.example"):
            creator = trust.creatorForNetloc(hostname, 2379)
            creator.clientConnectionForTLS(TLSMemoryBIOProtocol(Factory(), Protocol()))
        with self.assertRaises(MemoryError):  # so it is where another context would ask for one
            SSL.Context(SSL.TLS_METHOD).set_verify(SSL.VERIFY_PEER, lambda *_: True)

    def test_fleet_root(self) -> None:
        """The fleet's root is refused as etcd's authority, whatever else fits."""
        root = init_root(self.directory, "warp.example", NOW)
        with self.assertRaisesRegex(BadCaFile, r"root.pem: this is the fleet's root.*with: warp ca registry init"):
            RegistryTrust(self.files(ca="root.pem"), [root])

    def test_refused(self) -> None:
        """Files that are missing, damaged or not of each other are named."""
        add_certificate(self.directory, Use.CLIENT, "edge2", (), NOW)
        other = self.directory / "other"
        init_registry(other, "other.example", NOW)
        (self.directory / "damaged").write_text("-----BEGIN PRIVATE KEY-----\n")
        for files, why in (
            (self.files(ca="absent"), "absent: No such file"),
            (self.files(ca=self.path.name.replace(".pem", ".key")), "key: not a PEM certificate"),
            (self.files(key="absent"), "absent: No such file"),
            (self.files(key="damaged"), "damaged: not a PEM private key"),
            (self.files(key="registry-client-edge2.key"), "is not the key of .*registry-client-edge1.pem"),
            (self.files(ca="other/registry-root.pem"), "is not signed by the authority in .*other/registry-root.pem"),
        ):
            with self.assertRaisesRegex(BadCaFile, why):
                RegistryTrust(files)

    def test_bad_files_change_nothing(self) -> None:
        """What cannot be read leaves what is in use."""
        trust = RegistryTrust(self.files())
        with self.assertRaises(BadCaFile):
            trust.read(self.files(key="absent"))
        self.assertEqual(trust.expires_at, (NOW + LIFETIME).timestamp())
