"""Tests of `warp_twisted.agent.identity.state` and `warp_twisted.agent.identity.credentials`."""

import json
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.errors import NotEnrolled, StateBroken, StateInUse
from warp_twisted.agent.identity.credentials import Credentials
from warp_twisted.agent.identity.state import MAX_SEEN_EDGES, Identity, StateDirectory, identity_of, with_edges
from warp_twisted.ca.errors import BadCertificate
from warp_twisted.ca.issue import Issuer, issue_agent, issue_root, new_key, read_request, to_pem
from warp_twisted.names import HostnamePattern

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Authority:
    """A CA that issues agents' certificates."""

    def __init__(self) -> None:
        key = new_key()
        self.issuer = Issuer(issue_root(key, "test", NOW), key)
        self.root_pem = to_pem(self.issuer.certificate)

    def issue(self, public_key: EllipticCurvePublicKey, agent: str = "a-1", hours: float = 24) -> str:
        """Issue a certificate."""
        patterns = [HostnamePattern.parse("*.warp.example")]
        return to_pem(issue_agent(self.issuer, public_key, agent, patterns, NOW, timedelta(hours=hours)))


class StateTestCase(SynchronousTestCase):
    """A state directory and a CA."""

    def setUp(self) -> None:
        self.authority = Authority()
        self.path = Path(self.mktemp()) / "deep" / "state"
        self.state = self.open()

    def open(self) -> StateDirectory:
        """Use the directory."""
        state = StateDirectory(self.path)
        self.addCleanup(state.close)
        return state

    def store(self) -> Identity:
        """Keep a new identity."""
        key = new_key()
        identity = identity_of(
            self.authority.issue(key.public_key()), self.authority.root_pem, ["a:1", "b:2"], key.public_key()
        )
        self.state.store(key, identity)
        return identity


