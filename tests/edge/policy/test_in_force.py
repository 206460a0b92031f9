"""Tests for `warp_twisted.edge.policy.in_force`."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.client_authority import ClientAuthority
from tests.policy.document.test_asked import SOURCES, asked
from warp_twisted.edge.certificates.asking import Authorities
from warp_twisted.edge.certificates.directory import CertificateDirectory
from warp_twisted.edge.policy import in_force as module
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.edge.policy.loading import Loaded, load
from warp_twisted.policy.interfaces import Outcome, Question
from warp_twisted.policy.judging.program import Program
from warp_twisted.policy.verdict import CHECK_FAILED, DENIED, Action, Objection, Verdict


def loaded(case: SynchronousTestCase, text: str) -> Loaded:
    """Load a policy."""
    file = Path(case.mktemp())
    file.write_text(text)
    return load(str(file), str(file.parent), {})[0]


NAMES = {name: name for name in ("a.example", "*.c.example")}


def program_of(policy: PolicyInForce, hostname: str, served_as: str) -> Program:
    """Return what judges a hostname's requests, which something does."""
    program = policy.program_for(hostname, served_as)
    assert program is not None
    return program


class PolicyInForceTests(SynchronousTestCase):
    """`PolicyInForce`."""

    def test_programs(self) -> None:
        """Hostnames without rules have none; another policy has others; what is remembered is bounded."""
        self.patch(module, "MAX_HOSTNAMES", 2)
        policy = PolicyInForce()
        self.assertIsNone(policy.program_for("a.example", "a.example"))
        policy.use(loaded(self, "rules: [{name: r, match: {hostname: a.example}, deny: true}]"))
        self.assertIsNotNone(policy.program_for("a.example", "a.example"))
        self.assertIs(policy.program_for("a.example", "a.example"), policy.program_for("a.example", "a.example"))
        for number in range(10):
            self.assertIsNone(policy.program_for(f"b{number}.example", "b"))
            self.assertLessEqual(len(policy._programs), 2)
        policy.use(None)
        self.assertIsNone(policy.program_for("a.example", "a.example"))

    def test_what_agents_ask(self) -> None:
        """It is added to the operator's rules, for what is served under the name that it is asked for."""
        policy = PolicyInForce()
        self.assertFalse(policy.judges)
        reading = policy.asked.read(asked("a.example", "*.c.example", sources=SOURCES), NAMES, "a-1")
        policy.asked.put("t-1", self.successResultOf(Deferred.fromCoroutine(reading)))
        self.assertTrue(policy.judges)
        for hostname, served_as, is_judged in (
            ("a.example", "a.example", True),
            ("a.example", "*.example", False),
            ("x.c.example", "*.c.example", True),
            ("x.c.example", "x.c.example", False),
        ):
            for _ in range(2):  # asked for, and remembered
                self.assertEqual(policy.program_for(hostname, served_as) is not None, is_judged, hostname)
        policy.use(loaded(self, "rules: [{name: r, deny: true}]"))
        names = [rule.name for rule in program_of(policy, "x.c.example", "*.c.example").rules]
        self.assertEqual(names, ["r", "agent:policy"])
        self.assertEqual([rule.name for rule in program_of(policy, "x.c.example", "x.c.example").rules], ["r"])
        other = program_of(policy, "y.c.example", "*.c.example")
        self.assertIs(other, program_of(policy, "x.c.example", "*.c.example"))
        policy.use(None)
        self.assertTrue(policy.judges)
        self.assertIsNotNone(policy.program_for("a.example", "a.example"))
        policy.asked.remove("t-1")
        self.assertFalse(policy.judges)
        self.assertIsNone(policy.program_for("a.example", "a.example"))

    def test_names_that_strangers_make_up(self) -> None:
        """Hostnames below a pattern with a policy are remembered in bounds, and share a program."""
        self.patch(module, "MAX_OF_ASKED", 3)
        policy = PolicyInForce()
        reading = policy.asked.read(asked("*.c.example", sources=SOURCES), NAMES, "a-1")
        policy.asked.put("t-1", self.successResultOf(Deferred.fromCoroutine(reading)))
        made = {id(policy.program_for(f"h{number}.c.example", "*.c.example")) for number in range(20)}
        self.assertEqual(len(made), 1)
        self.assertLessEqual(len(policy._asked_programs["*.c.example"]), 3)

    def test_labels(self) -> None:
        """Labels of tunnels are looked at only if a rule, or an exception, asks for them."""
        policy = PolicyInForce()
        for text, looks in (
            ("rules: [{name: r, deny: true}]", False),
            ("rules: [{name: r, match: {label: release=canary}, deny: true}]", True),
            ("rules: [{name: r, deny: true, except: [/x, {label: release=canary}]}]", True),
        ):
            policy.use(loaded(self, text))
            self.assertEqual(policy.looks_at_labels, looks, text)

    def test_counts(self) -> None:
        """Refusals are counted by rule and reason, and forgotten with the rule; a few errors are logged."""
        policy = PolicyInForce()
        policy.use(loaded(self, "rules: [{name: r, deny: true}]"))
        for _ in range(20):
            policy.count(Verdict(Action.DENY, Objection("r", CHECK_FAILED), errors=(RuntimeError("broken"),)))
        policy.count(Verdict(Action.ALLOW, would=(Objection("r", DENIED),)))
        samples = {
            (sample.name, *sample.labels.values()): sample.value
            for family in policy.collect()
            for sample in family.samples
        }
        self.assertEqual(samples["warp_edge_policy_refusals_total", "r", "check-failed"], 20)
        self.assertEqual(samples["warp_edge_policy_would_refuse_total", "r", "denied"], 1)
        policy.use(loaded(self, "rules: [{name: other, deny: true}]"))
        self.assertEqual([family.samples for family in policy.collect()][:2], [[], []])

    def test_nobody_answers(self) -> None:
        """A question of a policy that is no longer in force is answered with busy."""
        answer = self.successResultOf(PolicyInForce().answer(Question("basic", "gone", b""), "192.0.2.1"))
        self.assertEqual(answer.outcome, Outcome.BUSY)


