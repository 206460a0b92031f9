"""Tests of `warp_twisted.cli.policy.asking`."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.client_authority import ClientAuthority
from warp_twisted.cli.policy.asking import BadRequest, NeverJudged, read_chain, read_identity, read_request
from warp_twisted.policy.interfaces import Identity


class RequestTests(SynchronousTestCase):
    """Requests as they are written on a command line."""

    def test_request(self) -> None:
        """Method, URL, address, fields and labels; the path stays as it is spelt."""
        facts = read_request("POST https://App.Warp.Example:8443/a/../%2f?q=1", "2001:db8::1", ["X-A: b"], [{"r": "1"}])
        self.assertEqual((facts.method, facts.target), (b"POST", b"/a/../%2f?q=1"))
        self.assertEqual((facts.hostname, facts.scheme), ("app.warp.example", "https"))
        self.assertEqual((facts.visitor.address, facts.labels), ("2001:db8::1", ({"r": "1"},)))
        self.assertEqual(facts.field(b"x-a").all, (b"b",))

    def test_short(self) -> None:
        """GET and the root may be left out."""
        for text, target in (("http://a.example", b"/"), ("http://a.example?q", b"/?q")):
            facts = read_request(text, "192.0.2.1")
            self.assertEqual((facts.method, facts.target), (b"GET", target))

    def test_mistakes(self) -> None:
        """What cannot be understood is named."""
        for text, address, expected in (
            ("GET /a", "192.0.2.1", "expected a request such as"),
            ("https://a.example/", "192.0.2.0/24", "expected an address such as 203.0.113.9, got '192.0.2.0/24'"),
            ("https://a.example/", "home", "expected an address"),
        ):
            self.assertRaisesRegex(BadRequest, expected, read_request, text, address)

    def test_never_judged(self) -> None:
        """What every edge refuses is said with its status."""
        for text, fields, status in (
            ("GET https://a.example/a b", [], 400),
            ("TRACE https://a.example/", [], 405),
            ("GET https://a.example/", ["no field"], 400),
            ("GET https://a.example/#x", [], 400),
        ):
            self.assertRaisesRegex(NeverJudged, f"refuses this with {status}", read_request, text, "192.0.2.1", fields)
        twice = ["A: b\r\nB: c"]
        self.assertRaisesRegex(BadRequest, "one line", read_request, "https://a.example/", "192.0.2.1", twice)

    def test_chain(self) -> None:
        """A file of certificates, also with a key in it; https only; what is no certificate is named."""
        directory = Path(self.mktemp())
        directory.mkdir()
        between = ClientAuthority(directory, "Staff", ClientAuthority(directory))
        ann = between.issue(sent=[between.certificate])
        chain = read_chain(ann.path)
        self.assertEqual(chain, (ann.der, between.der))
        for scheme, expected in (("https", chain), ("http", ())):
            facts = read_request(f"{scheme}://a.example/", "192.0.2.1", chain=chain)
            self.assertEqual(facts.chain, expected)
        (directory / "key.pem").write_text("-----BEGIN PRIVATE KEY-----")
        for name, problem in (("none.pem", "none.pem: No such file"), ("key.pem", "key.pem: expected certificates")):
            self.assertRaisesRegex(BadRequest, problem, read_chain, directory / name)

    def test_identities(self) -> None:
        """A kind and a name."""
        self.assertEqual(read_identity("basic:alice:b"), Identity("basic", "alice:b"))
        for text in ("alice", "password:alice", "basic:"):
            self.assertRaisesRegex(BadRequest, "expected a check and a subject", read_identity, text)
