"""Tests of `policy.judging.connections`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.judging.samples import SampleParts, compiled, request
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.judging import connections as module
from warp_twisted.policy.judging.connections import Counts
from warp_twisted.policy.verdict import ALLOWED, CHECK_FAILED, TOO_MANY, Action, Verdict

ALL = """
defaults:
  limits:
  - {name: all, of: connections, rate: 2/s, per: all}
  - {name: each, of: concurrent_connections, most: 1}
"""


class ConnectionLimitsTests(SynchronousTestCase):
    """`ConnectionLimits`: which limits are asked when, and of what."""

    def arrive(self, facts: Facts | None = None, counts: Counts | None = None) -> Verdict:
        """Ask what is asked before a hostname is known."""
        limits = self.policy.on_arrival
        assert limits is not None
        return limits.judge(facts or request(host=""), Counts() if counts is None else counts, 0.0)

    def enter(self, hostname: str, counts: Counts | None = None, facts: Facts | None = None) -> Verdict:
        """Ask what is asked of a hostname."""
        program = self.policy.program_for(hostname)
        assert program is not None
        assert program.of_connections is not None
        return program.of_connections.judge(
            facts or request(host=hostname), Counts() if counts is None else counts, 0.0
        )

    def use(self, text: str) -> None:
        """Compile a policy."""
        self.parts = SampleParts()
        self.policy = compiled(text, self.parts)

    def test_moments(self) -> None:
        """What counts all hostnames together is asked on arrival, what counts each alone once it is known."""
        self.use(ALL)
        self.assertEqual([self.arrive() for _ in range(2)], [ALLOWED] * 2)
        refused = self.arrive()
        self.assertEqual(refused.action, Action.DENY)
        assert refused.objection is not None
        self.assertEqual(
            (refused.objection.rule, refused.objection.reason, refused.objection.detail, refused.objection.wait),
            ("defaults", TOO_MANY, "limits: all", 2.5),
        )
        counts = Counts()
        self.assertIs(self.enter("a.example", counts), ALLOWED)
        self.assertIs(self.enter("b.example"), ALLOWED)
        self.assertEqual(self.enter("a.example").action, Action.DENY)
        counts.give_back()
        self.assertIs(self.enter("a.example"), ALLOWED)

    def test_once_for_a_connection(self) -> None:
        """A connection counts once, however often it is asked about."""
        self.use(ALL)
        counts = Counts()
        for _ in range(5):
            self.assertIs(self.enter("a.example", counts), ALLOWED)
        self.assertEqual(len(counts), 1)

    def test_rules_of_hostnames(self) -> None:
        """A rule about hostnames, or that excepts some, waits for the hostname, also if it counts all together."""
        limits = "limits: [{name: l, of: concurrent_connections, most: 1, per: all}]"
        self.use(f"rules: [{{name: r, match: {{hostname: [a.example, b.example]}}, {limits}}}]")
        self.assertIsNone(self.policy.on_arrival)
        self.assertIsNone(self.policy.program_for("c.example"))
        counts = Counts()
        self.assertIs(self.enter("a.example", counts), ALLOWED)
        self.assertIs(self.enter("b.example", counts), ALLOWED)
        self.assertEqual(self.enter("b.example").action, Action.DENY)
        self.use(f"rules: [{{name: r, except: [{{hostname: a.example}}], {limits}}}]")
        self.assertIsNone(self.policy.on_arrival)
        self.enter("b.example")
        self.assertIs(self.enter("a.example"), ALLOWED)
        self.assertEqual(self.enter("b.example").action, Action.DENY)

    def test_sources_and_schemes(self) -> None:
        """Match and exceptions by source and scheme hold on arrival; an exception that asks for a path does not."""
        self.use(
            """
rules:
- name: r
  match: {scheme: https}
  except: [/healthz, {source: 198.51.100.0/24}, {source: 192.0.2.1, method: GET}]
  limits: [{name: l, of: concurrent_connections, most: 1, per: all}]
"""
        )
        self.arrive()
        self.assertEqual(self.arrive().action, Action.DENY)
        self.assertIs(self.arrive(request(scheme="http")), ALLOWED)
        for _ in range(3):
            self.assertIs(self.arrive(request(address="198.51.100.7")), ALLOWED)

    def test_log_only(self) -> None:
        """A rule that only logs says what it would have done."""
        self.use(
            "rules: [{name: r, log_only: true, limits: [{name: l, of: concurrent_connections, most: 1, per: all}]}]"
        )
        verdicts = [self.arrive() for _ in range(2)]
        self.assertEqual([verdict.action for verdict in verdicts], [Action.ALLOW] * 2)
        self.assertEqual([[each.rule for each in verdict.would] for verdict in verdicts], [[], ["r"]])

    def test_failures_deny(self) -> None:
        """What fails denies, and says so."""
        self.use(ALL)

        def fail(key: object, price: float, now: float) -> float:
            raise RuntimeError("broken")

        self.patch(self.parts.limiters["defaults.all"], "take", fail)
        verdict = self.arrive()
        assert verdict.objection is not None
        self.assertEqual((verdict.action, verdict.objection.reason), (Action.DENY, CHECK_FAILED))
        self.assertEqual([str(error) for error in verdict.errors], ["broken"])

    def test_many_hostnames(self) -> None:
        """A connection that is used for very many hostnames is refused the next one."""
        self.patch(module, "MAX_COUNTS", 3)
        self.use(ALL)
        counts = Counts()
        actions = [self.enter(f"a{number}.example", counts).action for number in range(5)]
        self.assertEqual(actions, [Action.ALLOW] * 3 + [Action.DENY] * 2)
