"""Tests of `warp_twisted.cli.operate.authority`: the files that `warp ca` makes, and what it refuses."""

import json
import stat
from pathlib import Path

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoke import invoke
from warp_twisted.ca.issue import new_key, new_request
from warp_twisted.ca.store import load_edge


class AuthorityTests(SynchronousTestCase):
    """`warp ca init`, `intermediate`, `show`."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.assertEqual(invoke("ca", "init", str(self.directory), "--name", "warp.example").status, 0)

    def path(self, name: str) -> str:
        """Return the path of one file of the authority."""
        return str(self.directory / name)

    def test_edge_can_issue_with_what_was_made(self) -> None:
        """Root and intermediate fit together, and the intermediate is held to the zone."""
        ran = invoke("ca", "intermediate", str(self.directory), "--edge", "edge1", "--permit", "warp.example", "--json")
        facts = json.loads(ran.output)
        self.assertEqual(facts["permitted"], ["warp.example"])
        load_edge(Path(self.path("root.pem")), Path(facts["certificate"]), Path(facts["key"]))

    def test_names_that_an_intermediate_may_issue(self) -> None:
        """It is said what an intermediate may issue, also when that is everything."""
        ran = invoke("ca", "intermediate", str(self.directory), "--edge", "edge1", "--permit", "warp.example")
        self.assertIn("  issues under warp.example\n", ran.output)
        self.assertNotIn("every name", ran.output)
        ran = invoke("ca", "intermediate", str(self.directory), "--edge", "edge2")
        self.assertIn("  issues under every name; --permit narrows that\n", ran.output)

    def test_keys_are_for_their_owner(self) -> None:
        """Keys are of mode 0600, and the directory is closed to others."""
        self.assertEqual(stat.S_IMODE(Path(self.path("root.key")).stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.directory.stat().st_mode), 0o700)

    def test_nothing_is_overwritten(self) -> None:
        """A second root or intermediate of the same name is refused."""
        before = Path(self.path("root.pem")).read_bytes()
        ran = invoke("ca", "init", str(self.directory))
        self.assertEqual((ran.status, ran.output), (1, ""))
        self.assertIn("is not overwritten; move it away, or use another directory", ran.errors)
        self.assertEqual(Path(self.path("root.pem")).read_bytes(), before)

    def test_request_is_signed_without_its_key(self) -> None:
        """An edge may keep its key: its request comes back as a certificate on standard output."""
        request = Path(self.mktemp())
        request.write_text(new_request(new_key()))
        ran = invoke("ca", "intermediate", str(self.directory), "--edge", "edge2", "--request", str(request))
        certificate = x509.load_pem_x509_certificate(ran.output.encode())
        self.assertEqual(certificate.subject.rfc4514_string(), "CN=Warp edge edge2")
        self.assertEqual(sorted(path.name for path in self.directory.iterdir()), ["root.key", "root.pem"])

    def test_names_that_cannot_be(self) -> None:
        """An edge is one DNS label, and not the root's name."""
        for name in ("a.b", "root", "-"):
            ran = invoke("ca", "intermediate", str(self.directory), "--edge", name)
            self.assertEqual(ran.status, 2, name)

    def test_show(self) -> None:
        """Certificates are shown with fingerprint and end; a file that is none is named."""
        ran = invoke("ca", "show", self.path("root.pem"))
        self.assertRegex(ran.output, r"Warp root of warp\.example, until \d{4}-\d\d-\d\d\n  SHA-256 [0-9a-f]{64}\n")
        self.assertEqual(len(json.loads(invoke("ca", "show", self.path("root.pem"), "--json").output)), 1)
        ran = invoke("ca", "show", self.path("root.key"))
        self.assertEqual(ran.status, 1)
        self.assertIn("root.key: not a PEM certificate", ran.errors)
