"""Tests of `warp_twisted.edge.policy.asked`."""

import gc
import time
from collections.abc import Mapping

from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.policy.test_in_force import loaded
from tests.policy.document.test_asked import HASH, LIMIT, SOURCES, asked, basic
from tests.policy.judging.samples import request
from warp_twisted.edge.errors import OfferRefused
from warp_twisted.edge.policy.asked import (
    MAX_ASKS,
    MAX_KEYS,
    MAX_REMEMBERED,
    NOTHING,
    AskedPolicies,
    AskedProgram,
    Asks,
)
from warp_twisted.policy.document.asked import MAX_PREFIXES, MAX_USERS
from warp_twisted.policy.interfaces import Answer, Outcome, Question
from warp_twisted.policy.paths.tree import LooseTree
from warp_twisted.policy.verdict import Action
from warp_twisted.wire.control import MAX_POLICY_CHARACTERS

NAMES = {name: name for name in ("a.example", "b.example", "*.c.example")} | {"": "given.example"}


class AskedCase(SynchronousTestCase):
    """What is asked of one edge."""

    def setUp(self) -> None:
        self.asked = AskedPolicies(execute)
        self.changes: list[str] = []
        self.asked.changed = self.changes.append

    def read(self, text: str, agent: str = "a-1") -> Mapping[str, Asks]:
        """Read what an agent asks."""
        return self.successResultOf(Deferred.fromCoroutine(self.asked.read(text, NAMES, agent)))

    def refusal(self, text: str) -> str:
        """Read what cannot be enforced; return why."""
        failure = self.failureResultOf(Deferred.fromCoroutine(self.asked.read(text, NAMES, "a-1")), OfferRefused)
        return str(failure.value)


class ReadingTests(AskedCase):
    """`AskedPolicies.read`."""

    def test_nothing(self) -> None:
        """An agent that asks for nothing costs nothing."""
        self.assertEqual(self.read(""), {})
        self.assertFalse(self.asked)

    def test_by_hostname(self) -> None:
        """What is asked for a name that the edge gives is asked for that name."""
        found = self.read(asked("a.example", "", sources=SOURCES))
        self.assertEqual(set(found), {"a.example", "given.example"})
        self.assertEqual(found["a.example"], found["given.example"])

    def test_equal_ones_are_compiled_once(self) -> None:
        """Whoever asks the same, for whichever hostname, is given the same limiters; they go with the last of them."""
        first = self.read(asked("a.example", sources=SOURCES))
        again = self.read(asked("b.example", sources=SOURCES))
        self.assertIs(first["a.example"][0], again["b.example"][0])
        del first, again
        gc.collect()
        self.assertEqual(len(self.asked._compiled), 0)

    def test_refused(self) -> None:
        """What cannot be used, and what is for hostnames that are not offered, is refused, by place and name."""
        self.assertIn("unknown field `deny`", self.refusal(asked("a.example", deny=True)))
        self.assertIn("names 'x.example', which it does not offer", self.refusal(asked("x.example", sources=SOURCES)))
        plain = asked("a.example", authenticate=basic(users={"ann": "secret"}))
        said = self.refusal(plain)
        self.assertIn("rules[0].authenticate.any_of[0].basic.users: expected an argon2id hash", said)
        self.assertNotIn("secret", said)
        costly = HASH.replace("m=64,t=1", "m=262144,t=16")
        self.assertIn("costs too much", self.refusal(asked("a.example", authenticate=basic(users={"ann": costly}))))

    def test_the_price(self) -> None:
        """The longest that can be asked is read in a bounded time, in a thread, and once for all who ask it."""
        users = {f"user-{number:04}": HASH for number in range(MAX_USERS)}
        prefixes = [f"2001:db8:{number:x}::/48" for number in range(MAX_PREFIXES)]
        text = asked("a.example", sources={"allow": prefixes, "deny": prefixes}, authenticate=basic(users=users))
        self.assertLess(len(text), MAX_POLICY_CHARACTERS)
        begun = time.process_time()
        kept = self.read(text)
        self.assertLess(time.process_time() - begun, 0.5)
        self.assertIs(self.read(text)["a.example"][0], kept["a.example"][0])

    def test_memory(self) -> None:
        """Counts and answers that visitors fill, who may be the agent itself, have bounds below the operator's."""
        policy = self.read(asked("a.example", limits=[{**LIMIT, "key": {"header": "X-Key"}}], authenticate=basic()))
        (ask,) = policy["a.example"]
        program = AskedProgram(None, (ask,))
        for number in range(2 * MAX_KEYS):
            program.judge(request("GET /", f"X-Key: {number}"), 0.0, 0.0)
        (limit,) = ask.rule.early_limits
        buckets = limit.limiter._buckets  # type: ignore[attr-defined]  # of this limiter, a rate's
        self.assertLessEqual(len(buckets._looked_at) + len(buckets._to_look_at), MAX_KEYS)
        ((subject, check),) = ask.passwords.items()
        for number in range(MAX_REMEMBERED + 10):
            check.remember(Question("basic", subject, b"%d" % number), Answer(Outcome.REFUSED), 0.0)
        self.assertLessEqual(len(check._remembered), MAX_REMEMBERED)


