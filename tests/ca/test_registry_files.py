"""Tests of the files of a registry's authority."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.ca.errors import AlreadyExists, BadCaFile
from warp_twisted.ca.issue import new_key, new_request
from warp_twisted.ca.registry_certificates import Use
from warp_twisted.ca.registry_files import (
    add_certificate,
    init_registry,
    load_registry_root,
    renew,
    sign_certificate,
)
from warp_twisted.ca.store import add_edge, init_root, load_root, read_certificates, read_key

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class RegistryFilesTests(SynchronousTestCase):
    """The directory of `warp ca registry`."""

    def setUp(self) -> None:
        """Make a registry's authority beside a fleet's."""
        self.directory = Path(self.mktemp())
        init_root(self.directory, "warp.example", NOW)
        add_edge(self.directory, "edge1", NOW)
        init_registry(self.directory, "warp.example", NOW)

    def test_two_authorities_in_one_directory(self) -> None:
        """Neither is taken for the other, and keys are their owner's."""
        self.assertNotEqual(load_root(self.directory).certificate, load_registry_root(self.directory).certificate)
        path, certificate = add_certificate(self.directory, Use.CLIENT, "edge1", (), NOW)
        self.assertEqual(path.name, "registry-client-edge1.pem")
        self.assertEqual(read_key(path.with_suffix(".key")).public_key(), certificate.public_key())
        self.assertEqual(stat.S_IMODE(path.with_suffix(".key").stat().st_mode), 0o600)

    def test_fleet_root_is_refused(self) -> None:
        """A fleet's root under the registry's name signs nothing."""
        for kind in ("pem", "key"):
            (self.directory / f"registry-root.{kind}").write_bytes((self.directory / f"root.{kind}").read_bytes())
        with self.assertRaisesRegex(BadCaFile, "not the root of a registry; below the fleet's root every agent's"):
            add_certificate(self.directory, Use.CLIENT, "edge1", (), NOW)

    def test_nothing_is_overwritten(self) -> None:
        """A second root, and a second certificate of one name, are refused."""
        with self.assertRaises(AlreadyExists):
            init_registry(self.directory, "warp.example", NOW)
        add_certificate(self.directory, Use.PEER, "etcd1", ("192.0.2.1",), NOW)
        with self.assertRaises(AlreadyExists):
            add_certificate(self.directory, Use.PEER, "etcd1", ("192.0.2.1",), NOW)

    def test_no_root(self) -> None:
        """Without a root it is said how to make one."""
        with self.assertRaisesRegex(BadCaFile, "make it first, with: warp ca registry init"):
            load_registry_root(Path(self.mktemp()))

    def test_request(self) -> None:
        """A key that was made elsewhere stays there."""
        key = new_key()
        found = sign_certificate(self.directory, Use.SERVER, "etcd1", ("192.0.2.1",), new_request(key), NOW)
        self.assertEqual(found.public_key(), key.public_key())
        self.assertEqual(list(self.directory.glob("registry-server-*")), [])

    def test_renewed_in_its_last_90_days(self) -> None:
        """What ends within 90 days is renewed in its place, what ends later stays as it is; keys stay in any case."""
        add_certificate(self.directory, Use.CLIENT, "edge1", (), NOW)
        add_certificate(self.directory, Use.SERVER, "etcd1", ("192.0.2.1",), NOW + timedelta(days=100))
        keys = {path: path.read_bytes() for path in self.directory.glob("*.key")}
        fleet = {path: path.read_bytes() for path in (self.directory / "edge1.pem", self.directory / "root.pem")}
        for days, due in ((274, []), (276, ["registry-client-edge1.pem"]), (277, [])):
            found = list(renew(self.directory, NOW + timedelta(days=days)))
            self.assertEqual([path.name for path, _, is_new in found if is_new], due, days)
            self.assertEqual(len(found), 2)
            self.assertEqual([read_certificates(path)[0] for path, _, _ in found], [each for _, each, _ in found])
        self.assertEqual(keys, {path: path.read_bytes() for path in keys})
        self.assertEqual(fleet, {path: path.read_bytes() for path in fleet})

    def test_stranger_is_named(self) -> None:
        """A certificate of another authority is not renewed but named."""
        other = Path(self.mktemp())
        init_registry(other, "other.example", NOW)
        path, _ = add_certificate(other, Use.CLIENT, "edge1", (), NOW)
        (self.directory / path.name).write_bytes(path.read_bytes())
        with self.assertRaisesRegex(BadCaFile, "registry-client-edge1.pem: it is not a certificate of this registry"):
            list(renew(self.directory, NOW + timedelta(days=300)))
