"""Tests for `warp_twisted.edge.policy.judgement`."""

from base64 import b64encode
from pathlib import Path

from argon2 import PasswordHasher
from twisted.trial.unittest import SynchronousTestCase

from tests.case import AsyncTestCase, reactor, until
from tests.edge.policy.test_in_force import loaded
from tests.policy.authentication.requests import NOW, WALL, request
from warp_twisted.edge.policy import passwords as passwords_module
from warp_twisted.edge.policy.banning import COUNTED
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.edge.policy.judgement import REFUSALS, REFUSALS_FOR_AGENTS, Judgement, refusal_lines, refusal_of
from warp_twisted.edge.policy.loading import load
from warp_twisted.edge.policy.passwords import Passwords
from warp_twisted.policy.document.asked import NAME as ASKED_NAME
from warp_twisted.policy.document.limits import Limit
from warp_twisted.policy.verdict import INSECURE, REASONS, TOO_MANY, UNPROVEN, Objection

FAST = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


class JudgementTests(SynchronousTestCase):
    """`Judgement`."""

    def use(self, text: str) -> None:
        """Put a policy in force."""
        self.policy = PolicyInForce()
        self.policy.use(loaded(self, text))

    def judge(self) -> Judgement:
        """Judge a GET."""
        program = self.policy.program_for("app.example", "app.example")
        assert program is not None
        return Judgement(self.policy, program, request(), NOW, WALL)

    def test_what_was_taken_is_given_back(self) -> None:
        """What is concurrent is free again at the end."""
        self.use("rules: [{name: r, limits: [{name: one, of: concurrent_requests, most: 1}]}]")
        first = self.judge()
        self.assertIsNone(first.objection)
        self.assertIsNotNone(self.judge().objection)
        first.end()
        self.assertIsNone(self.judge().objection)

    def test_log_only(self) -> None:
        """A rule that only logs objects to nothing, and its word is in the verdict."""
        self.use("rules: [{name: r, deny: true, log_only: true}]")
        judgement = self.judge()
        self.assertIsNone(judgement.objection)
        self.assertEqual([each.rule for each in judgement.verdict.would], ["r"])


class AsideTests(AsyncTestCase):
    """What rules that only log ask."""

    async def prepare(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        (directory / "users").write_text(f"ann:{FAST.hash('geheim')}\n")
        (directory / "policy").write_text(
            "rules: [{name: r, log_only: true, authenticate: {any_of: [{basic: {users_file: users}}]}}]"
        )
        self.passwords, self.aside = Passwords(reactor, lambda: NOW), Passwords(reactor, lambda: NOW, threads=1)
        for each in (self.passwords, self.aside):
            each.start()
            self.addCleanup(each.stop)
        self.policy = PolicyInForce(self.passwords, passwords_aside=self.aside)
        self.policy.use(load(str(directory / "policy"), str(directory), {})[0])

    def judge(self, password: str) -> Judgement:
        """Judge a request with a user's password."""
        program = self.policy.program_for("app.example", "app.example")
        assert program is not None
        credentials = b64encode(f"ann:{password}".encode()).decode()
        return Judgement(self.policy, program, request(f"Authorization: Basic {credentials}"), NOW, WALL)

    def counted(self) -> dict[tuple[str, ...], float]:
        """Return what rules would have refused, by rule and reason."""
        families = [each for each in self.policy.collect() if each.name == "warp_edge_policy_would_refuse"]
        return {tuple(each.labels.values()): each.value for family in families for each in family.samples}

    async def test_no_request_waits(self) -> None:
        """A password that only a rule without force asks about is hashed aside; a wrong one is counted then."""
        for password, counted in (("geheim", {}), ("falsch", {("r", "credential"): 1.0})):
            judgement = self.judge(password)
            self.assertEqual((judgement.questions, judgement.objection), ((), None))
            await until(lambda: not self.aside._waiting)
            self.assertEqual(self.counted(), counted)
        self.assertEqual((self.passwords.checked, self.aside.checked), (0, 2))
        self.assertEqual([each.rule for each in self.judge("falsch").verdict.would], ["r"])  # it is remembered

    async def test_no_room(self) -> None:
        """What finds no room is not counted, as nobody knows what the rule would have done."""
        self.patch(passwords_module, "MAX_WAITING", 0)
        self.assertIsNone(self.judge("falsch").objection)
        self.assertEqual((self.aside.turned_away, self.counted()), (1, {}))

    async def test_nobody_answers(self) -> None:
        """Without anybody to hash for such rules nothing is asked."""
        self.policy._passwords_aside = None
        self.assertIsNone(self.judge("falsch").objection)
        self.assertEqual((self.aside.checked, self.counted()), (0, {}))


class RefusalLinesTests(SynchronousTestCase):
    """`refusal_lines` and `REFUSALS`."""

    def test_what_agents_ask(self) -> None:
        """A refusal by what an agent asks is told alike, but counts for no ban, which would be of all hostnames."""
        for reason in REASONS:
            own, asked = refusal_of(Objection("r", reason)), refusal_of(Objection(ASKED_NAME, reason))
            self.assertEqual((own.status, own.sentence), (asked.status, asked.sentence))
            self.assertEqual(asked.slug, f"agent-{own.slug}")
            self.assertNotIn(asked.slug, COUNTED)

    def test_lines(self) -> None:
        """Challenges, where https is, and what is left of a limit."""
        objection = Objection("r", UNPROVEN, challenges=(b'Basic realm="Warp"', b"Bearer"))
        self.assertEqual(
            refusal_lines(objection, b"/", b"app.example"),
            b'WWW-Authenticate: Basic realm="Warp"\r\nWWW-Authenticate: Bearer\r\n',
        )
        self.assertEqual(
            refusal_lines(Objection("r", INSECURE), b"/a?b", b"app.example:80"),
            b"Location: https://app.example/a?b\r\n",
        )
        self.assertEqual(
            refusal_lines(Objection("r", INSECURE, "https"), b"*", b"app.example"),
            b"Location: https://app.example/\r\n",
        )
        objection = Objection("r", TOO_MANY, limit=Limit(name="slow", rate="6/m", burst=3), wait=9.5)
        self.assertEqual(
            refusal_lines(objection, b"/", b"app.example"),
            b'RateLimit-Policy: "slow";q=3;w=30\r\nRateLimit: "slow";r=0;t=10\r\n',
        )

    def test_every_reason_has_a_page(self) -> None:
        """No reason of a verdict is without a refusal, and none shares its slug with another."""
        self.assertEqual(set(REFUSALS), set(REASONS))
        self.assertEqual(set(REFUSALS_FOR_AGENTS), set(REASONS))
        self.assertEqual(len({refusal.slug for refusal in REFUSALS.values()}), len(REASONS))