class InForceTests(AskedCase):
    """`AskedPolicies.put` and `remove`."""

    def test_all_of_them_together(self) -> None:
        """A hostname is judged by what each of its tunnels asks, until the last tunnel that asks it has gone."""
        one, two = self.read(asked("a.example", sources=SOURCES)), self.read(asked("a.example", limits=[LIMIT]))
        for tunnel, policy in (("t-1", one), ("t-2", two), ("t-3", two), ("t-4", {})):
            self.asked.put(tunnel, policy)
        self.assertEqual(set(self.asked.of("a.example")), {*one["a.example"], *two["a.example"]})
        self.asked.remove("t-2")
        self.asked.remove("t-4")
        self.assertEqual(len(self.asked.of("a.example")), 2)
        self.asked.remove("t-1")
        self.assertEqual(self.asked.of("a.example"), two["a.example"])
        self.asked.remove("t-3")
        self.assertEqual((self.asked.of("a.example"), bool(self.asked)), (NOTHING, False))
        self.asked.remove("t-3")
        self.assertEqual(self.changes, ["a.example"] * 4)

    def test_too_many(self) -> None:
        """What is asked for one hostname is bounded; who asks for more is refused, and nothing has changed."""
        for number in range(MAX_ASKS):
            self.asked.put(number, self.read(asked("a.example", sources={"deny": [f"192.0.2.{number}"]})))
        more = self.read(asked("a.example", "b.example", sources={"deny": ["198.51.100.1"]}))
        self.assertRaises(OfferRefused, self.asked.put, "t", more)
        self.assertEqual((len(self.asked.of("a.example")), self.asked.of("b.example")), (MAX_ASKS, NOTHING))
        self.asked.put("t", self.read(asked("a.example", sources={"deny": ["192.0.2.3"]})))

    def test_many_tunnels_that_ask_the_same(self) -> None:
        """Another tunnel that asks what is in force changes nothing: the cost does not grow with how many there are."""
        policy = self.read(asked("a.example", sources=SOURCES))
        for tunnel in range(1_000):
            self.asked.put(tunnel, policy)
        for tunnel in range(999):
            self.asked.remove(tunnel)
        self.assertEqual(self.changes, ["a.example"])

    def test_covered(self) -> None:
        """A request may go on if all that is asked now was asked when it was judged."""
        self.assertTrue(self.asked.are_covered("a.example", None))
        one, two = self.read(asked("a.example", sources=SOURCES)), self.read(asked("a.example", limits=[LIMIT]))
        self.asked.put("t-1", one)
        operators = loaded(self, "rules: [{name: r, deny: true}]").compiled.program_for("a.example")
        judged = AskedProgram(operators, self.asked.of("a.example"))
        for program, is_covered in ((None, False), (operators, False), (judged, True)):
            self.assertEqual(self.asked.are_covered("a.example", program), is_covered)
        self.asked.put("t-2", two)
        self.assertFalse(self.asked.are_covered("a.example", judged))
        self.asked.remove("t-2")
        self.asked.remove("t-1")
        self.assertTrue(self.asked.are_covered("a.example", judged))

    def test_passwords(self) -> None:
        """A question finds the check that asked it, while somebody asks for it."""
        policy = self.read(asked("a.example", "b.example", authenticate=basic()))
        self.asked.put("t-1", policy)
        ((subject, check),) = policy["a.example"][0].passwords.items()
        self.assertIs(self.asked.password_check(subject), check)
        for subject in ("", "agent:", "rules[0].authenticate.any_of[0].basic"):
            self.assertIsNone(self.asked.password_check(subject))

    def test_whose_they_are(self) -> None:
        """All lists of one agent wait as one, however many policies it asks for; those of another agent do not."""
        texts = [asked("a.example", authenticate=basic(realm=f"r{number}")) for number in range(3)]
        found = [self.read(texts[0]), self.read(texts[1]), self.read(texts[2], "a-2")]
        askers = [check.asker for each in found for check in each["a.example"][0].passwords.values()]
        self.assertEqual(askers, ["a-1", "a-1", "a-2"])

    def test_what_a_password_may_cost(self) -> None:
        """All agents share a thread, so theirs cost a quarter of what an operator's may."""
        for memory, is_refused in ((64, False), (87_381, False), (87_382, True)):
            text = asked("a.example", authenticate=basic(users={"ann": HASH.replace("m=64,t=1", f"m={memory},t=3")}))
            if is_refused:
                self.assertIn("m times t 262144 are allowed", self.refusal(text))
            else:
                self.assertEqual(set(self.read(text)), {"a.example"})


