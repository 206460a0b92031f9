"""Tests of `warp_twisted.policy.document.guard`, and of what an entry of `routing` asks of it."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.document.guard import Guard, parse_ratio, parse_times
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.policy.document.routing import MAX_GUARDS
from warp_twisted.policy.errors import InvalidPolicy

SPLIT = "{hostname: %s, split: [{selector: release=stable, weight: 90}, {selector: release=canary, weight: 10}], %s}"


class GuardDocumentTests(SynchronousTestCase):
    """The key `guard` of an entry."""

    def refusal(self, guard: str, hostname: str = "a.example") -> str:
        """Return why a guard is refused, without its place; empty if it is not."""
        try:
            parse_policy(f"routing: [{SPLIT % (hostname, guard)}]", "p")
        except InvalidPolicy as error:
            return str(error).removeprefix("p: ").removeprefix("routing[0].")
        return ""

    def test_defaults(self) -> None:
        """A guard of a share alone asks for its errors, over a minute, and takes it back."""
        text = f"routing: [{SPLIT % ('a.example', 'guard: {selector: release = canary}')}]"
        guard = parse_policy(text.replace("release = canary}", "release==canary}"), "p").routing[0].guard
        assert guard is not None
        self.assertEqual(guard, Guard(selector="release==canary", error_ratio="2%", over="1m", minimum=100))
        self.assertEqual((guard.p99, guard.on_worse, guard.seconds), (None, "back", 60.0))

    def test_values(self) -> None:
        """Parts are percents above 0, multiples above 1."""
        self.assertEqual((parse_ratio("2%"), parse_ratio("0.25%"), parse_ratio("100%")), (0.02, 0.0025, 1.0))
        self.assertEqual((parse_times("1.5x"), parse_times("10x")), (1.5, 10.0))

    def test_refused(self) -> None:
        """What could not be judged by is refused, with its place and what was expected."""
        for text, expected in (
            ("{}", "guard.selector: missing"),
            ("{selector: release=canray}", "guard.selector: no share of the split has the selector 'release=canray'"),
            ("{selector: 'a=('}", "guard.selector: selector 'a=(' is broken"),
            ("{selector: release=canary, error_ratio: 0%}", "guard.error_ratio: expected a part above 0, such as 2%"),
            ("{selector: release=canary, error_ratio: 101%}", "guard.error_ratio: expected"),
            ("{selector: release=canary, error_ratio: 2}", "error_ratio: expected a part above 0, such as 2%, got 2"),
            ("{selector: release=canary, p99: 1.5}", "guard.p99: expected a multiple above 1, such as 1.5x"),
            ("{selector: release=canary, over: 60}", "expected a length of time from 10s to 1h, such as 1m, got 60"),
            ("{selector: release=canary, p99: 1x}", "guard.p99: expected a multiple above 1, such as 1.5x, got '1x'"),
            ("{selector: release=canary, p99: 150%}", "guard.p99: expected"),
            ("{selector: release=canary, over: 9s}", "guard.over: expected 10s to 1h, got '9s'"),
            ("{selector: release=canary, over: 2h}", "guard.over: expected 10s to 1h"),
            ("{selector: release=canary, minimum: 9}", "guard.minimum: expected"),
            ("{selector: release=canary, on_worse: stop}", "guard.on_worse: expected"),
            (
                "{selector: release=canary, notify: hooks.example}",
                "guard.notify: expected a URL such as https://hooks.",
            ),
            ("{selector: release=canary, notify: 'https://a:b@hooks.example/'}", "guard.notify: expected a URL"),
            ('{selector: release=canary, notify: "https://hooks.example/a\\r\\nb"}', "guard.notify: expected a URL"),
            ("{selector: release=canary, mininum: 9}", "guard.mininum: unknown key; did you mean minimum?"),
        ):
            self.assertIn(expected, self.refusal(f"guard: {text}"), text)

    def test_nobody_to_judge_by(self) -> None:
        """A share needs another one of its tier with a weight: who would its part go to."""
        alone = SPLIT.replace("weight: 90", "weight: 90, tier: 1") % ("a.example", "guard: {selector: release=canary}")
        with self.assertRaisesRegex(InvalidPolicy, "guard: no other share of tier 0 has a weight above 0, to judge"):
            parse_policy(f"routing: [{alone}]", "p")

    def test_how_many(self) -> None:
        """A policy has no more guards than can be looked at every second."""
        entries = [SPLIT % (f"h{number}.example", "guard: {selector: release=canary}") for number in range(MAX_GUARDS)]
        parse_policy(f"routing: [{', '.join(entries)}]", "p")
        entries.append(SPLIT % ("more.example", "guard: {selector: release=canary}"))
        with self.assertRaisesRegex(InvalidPolicy, r"routing\[100\].guard: a policy has 100 guards at most"):
            parse_policy(f"routing: [{', '.join(entries)}]", "p")
