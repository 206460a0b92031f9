"""Tests of `warp_twisted.cli.operate.registry_authority`: what `warp ca registry` makes and refuses."""

import json
from pathlib import Path

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoke import invoke
from warp_twisted.ca.issue import new_key, new_request


class RegistryAuthorityTests(SynchronousTestCase):
    """`warp ca registry`."""

    def setUp(self) -> None:
        """Make a root."""
        self.directory = Path(self.mktemp())
        self.assertEqual(invoke("ca", "registry", "init", str(self.directory), "--name", "warp.example").status, 0)

    def run_registry(self, command: str, *options: str) -> str:
        """Run a command that succeeds, and return what it prints."""
        ran = invoke("ca", "registry", command, str(self.directory), *options)
        self.assertEqual((ran.status, ran.errors), (0, ""))
        return ran.output

    def test_help(self) -> None:
        """It says with which options etcd takes the files, and how edge.yaml names them."""
        text = invoke("ca", "registry", "--help").output
        for expected in ("warp ca registry init ca", "--client-cert-auth", "--peer-cert-allowed-cn", "edge.yaml:"):
            self.assertIn(expected, text)

    def test_member(self) -> None:
        """A member has two certificates."""
        options = ("--member", "etcd1", "--address", "192.0.2.1", "--json")
        facts = json.loads(self.run_registry("member", *options))
        self.assertEqual(
            [Path(each["certificate"]).name for each in facts],
            ["registry-server-etcd1.pem", "registry-peer-etcd1.pem"],
        )
        self.assertTrue(all(Path(each["key"]).exists() for each in facts))

    def test_edge(self) -> None:
        """An edge has one, which is told with the path of its key."""
        text = self.run_registry("edge", "--edge", "edge1")
        self.assertRegex(text, r"registry-client-edge1\.pem: edge edge1, until \d{4}-\d\d-\d\d\n  SHA-256 [0-9a-f]{64}")
        self.assertIn(f"  key in {self.directory / 'registry-client-edge1.key'}\n", text)

    def test_requests(self) -> None:
        """Certificates of keys that were made elsewhere come on standard output."""
        request = Path(self.mktemp())
        request.write_text(new_request(new_key()))
        for command, options in (
            ("member", ("--member", "etcd1", "--address", "192.0.2.1", "--for", "peer")),
            ("edge", ("--edge", "edge1")),
        ):
            text = self.run_registry(command, *options, "--request", str(request))
            x509.load_pem_x509_certificate(text.encode())
        self.assertEqual(
            sorted(each.name for each in self.directory.iterdir()), ["registry-root.key", "registry-root.pem"]
        )

    def test_wrong_calls(self) -> None:
        """A name that is no label, an address that is none, and a request for nothing in particular are refused."""
        request = Path(self.mktemp())
        request.write_text(new_request(new_key()))
        member = ("member", str(self.directory), "--member")
        for arguments, status, why in (
            (("edge", str(self.directory), "--edge", "a.b"), 2, "one DNS label is expected"),
            ((*member, "etcd1"), 2, "--address"),
            ((*member, "etcd1", "--address", "a b"), 1, "a b: a hostname or an IP address is expected"),
            ((*member, "etcd1", "--address", "a", "--request", str(request)), 2, "--request needs --for"),
            (("edge", self.mktemp(), "--edge", "edge1"), 1, "make it first, with: warp ca registry init"),
        ):
            ran = invoke("ca", "registry", *arguments)
            self.assertEqual(ran.status, status, arguments)
            self.assertIn(why, ran.errors)

    def test_renew(self) -> None:
        """It says of each certificate whether it was renewed, and until when it is good."""
        self.run_registry("edge", "--edge", "edge1")
        self.assertRegex(self.run_registry("renew"), r"registry-client-edge1\.pem: good, until \d{4}-\d\d-\d\d\n$")
        (facts,) = json.loads(self.run_registry("renew", "--json"))
        self.assertFalse(facts["renewed"])