class ProgramTests(AskedCase):
    """`AskedProgram`."""

    def test_any_deny_wins(self) -> None:
        """It denies what the operator's rules deny and what is asked denies, and lets in nobody besides."""
        policy = loaded(self, "rules: [{name: r, sources: {deny: [192.0.2.7]}}]").compiled.program_for("a.example")
        program = AskedProgram(policy, self.read(asked("a.example", sources=SOURCES))["a.example"])
        for address, action, rule in (
            ("192.0.2.7", Action.DENY, "r"),
            ("203.0.113.1", Action.DENY, "agent:policy"),
            ("192.0.2.8", Action.ALLOW, ""),
            ("2001:db8::1", Action.ALLOW, ""),
            ("2001:db9::1", Action.DENY, "agent:policy"),
        ):
            verdict = program.judge(request(address=address), 0.0, 0.0)
            found = verdict.objection.rule if verdict.objection is not None else ""
            self.assertEqual((verdict.action, found), (action, rule), address)

    def test_the_operators_rules_are_not_put_together_anew(self) -> None:
        """
        However many paths they have, what an agent asks costs nothing by them, and they judge as before.

        Any agent that comes or goes has such programs made, in the event loop: 10,000 patterns took 0.3 s of it.
        """
        text = "rules: [{name: r, match: {path: [/admin/*, /b/*/c]}, deny: true}, {name: o, match: {method: PUT}}]"
        policy = loaded(self, text).compiled.program_for("a.example")
        ask = self.read(asked("a.example", sources=SOURCES))["a.example"]
        self.patch(LooseTree, "add", lambda tree, pattern, value: self.fail("a pattern was added anew"))
        program = AskedProgram(policy, ask)
        for line, address, rule in (
            ("GET /Admin/x", "192.0.2.8", "r"),
            ("GET /x//../admin", "192.0.2.8", "r"),
            ("GET /b/x/c", "203.0.113.1", "r"),
            ("GET /b/x", "203.0.113.1", "agent:policy"),
            ("GET /b/x", "192.0.2.8", ""),
        ):
            verdict = program.judge(request(line, address=address), 0.0, 0.0)
            found = verdict.objection.rule if verdict.objection is not None else ""
            self.assertEqual(found, rule, line)
