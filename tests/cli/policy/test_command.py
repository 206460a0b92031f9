"""Tests of `warp_twisted.cli.policy.command`."""

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoke import invoke
from tests.client_authority import ClientAuthority
from warp_twisted.policy.document.policy import MAX_BYTES

_EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "examples"
_POLICY = """
defaults: {sources: {deny: [198.51.100.0/24]}}
rules:
- {name: admin, match: {hostname: app.warp.example, path: /admin/*}, authenticate: {any_of: [{service_token: {}}]}}
- {name: new, match: {path: /new}, log_only: true, deny: true}
"""


class CommandTests(SynchronousTestCase):
    """`warp policy`."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.file = self.write("policy.yaml", _POLICY)

    def write(self, name: str, text: str) -> str:
        """Write a file and return its path."""
        path = self.directory / name
        path.write_text(text)
        return str(path)

    def test_check(self) -> None:
        """A good file is counted; of a bad one the key and what was expected are told."""
        ran = invoke("policy", "check", self.file)
        self.assertEqual((ran.status, ran.output), (0, f"{self.file}: good: defaults and 2 rules.\n"))
        shown = json.loads(invoke("policy", "check", self.file, "--json").output)
        self.assertEqual(shown["rules"], ["defaults", "admin", "new"])
        bad = self.write("bad.yaml", "rules: [{name: r, match: {hostnam: a.example}}]")
        ran = invoke("policy", "check", bad)
        self.assertEqual(ran.status, 1)
        self.assertIn(f"{bad}: rules[0].match.hostnam: unknown key; did you mean hostname?", ran.errors)

    def test_routing(self) -> None:
        """Splits are counted, and the one that stands for a request's hostname is told with its parts."""
        text = """
routing:
- hostname: "*.warp.example"
  split: [{selector: r=a, weight: 3}, {selector: "", weight: 1}, {selector: b, weight: 1, tier: 2}]
- {hostname: app.warp.example, split: [{selector: r=a, weght: 3}]}
"""
        bad = self.write("bad.yaml", text)
        ran = invoke("policy", "explain", bad, "https://app.warp.example/")
        self.assertIn(f"{bad}: routing[1].split[0].weght: unknown key; did you mean weight?", ran.errors)
        good = self.write("good.yaml", text.replace("weght", "weight"))
        line = "routing of *.warp.example: 75 % r=a, 25 % (all others); else 100 % b\n"
        for words in (["https://a.warp.example/"], ["GET https://a.warp.example/"], ["GET", "https://a.warp.example/"]):
            self.assertEqual(invoke("policy", "explain", good, *words).output, f"allow\n{line}")
        told = json.loads(invoke("policy", "explain", good, "https://app.warp.example/", "--json").output)["routing"]
        self.assertEqual(told["shares"], [{"selector": "r=a", "tier": 0, "part": 1.0}])
        self.assertIsNone(json.loads(invoke("policy", "explain", good, "https://a.test/", "--json").output)["routing"])

    def test_testers(self) -> None:
        """What a tester's request chooses is told: by its address, or by who it proves to be."""
        self.write("office.txt", "192.0.2.0/24\n")
        self.write("k.json", "{}")
        text = """
rules: [{name: staff, authenticate: {any_of: [{jwt: {jwks_file: k.json, issuer: i, audience: a}}]}}]
routing:
- hostname: a.example
  split: [{selector: r=a, weight: 1}, {selector: "", weight: 0}]
  testers: {header: X-Release, sources: [{file: office.txt}], identities: ["jwt:alice"]}
"""
        good = self.write("good.yaml", text)
        asked = ["policy", "explain", good, "https://a.example/"]
        chooses = ["--header", "X-Release: (all others)"]
        begin = "testers choose by header X-Release; this request gets"
        for words, expected in (
            (["--identity", "jwt:bob", *chooses], "what is drawn"),
            (["--identity", "jwt:bob"], "what is drawn"),
            (["--identity", "jwt:alice", *chooses], "(all others)"),
            (["--identity", "jwt:bob", *chooses, "--from", "192.0.2.9"], "(all others)"),
            (["--identity", "jwt:alice", "--header", "X-Release: r=a"], "r=a"),
        ):
            output = invoke(*asked, *words).output
            self.assertIn(f"{begin} {expected}\n", output)
        told = json.loads(invoke(*asked, "--identity", "jwt:alice", *chooses, "--json").output)["routing"]
        self.assertEqual(told["tester"], "(all others)")
        lost = self.write("lost.yaml", text.replace("office.txt", "gone.txt"))
        self.assertIn("routing[0].testers.sources", invoke("policy", "explain", lost, "https://a.example/").errors)

    def test_mirror(self) -> None:
        """Of a mirror it is told how many requests are copied, and where to."""
        text = "{hostname: a.example, split: [{selector: '', weight: 1}], mirror: {selector: r=b, percent: 0.5}}"
        output = invoke("policy", "explain", self.write("good.yaml", f"routing: [{text}]"), "http://a.example/").output
        self.assertIn("routing of a.example: 100 % (all others); copies of 0.5 % to r=b\n", output)

    def test_check_of_files(self) -> None:
        """Files that a policy names are read, from the directory of the policy or from another one."""
        text = "rules: [{name: r, sources: {allow: [{file: office.txt}]}}]"
        named = self.write("named.yaml", text)
        ran = invoke("policy", "check", named)
        self.assertEqual(ran.status, 1)
        self.assertIn("rules[0].sources.allow[0].file: ", ran.errors)
        (self.directory / "lists").mkdir()
        self.write("lists/office.txt", "192.0.2.0/24\n")
        self.assertEqual(invoke("policy", "check", named, "--files", str(self.directory / "lists")).status, 0)

    def test_check_as_an_edge(self) -> None:
        """What no edge of this release would use is not good, though the document is; what only edges read is."""
        self.write("ca.pem", "")
        self.write("users", "alice:secret\n")
        self.write("decisions.json", '[{"scope": "Ip", "type": "ban", "value": "203.0.113.9"}]')
        for rule, problem in (
            (
                "authenticate: {any_of: [{client_certificate: {ca_file: ca.pem}}]}",
                "ca.pem: expected certificates in PEM",
            ),
            ("authenticate: {any_of: [{basic: {users_file: users}}]}", "users: line 1: expected an argon2id hash"),
            (
                "authenticate: {any_of: [{basic: {users_file: none}}]}",
                "directory; policy_files in edge.yaml, or --files of warp policy",
            ),
        ):
            ran = invoke("policy", "check", self.write("odd.yaml", f"rules: [{{name: r, {rule}}}]"))
            self.assertEqual((ran.status, problem in ran.errors), (1, True), ran.errors)
        good = self.write(
            "good.yaml", "rules: [{name: r, sources: {deny: [{file: decisions.json, format: crowdsec}]}}]"
        )
        self.assertEqual(invoke("policy", "check", good).status, 0)

    def test_files_that_cannot_be_read(self) -> None:
        """A missing file and one that is too large are told."""
        self.assertIn("none.yaml: No such file", invoke("policy", "check", "none.yaml").errors)
        large = self.write("large.yaml", "#" * (MAX_BYTES + 1))
        self.assertIn("larger than 512 KiB", invoke("policy", "check", large).errors)

    def explained(self, *arguments: str) -> str:
        """Return what is told of a request."""
        ran = invoke("policy", "explain", self.file, *arguments)
        self.assertEqual(ran.status, 0, ran.errors)
        return ran.output

    def test_explain(self) -> None:
        """Each rule in a line, then the verdict."""
        output = self.explained("GET https://app.warp.example/admin/x")
        self.assertEqual(
            output.splitlines(),
            [
                "* defaults: allows it",
                "* admin: unauthenticated (authenticate: no credential): Sign in to see this.",
                "  new: does not match: match.path, only logs",
                "challenge 401 by admin: unauthenticated",
            ],
        )
        output = self.explained("https://app.warp.example/admin", "--from", "198.51.100.1")
        self.assertTrue(output.endswith("deny 403 by defaults: source\n"))
        output = self.explained("https://app.warp.example/admin", "--identity", "service_token:ci")
        self.assertTrue(output.endswith("allow service_token:ci\n"))

    def test_explain_a_certificate(self) -> None:
        """A visitor's certificate is verified as an edge does, and what is wrong with it is told."""
        authority, other = ClientAuthority(self.directory), ClientAuthority(self.directory, "Other")
        self.write("ca.pem", authority.pem)
        rule = "{name: r, authenticate: {any_of: [{client_certificate: {ca_file: ca.pem}}]}}"
        self.file = self.write("asking.yaml", f"rules: [{rule}]")
        for shown, expected in (
            (authority.issue(), "allow client_certificate:CN=ann"),
            (other.issue(), "deny 401 by r: credential"),
        ):
            output = self.explained("https://app.warp.example/", "--certificate", str(shown.path))
            self.assertEqual(output.splitlines()[-1], expected)
        self.assertIn("client_certificate: not of these authorities", output)
        both = ("--certificate", str(shown.path), "--identity", "client_certificate:ann")
        ran = invoke("policy", "explain", self.file, "https://app.warp.example/", *both)
        self.assertEqual((ran.status, "give one of them" in ran.errors), (2, True), ran.errors)

    def test_explain_as_json(self) -> None:
        """The same for machines."""
        shown = json.loads(self.explained("GET https://app.warp.example/new", "--header", "X-A: b", "--json"))
        self.assertEqual(shown["verdict"]["action"], "allow")
        self.assertEqual(shown["verdict"]["would"], [{"rule": "new", "reason": "denied"}])
        self.assertEqual([each["rule"] for each in shown["rules"] if each["matched"]], ["defaults", "new"])
        self.assertEqual(shown["odd_path"], [])

    def test_explain_called_wrongly(self) -> None:
        """What is no request, no address and nobody's identity is told as every wrong argument is."""
        for arguments in (
            ("/admin",),
            ("https://a.example/", "--from", "here"),
            ("https://a.example/", "--identity", "a"),
        ):
            ran = invoke("policy", "explain", self.file, *arguments)
            self.assertEqual(ran.status, 2)
            self.assertRegex(ran.errors, r"^warp: expected .*; see warp policy explain --help\n$")

    def test_explain_what_is_never_judged(self) -> None:
        """A request that every edge refuses is told as such."""
        ran = invoke("policy", "explain", self.file, "TRACE https://app.warp.example/")
        self.assertEqual(ran.status, 1)
        self.assertIn("every edge refuses this with 405", ran.errors)

    def test_test(self) -> None:
        """Cases that differ are told, with what came out, and the command fails."""
        good = (
            "- {request: 'https://app.warp.example/admin', expect: challenge, rule: admin, reason: unauthenticated}\n"
        )
        cases = self.write("cases.yaml", f"cases:\n{good}")
        ran = invoke("policy", "test", self.file, cases)
        self.assertEqual((ran.status, ran.output), (0, "1 of 1 cases passed.\n"))
        bad = "- {request: 'https://b.example/', from: 198.51.100.9, expect: allow}\n"
        worse = "- {request: 'https://b.example/', from: 198.51.100.9, expect: deny, rule: admin}\n"
        cases = self.write("cases.yaml", f"cases:\n{good}{bad}{worse}")
        ran = invoke("policy", "test", self.file, cases)
        self.assertEqual(ran.status, 1)
        got = "got deny 403 by defaults: source\n"
        self.assertEqual(
            ran.output,
            f"case 2: https://b.example/ from 198.51.100.9: expected allow, {got}"
            f"case 3: https://b.example/ from 198.51.100.9: expected deny by admin, {got}"
            "1 of 3 cases passed.\n",
        )
        shown = json.loads(invoke("policy", "test", self.file, cases, "--json").output)
        self.assertEqual((shown["failed"], [each["passed"] for each in shown["cases"]]), (2, [True, False, False]))

    def test_test_with_identities(self) -> None:
        """A case may name who is proven, and may expect what every edge refuses."""
        known = "{request: 'https://app.warp.example/admin', identities: ['service_token:ci'], expect: allow}"
        refused = "{request: 'TRACE https://app.warp.example/', expect: deny}"
        cases = self.write("cases.yaml", f"cases: [{known}, {refused}]")
        self.assertEqual(invoke("policy", "test", self.file, cases).output, "2 of 2 cases passed.\n")

    def test_examples(self) -> None:
        """The policy under docs/examples does what the cases beside it say."""
        ran = invoke("policy", "test", str(_EXAMPLES / "policy.yaml"), str(_EXAMPLES / "policy-cases.yaml"))
        self.assertEqual((ran.status, ran.output), (0, "7 of 7 cases passed.\n"))