class CertificateTests(SynchronousTestCase):
    """Whose visitors are asked for certificates."""

    def setUp(self) -> None:
        self.files = Path(self.mktemp())
        self.files.mkdir()
        self.authorities = {name: ClientAuthority(self.files, name) for name in ("staff", "admins")}
        for name, authority in self.authorities.items():
            (self.files / f"{name}.pem").write_text(authority.pem)

    def load(self, *rules: str) -> Loaded:
        """Load a policy of these rules."""
        file = self.files / "policy.yaml"
        file.write_text("\n- ".join(["rules:", *rules]))
        return load(str(file), str(self.files), {})[0]

    def test_authorities(self) -> None:
        """A hostname's are those of all its rules that ask, also of ones that only log; a policy may have none."""
        proof = "authenticate: {{any_of: [{{client_certificate: {{ca_file: {0}.pem}}}}]}}".format
        policy = PolicyInForce()
        policy.use(
            self.load(
                f"{{name: a, match: {{hostname: [app.example, both.example]}}, {proof('staff')}}}",
                f"{{name: b, match: {{hostname: both.example, path: /x}}, log_only: true, {proof('admins')}}}",
                "{name: c, match: {hostname: open.example}, deny: true}",
            )
        )
        staff, admins = (self.authorities[name].der for name in ("staff", "admins"))
        for hostname, expected in (
            ("app.example", {staff}),
            ("both.example", {staff, admins}),
            ("open.example", set()),
            ("unknown.example", set()),
        ):
            self.assertEqual(policy.authorities_for(hostname), expected)
        policy.use(None)
        self.assertEqual(policy.authorities_for("app.example"), frozenset())

    def test_whoever_asks_is_told(self) -> None:
        """Who asks visitors hears of the policy in force, and of those after it."""
        asked: list[Authorities | None] = []

        class Certificates:
            def ask_visitors(self, authorities: Authorities | None, of: Callable[[str], frozenset[bytes]]) -> None:
                asked.append(authorities)

        policy = PolicyInForce()
        found = self.load("{name: a, authenticate: {any_of: [{client_certificate: {ca_file: staff.pem}}]}}")
        policy.use(found)
        policy.ask_by(cast(CertificateDirectory, Certificates()))
        policy.use(self.load("{name: a, deny: true}"))
        policy.use(None)
        self.assertIsNotNone(found.authorities)
        self.assertEqual(asked, [found.authorities, None, None])
