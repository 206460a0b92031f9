"""Tests of what can be known of an edge.yaml before the edge starts."""

import sqlite3
from contextlib import closing
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.case import short_directory_of
from tests.clocks import SettableWallClock
from tests.edge.certificate_files import write_certificate
from tests.edge.control import ZONE, make_settings
from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_base.reactor import as_reactor
from warp_twisted.ca.issue import utc
from warp_twisted.ca.store import add_edge, init_root
from warp_twisted.edge.check import check_edge
from warp_twisted.errors import InvalidSettings
from warp_twisted.registry.policy_versions import PolicyVersions
from warp_twisted.registry.sqlite import SqliteStore
from warp_twisted.registry.sqlite_file import FILE


class CheckTests(SynchronousTestCase):
    """One edge's files, with one thing wrong at a time."""

    def setUp(self) -> None:
        """Make a certificate authority and directories."""
        self.directory = short_directory_of(self)
        (self.directory / "certificates").mkdir()
        self.reactor = MemoryReactorClock()
        self.wall = SettableWallClock(MACHINE_WALL_CLOCK.now())
        now = utc(self.wall.now())
        init_root(self.directory / "ca", ZONE, now)
        add_edge(self.directory / "ca", "edge1", now, [ZONE])

    def sections(self, **changes: Any) -> dict[str, Any]:
        """Return the sections of a good configuration, some of them changed."""
        ca = self.directory / "ca"
        return {
            "ca": {"root": str(ca / "root.pem"), "certificate": str(ca / "edge1.pem"), "key": str(ca / "edge1.key")},
            "listen": {"https": [], "admin": str(self.directory / "admin.sock")},
            "state": str(self.directory / "state"),
            **changes,
        }

    def refusal(self, **changes: Any) -> str:
        """Return why a configuration is refused."""
        settings = make_settings(**self.sections(**changes))
        reactor = as_reactor(self.reactor)
        return str(self.assertRaises(InvalidSettings, check_edge, reactor, settings, wall=self.wall))

    def test_good(self) -> None:
        """A good configuration passes; nothing was listened on, and nothing made."""
        before = sorted(self.directory.rglob("*"))
        check_edge(as_reactor(self.reactor), make_settings(**self.sections()))
        self.assertEqual((sorted(self.directory.rglob("*")), self.reactor.tcpServers), (before, []))

    def test_policy(self) -> None:
        """The policy of a file, or else the fleet's in the registry, must be one that the edge could begin with."""
        file = self.directory / "policy.yaml"
        file.write_text("rules: 7")
        self.assertIn(f"policy: {file}: rules: expected", self.refusal(policy=str(file)))
        store = SqliteStore(self.directory / "state", Clock())
        adding = PolicyVersions(store).add(b"rules: 7", [], replaces=0, applied_at=0.0)
        self.successResultOf(Deferred.fromCoroutine(adding))
        self.assertIn("version 1 of the policy: rules: expected", self.refusal())
        self.successResultOf(store.close())
        file.write_text("rules: []")
        check_edge(as_reactor(self.reactor), make_settings(**self.sections(policy=str(file))), wall=self.wall)

    def test_authority(self) -> None:
        """A file of the authority that is missing, and an authority for another zone, are named with their keys."""
        ca = self.sections()["ca"]
        self.assertTrue(self.refusal(ca=ca | {"root": "/nonexistent/root.pem"}).startswith("ca.root: "))
        self.assertIn("agents would not trust this edge", self.refusal(zone="other.example"))

    def test_authority_that_has_ended(self) -> None:
        """An intermediate that has ended cannot issue, and its file is named."""
        self.wall.offset += 3 * 366 * 86400
        self.assertTrue(self.refusal().startswith("ca.certificate: "))

    def test_state(self) -> None:
        """A state directory that is a file is refused."""
        (self.directory / "file").write_text("")
        self.assertTrue(self.refusal(state=str(self.directory / "file")).startswith("state: "))

    def test_later_registry(self) -> None:
        """A registry that this release must not read is refused, and which release may is said; any other passes."""
        state = self.directory / "other"
        store = SqliteStore(state, Clock())
        self.successResultOf(store.close())
        check_edge(as_reactor(self.reactor), make_settings(**self.sections(state=str(state))), wall=self.wall)
        with closing(sqlite3.connect(state / FILE)) as connection:
            connection.execute("UPDATE layout SET number = 9, release = '9.1.0', oldest = '9.0.0'")
            connection.execute("PRAGMA user_version = 9")
            connection.commit()
        refusal = self.refusal(state=str(state))
        self.assertTrue(refusal.startswith(f"state: {state / FILE} was written by Warp 9.1.0"), refusal)
        self.assertIn("may be read from Warp 9.0.0 on", refusal)

    def test_listeners(self) -> None:
        """A listener that is no endpoint, and one that another has, are named with their keys."""
        listen = self.sections()["listen"]
        self.assertTrue(self.refusal(listen=listen | {"http": ["nonsense:x"]}).startswith("listen.http[0]: "))
        self.assertIn("listen.metrics", self.refusal(listen=listen | {"metrics": "tcp:80"}))
        self.assertTrue(self.refusal(listen=listen | {"dns": ["nonsense"]}).startswith("listen.dns"))

    def test_admin_socket(self) -> None:
        """A path at which there can be no socket is refused."""
        path = self.directory / "precious"
        path.write_text("")
        listen = self.sections()["listen"]
        self.assertIn("is no socket", self.refusal(listen=listen | {"admin": str(path)}))
        self.assertTrue(self.refusal(listen=listen | {"records": str(path)}).startswith("listen.records: "))
        twice = self.refusal(listen=listen | {"records": listen["admin"]})
        self.assertIn("listen.records: expected another path than", twice)

    def test_certificates(self) -> None:
        """TLS needs a directory of certificates; one of them that cannot be used is named, as the edge would start."""
        listen = self.sections()["listen"] | {"https": ["tcp:443"]}
        self.assertTrue(self.refusal(listen=listen, certificates=None).startswith("certificates: "))
        certificates = self.directory / "certificates"
        write_certificate(certificates, "app", ["app.warp.example"])
        settings = make_settings(**self.sections(listen=listen, certificates=str(certificates)))
        self.assertEqual(check_edge(as_reactor(self.reactor), settings), "")
        (certificates / "app.key").write_text("nonsense")
        found = check_edge(as_reactor(self.reactor), settings)
        self.assertTrue(found.startswith(f"certificates: {certificates}/app.pem cannot be used: "), found)

    def test_access_log(self) -> None:
        """An access log that is a directory, or in none, is refused."""
        self.assertIn("found a directory", self.refusal(log={"access": str(self.directory)}))
        self.assertIn("there is no directory", self.refusal(log={"access": str(self.directory / "a" / "b")}))