class StateTests(StateTestCase):
    """What is kept on disk."""

    def test_new(self) -> None:
        """A directory is made, for its owner only, and holds no identity."""
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o700)
        self.assertRaises(NotEnrolled, self.state.load)

    def test_kept(self) -> None:
        """What was stored is there for the next process, for its owner only."""
        identity = self.store()
        self.assertEqual(identity.hostnames, ("*.warp.example",))
        self.assertEqual(identity.edges, ("a:1", "b:2"))
        self.assertEqual(identity.valid_until - identity.valid_from, 25 * 3600)
        self.state.close()
        self.assertEqual(self.open().load(), identity)
        for path in self.path.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)

    def test_token_that_it_enrolled_with(self) -> None:
        """It is known as long as the identity is, and not in agent.json, which the first release reads strictly."""
        key = new_key()
        chain_pem = self.authority.issue(key.public_key())
        identity = replace(identity_of(chain_pem, self.authority.root_pem, [], key.public_key()), token_id="t-1")
        self.state.store(key, identity)
        self.assertEqual(self.state.load().token_id, "t-1")
        self.state.store_edges(identity)
        self.assertEqual(self.state.load().token_id, "t-1")
        record = json.loads((self.state.path / "agent.json").read_bytes())
        self.assertEqual(set(record), {"version", "agent_id", "edges", "seen_edges"})
        (self.state.path / "enrolled-with.json").write_text('{"agent_id": "another", "token_id": "t-2"}')
        self.assertEqual(self.state.load().token_id, "")
        (self.state.path / "enrolled-with.json").unlink()
        self.assertEqual(self.state.load().token_id, "")

    def test_in_use(self) -> None:
        """A second user is refused until the first has closed the directory."""
        self.assertRaises(StateInUse, StateDirectory, self.path)
        self.state.close()
        self.open()

    def test_cannot_be_made(self) -> None:
        """A path through a file is refused with the reason."""
        file = Path(self.mktemp())
        file.write_text("")
        error = self.assertRaises(StateBroken, StateDirectory, file / "state")
        self.assertIn("Not a directory", str(error))

    def test_crash_between_files(self) -> None:
        """Whichever file was the last to be written before a crash, the result is whole or "not enrolled"."""
        first = self.store()
        whole = {path.name: path.read_bytes() for path in self.path.iterdir()}
        (self.path / "agent.json").unlink()
        for name in ("key.pem", "root.pem", "chain.pem"):
            (self.path / name).unlink()
            self.assertRaises(NotEnrolled, self.state.load)
        for name, content in whole.items():
            (self.path / name).write_bytes(content)
            (self.path / name).chmod(0o600)
        self.assertEqual(self.state.load(), first)

    def test_damaged(self) -> None:
        """Anything that does not fit together is refused with what to do."""
        self.store()
        whole = {path.name: path.read_bytes() for path in self.path.iterdir()}
        other = new_key()
        for name, content in (
            ("agent.json", b"{}"),
            ("agent.json", b"\xff"),
            ("chain.pem", b""),
            ("chain.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            ("chain.pem", self.authority.issue(other.public_key()).encode()),
            ("chain.pem", self.authority.root_pem.encode()),
            ("key.pem", b"no key"),
            ("root.pem", b"\xff"),
        ):
            (self.path / name).write_bytes(content)
            error = self.assertRaises(StateBroken, self.state.load)
            self.assertIn("enroll again", str(error), name)
            (self.path / name).write_bytes(whole[name])
        self.state.load()

    def test_directory_of_others(self) -> None:
        """A directory that others may write to, or that is another user's, is refused with what to do."""
        self.state.close()
        for mode in (0o770, 0o707, 0o1777):
            self.path.chmod(mode)
            error = self.assertRaises(StateBroken, StateDirectory, self.path)
            self.assertIn(f"(mode {mode:04o}); if nobody has: chmod 0700 {self.path}", str(error))
        self.path.chmod(0o755)
        self.open().close()
        self.patch(os, "geteuid", lambda: os.getuid() + 1)
        error = self.assertRaises(StateBroken, StateDirectory, self.path)
        self.assertIn(f"belongs to user {os.getuid()}, and this agent runs as user {os.getuid() + 1}", str(error))

    def test_key_of_others(self) -> None:
        """A key that others may read is refused with what to do."""
        identity = self.store()
        self.state.key_file.chmod(0o640)
        self.assertIn("chmod 0600", str(self.assertRaises(StateBroken, self.state.load)))
        self.state.key_file.chmod(0o600)
        self.assertEqual(self.state.load(), identity)

    def test_links(self) -> None:
        """No link is followed, neither to read nor to write; what a crash has left is written over."""
        identity = self.store()
        victim = Path(self.mktemp()).absolute()
        victim.write_text("precious")
        (self.path / ".agent.json.new").symlink_to(victim)
        self.state.store_edges(with_edges(identity, ["c:3"]))
        self.assertEqual((self.state.load().seen_edges, victim.read_text()), (("c:3",), "precious"))
        for name in ("agent.json", "root.pem", "chain.pem"):
            path = self.path / name
            target = path.rename(victim.with_name(name))
            path.symlink_to(target)
            self.assertIn(f"{name} is a link", str(self.assertRaises(StateBroken, self.state.load)))
            path.unlink()
            target.rename(path)
        self.state.close()
        (self.path / "lock").unlink()
        (self.path / "lock").symlink_to(victim.with_name("elsewhere"))
        self.assertRaises(StateBroken, StateDirectory, self.path)
        self.assertFalse(victim.with_name("elsewhere").exists())

    def test_renew(self) -> None:
        """A new certificate for the same key and agent replaces the old; another's is refused."""
        identity = with_edges(self.store(), ["c:3"])
        self.state.store_edges(identity)
        key = self.state.request_key().public_key()
        renewed = self.state.renew(identity, self.authority.issue(key, hours=48))
        self.assertGreater(renewed.valid_until, identity.valid_until)
        self.assertEqual(self.state.load(), renewed)
        self.assertEqual(renewed.seen_edges, ("c:3",))
        for chain in (self.authority.issue(key, agent="a-2"), self.authority.issue(new_key().public_key()), "no PEM"):
            self.assertRaises(BadCertificate, self.state.renew, renewed, chain)
        self.assertEqual(self.state.load(), renewed)

    def test_edges_are_remembered(self) -> None:
        """Where edges are now is kept beside what the token said, up to a number."""
        identity = with_edges(self.store(), [f"e:{port}" for port in range(1, 200)])
        self.state.store_edges(identity)
        self.assertEqual(len(identity.seen_edges), MAX_SEEN_EDGES)
        self.assertEqual(self.state.load(), identity)
        self.assertEqual(identity.edges, ("a:1", "b:2"))

    def test_disk_is_full(self) -> None:
        """What cannot be written is an error, and the old state stays."""
        identity = self.store()
        os.rename(self.path, self.path.with_name("away"))
        self.assertRaises(StateBroken, self.state.store_edges, with_edges(identity, ["x:1"]))
        os.rename(self.path.with_name("away"), self.path)
        self.assertEqual(self.state.load(), identity)


class CredentialsTests(StateTestCase):
    """The identity in use."""

    def test_when_to_renew(self) -> None:
        """Half way through its life a certificate is renewed, at the end it is worth nothing."""
        identity = self.store()
        credentials = Credentials(self.state, identity)
        middle = (identity.valid_from + identity.valid_until) / 2
        self.assertEqual((credentials.should_renew(middle - 1), credentials.should_renew(middle)), (False, True))
        end = identity.valid_until
        self.assertEqual((credentials.is_valid_at(end - 1), credentials.is_valid_at(end)), (True, False))

    def test_renewed(self) -> None:
        """A new certificate is used for dials to come, by a context of its own."""
        credentials = Credentials(self.state, self.store())
        before = credentials.context
        key = read_request(credentials.request())
        self.successResultOf(credentials.renew(self.authority.issue(key, hours=48)))
        self.assertIsNot(credentials.context, before)
        self.assertEqual(credentials.identity, self.state.load())

    def test_other_roots(self) -> None:
        """New roots in the directory are trusted, and make a new certificate due; the same ones change nothing."""
        credentials = Credentials(self.state, self.store())
        self.assertFalse(credentials.reread_roots())
        both = self.authority.root_pem + Authority().root_pem
        (self.path / "root.pem").write_text(both)
        self.assertTrue(credentials.reread_roots())
        self.assertEqual(credentials.identity, replace(self.state.load(), root_pem=both))
        self.assertTrue(credentials.should_renew(credentials.identity.valid_from))
        self.successResultOf(credentials.renew(self.authority.issue(read_request(credentials.request()))))
        self.assertFalse(credentials.should_renew(credentials.identity.valid_from))
        (self.path / "root.pem").write_text("nothing")
        self.assertRaises(StateBroken, credentials.reread_roots)
        self.assertEqual(credentials.identity.root_pem, both)
