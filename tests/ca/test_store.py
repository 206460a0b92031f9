"""Tests of the certificate authority's files."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.ca.errors import AlreadyExists, BadCaFile
from warp_twisted.ca.issue import fingerprint, key_to_pem, new_key, new_request, permitted_names, to_pem
from warp_twisted.ca.store import EdgeAuthority, add_edge, init_root, load_edge, load_root, sign_edge, write_file

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class FilesTests(SynchronousTestCase):
    """Root and intermediates on disk."""

    def setUp(self) -> None:
        """Make a root and one edge's intermediate."""
        self.directory = Path(self.mktemp())
        self.root = init_root(self.directory, "warp.example", NOW)
        add_edge(self.directory, "edge1", NOW, ["warp.example"])

    def load(self, root: str = "root.pem", certificate: str = "edge1.pem", key: str = "edge1.key") -> EdgeAuthority:
        """Load an edge's authority from files of the directory."""
        return load_edge(self.directory / root, self.directory / certificate, self.directory / key)

    def test_modes(self) -> None:
        """Keys are readable by their owner only, whatever the umask, and so is the directory."""
        previous = os.umask(0)
        self.addCleanup(os.umask, previous)
        add_edge(self.directory, "edge2", NOW)
        for name in ("root.key", "edge1.key", "edge2.key"):
            self.assertEqual(stat.S_IMODE((self.directory / name).stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.directory.stat().st_mode), 0o700)

    def test_init_never_overwrites(self) -> None:
        """A second init is refused, and key and certificate stay."""
        before = (self.directory / "root.key").read_bytes()
        self.assertRaises(AlreadyExists, init_root, self.directory, "warp.example", NOW)
        self.assertRaises(AlreadyExists, add_edge, self.directory, "edge1", NOW)
        self.assertEqual((self.directory / "root.key").read_bytes(), before)
        self.assertEqual(load_root(self.directory).certificate, self.root)

    def test_init_never_overwrites_a_lone_key(self) -> None:
        """A key without its certificate is not overwritten either."""
        (self.directory / "root.pem").unlink()
        self.assertRaises(AlreadyExists, init_root, self.directory, "warp.example", NOW)

    def test_nothing_is_left_beside(self) -> None:
        """Writing leaves no temporary file, successful or not."""
        self.assertRaises(AlreadyExists, write_file, self.directory / "root.pem", b"x", 0o600, overwrite=False)
        write_file(self.directory / "new", b"y", 0o640, overwrite=True)
        names = {"root.pem", "root.key", "edge1.pem", "edge1.key", "new"}
        self.assertEqual({path.name for path in self.directory.iterdir()}, names)

    def test_edge_authority(self) -> None:
        """An edge loads its intermediate, and knows the root's fingerprint."""
        authority = load_edge(self.directory / "root.pem", self.directory / "edge1.pem", self.directory / "edge1.key")
        self.assertEqual(authority.root_fingerprint, fingerprint(self.root))
        self.assertEqual(permitted_names(authority.issuer.certificate), ("warp.example",))

    def test_two_roots(self) -> None:
        """While the root is changed, both are trusted, and the one above the intermediate is pinned."""
        other = Path(self.mktemp())
        new_root = init_root(other, "warp.example", NOW)
        bundle = self.directory / "both.pem"
        bundle.write_text(to_pem(new_root, self.root))
        authority = load_edge(bundle, self.directory / "edge1.pem", self.directory / "edge1.key")
        self.assertEqual(authority.roots, (self.root, new_root))

    def test_key_that_stays_on_the_edge(self) -> None:
        """An edge that made its own key is signed by request, and can use the result."""
        key = new_key()
        certificate = sign_edge(self.directory, "edge3", new_request(key), NOW)
        (self.directory / "edge3.pem").write_text(to_pem(certificate))
        write_file(self.directory / "edge3.key", key_to_pem(key), 0o600, overwrite=False)
        self.assertEqual(self.load(certificate="edge3.pem", key="edge3.key").issuer.certificate, certificate)

    def refusal(self, **names: str) -> str:
        """Return the reason for which files are refused."""
        return str(self.assertRaises(BadCaFile, self.load, **names))

    def test_files_that_do_not_fit(self) -> None:
        """A key of another certificate, a foreign root, and what is no authority are refused by name."""
        self.assertIn("is not the key of", self.refusal(key="root.key"))
        foreign = Path(self.mktemp())
        init_root(foreign, "other", NOW)
        (self.directory / "foreign.pem").write_bytes((foreign / "root.pem").read_bytes())
        self.assertIn("not signed by", self.refusal(root="foreign.pem"))
        self.assertIn("No such file", self.refusal(root="absent.pem"))

    def test_files_that_are_nothing(self) -> None:
        """Empty and damaged files are refused by name."""
        (self.directory / "empty").write_bytes(b"")
        (self.directory / "junk").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        for name in ("empty", "junk"):
            self.assertIn(name, self.refusal(root=name))
            self.assertIn(name, self.refusal(key=name))

    def test_no_root(self) -> None:
        """Where no root was made, how to make one is told."""
        with self.assertRaisesRegex(BadCaFile, "none/root.pem does not exist; .* warp ca init none"):
            load_root(Path("none"))

    def test_root_and_key_that_do_not_fit(self) -> None:
        """A root whose key is another's is refused."""
        (self.directory / "root.key").unlink()
        write_file(self.directory / "root.key", key_to_pem(new_key()), 0o600, overwrite=False)
        self.assertRaises(BadCaFile, load_root, self.directory)
