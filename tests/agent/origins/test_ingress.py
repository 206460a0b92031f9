"""Tests of `warp_twisted.agent.origins.ingress`."""

import re2
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.health.settings import Health
from warp_twisted.agent.origins import OriginRequest
from warp_twisted.agent.origins.asking import RulePolicy
from warp_twisted.agent.origins.ingress import MAX_OFFERS, Ingress, Offer, compile_ingress, single_origin
from warp_twisted.errors import InvalidSettings
from warp_twisted.policy.document.limits import Limit

PLAIN = OriginRequest()


def ingress(*rules: tuple[str, str, str]) -> Ingress:
    """Compile rules of hostname, path and service."""
    return compile_ingress([(*rule, PLAIN) for rule in rules])


def chosen(compiled: Ingress, hostname: str, path: str) -> int | None:
    """Return the rule that an edge would choose by the offers: exact hostname first, then the longest pattern."""
    names = {offer.hostname for offer in compiled.offers}
    candidates = [name for name in names if name == hostname]
    patterns = [name for name in names if name.startswith("*.") and hostname.endswith(name[1:])]
    candidates += sorted(patterns, key=len, reverse=True)
    for offer in compiled.offers:
        if candidates and offer.hostname == candidates[0] and re2.search(offer.path, path):
            return offer.rule
    return None


def first_match(rules: list[tuple[str, str, str]], hostname: str, path: str) -> int:
    """Return the rule that cloudflared would choose: the first that matches."""
    for index, (pattern, expression, _) in enumerate(rules):
        if pattern.startswith("*.") and not hostname.endswith(pattern[1:]):
            continue
        if pattern and not pattern.startswith("*.") and pattern != hostname:
            continue
        if re2.search(expression, path):
            return index
    raise AssertionError("the last rule matches everything")


class CompileTests(SynchronousTestCase):
    """Which lists of rules are accepted, and what they offer."""

    def refusal(self, *rules: tuple[str, str, str]) -> str:
        """Return the words with which rules are refused."""
        return str(self.assertRaises(InvalidSettings, ingress, *rules))

    def test_catch_all_last_is_required(self) -> None:
        """As in cloudflared, the last rule must match everything."""
        self.assertIn("ingress[0]: the last rule must match", self.refusal(("a.example", "", "http://x:1")))
        self.assertIn("ingress[0]: the last rule must match", self.refusal(("", "^/a", "http://x:1")))

    def test_catch_all_before_the_end_is_refused(self) -> None:
        """Rules after a catch-all would never be reached; `*` alone is a catch-all too."""
        for hostname in ("", "*"):
            self.assertIn("never reached", self.refusal((hostname, "", "http://x:1"), ("", "", "http://x:2")))

    def test_each_mistake_names_its_key(self) -> None:
        """Hostname, path and service are each refused by their own path."""
        last = ("", "", "http_status:404")
        self.assertIn("ingress[0].hostname: ", self.refusal(("a_!", "", "http://x:1"), last))
        self.assertIn("ingress[0].hostname: ", self.refusal(("a.*.example", "", "http://x:1"), last))
        self.assertIn("ingress[0].hostname: ", self.refusal(("a.example:80", "", "http://x:1"), last))
        self.assertIn("ingress[0].path: 'a(' is not an RE2", self.refusal(("", "a(", "http://x:1"), last))
        self.assertIn("ingress[0].path: ", self.refusal(("", r"(a)\1", "http://x:1"), last))
        self.assertIn("ingress[0].path: expected at most", self.refusal(("", "a" * 1025, "http://x:1"), last))
        self.assertIn("ingress[1].service: ", self.refusal(("", "a", "http://x:1"), ("", "", "gopher://x")))

    def test_no_rules_are_refused(self) -> None:
        """An agent without a rule has nothing to do."""
        self.assertIn("at least one rule", self.refusal())

    def test_one_rule_without_hostname_asks_for_a_name(self) -> None:
        """A lone service is offered without a hostname, so that the edge hands one out."""
        self.assertEqual(ingress(("", "", "http://x:1")).offers, (Offer("", "", 0),))

    def test_not_found_is_left_to_the_edge(self) -> None:
        """A final http_status:404 is not offered for hostnames that another rule names."""
        compiled = ingress(("a.example", "^/x", "http://x:1"), ("", "", "http_status:404"))
        self.assertEqual(compiled.offers, (Offer("a.example", "^/x", 0),))

    def test_catch_all_serves_the_rest_of_named_hostnames(self) -> None:
        """Another final service is offered where the hostname's own rules leave paths over."""
        compiled = ingress(("A.example.", "^/x", "http://x:1"), ("b.example", "", "http://x:2"), ("", "", "http://x:3"))
        self.assertEqual(
            compiled.offers, (Offer("a.example", "^/x", 0), Offer("a.example", "", 2), Offer("b.example", "", 1))
        )

    def test_patterns_cover_the_names_below_them(self) -> None:
        """A wildcard's rules also serve exact names under it, in the order of the file."""
        compiled = ingress(
            ("*.example", "^/all", "http://x:1"),
            ("a.example", "", "http://x:2"),
            ("*.b.example", "", "http://x:3"),
            ("", "", "http_status:404"),
        )
        self.assertEqual(
            compiled.offers,
            (
                Offer("*.example", "^/all", 0),
                Offer("a.example", "^/all", 0),
                Offer("a.example", "", 1),
                Offer("*.b.example", "^/all", 0),
                Offer("*.b.example", "", 2),
            ),
        )

    def test_number_of_offers_is_bounded(self) -> None:
        """Rules without hostname multiply with the hostnames; the product has a limit."""
        rules = [("", f"^/{index}", "http://x:1") for index in range(100)]
        rules += [(f"h{index}.example", "", "http://x:1") for index in range(MAX_OFFERS // 100 + 1)]
        self.assertIn("routes, at most", self.refusal(*rules, ("", "", "http_status:404")))

    def test_single_origin(self) -> None:
        """`warp up` serves its origin on the hostnames and path asked for and nothing else."""
        self.assertEqual(single_origin("http://x:1", PLAIN).offers, (Offer("", "", 0),))
        both = single_origin("http://x:1", PLAIN, ["a.example", "b.example"], "^/x")
        self.assertEqual(both.offers, (Offer("a.example", "^/x", 0), Offer("b.example", "^/x", 1)))

    def test_max_requests(self) -> None:
        """How many requests it takes is said of the origin, and not of the 404 for other paths."""
        both = single_origin("http://x:1", PLAIN, ["a.example", "b.example"], "^/x", None, None, 7)
        self.assertEqual([rule.max_requests for rule in both.rules], [7, 7, 0])
        rules = [("a.example", "", "http://x:1", PLAIN), ("", "", "http_status:404", PLAIN)]
        self.assertEqual([rule.max_requests for rule in compile_ingress(rules, max_requests=[5, 0]).rules], [5, 0])

    def test_policy_of_a_single_origin(self) -> None:
        """It is for all of the origin: each hostname, or the name that the edge gives, also where only a path is."""
        policy = RulePolicy(limits=[Limit(name="a", rate="5/s")])
        for hostnames, path, expected in (
            ([], "", [""]),
            ([], "^/x", [""]),
            (["a.example", "*.b.example"], "", ["a.example", "*.b.example"]),
            (["a.example"], "^/x", ["a.example"]),
        ):
            ((_, found, _),) = single_origin("http://x:1", PLAIN, hostnames, path, policy).policies
            self.assertEqual(found, expected)
        self.assertEqual(single_origin("http://x:1", PLAIN).policies, [])

    def test_policy_of_paths(self) -> None:
        """A policy beside a path is refused: the path could be spelt in another way, and reach the same origin."""
        policy = RulePolicy(limits=[Limit(name="a", rate="5/s")])
        rules = [("a.example", "^/admin", "http://x:1", PLAIN), ("", "", "http_status:404", PLAIN)]
        error = self.assertRaises(InvalidSettings, compile_ingress, rules, [policy, None])
        self.assertTrue(str(error).startswith("ingress[0].policy: it is for a whole hostname"), str(error))

    def test_health(self) -> None:
        """Probes ask for the rule's own hostname, or for the origin's address where the rule has none of its own."""
        health = Health(path="/healthz")
        for hostname, service, asked, host in (
            ("a.example", "http://x:1", health, "a.example"),
            ("*.example", "http://x:1", health, "x:1"),
            ("", "https://x", health, "x:443"),
            ("", "unix:/run/a", health, "localhost"),
            ("a.example", "http://x:1", Health(path="/", host="b.example"), "b.example"),
        ):
            rules = [(hostname, "^/", service, PLAIN), ("", "", "http_status:404", PLAIN)]
            self.assertEqual(compile_ingress(rules, healths=[asked, None]).rules[0].probe_host, host)
        single = single_origin("http://x:1", PLAIN, ["a.example"], health=health)
        self.assertEqual([rule.health for rule in single.rules], [health, None])

    def test_health_of_what_cannot_be_asked(self) -> None:
        """What is inside the agent is not probed, and what need not speak HTTP is only connected to."""
        for service, health, words in (
            ("http_status:200", Health(tcp=True), "ingress[0].health: not needed: http_status:200 is inside the agent"),
            ("hello-world", Health(path="/"), "ingress[0].health: not needed: hello-world is inside the agent"),
            (
                "tcp://x:1",
                Health(path="/"),
                "ingress[0].health.path: tcp://x:1 need not speak HTTP; write health: {tcp",
            ),
        ):
            rules = [("", "", service, PLAIN)]
            error = self.assertRaises(InvalidSettings, compile_ingress, rules, healths=[health])
            self.assertIn(words, str(error))
        compile_ingress([("", "", "tcp://x:1", PLAIN)], healths=[Health(tcp=True)])

    @settings(deadline=None, max_examples=300)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["", "a.example", "b.a.example", "*.example", "*.a.example", "c.example"]),
                st.sampled_from(["", "^/x", "y$", "."]),
            ),
            max_size=6,
        ),
        st.sampled_from(["a.example", "b.a.example", "c.a.example", "c.example", "z.example"]),
        st.sampled_from(["/", "/x", "/xy", "/y"]),
    )
    def test_offers_choose_as_the_rules_do(self, head: list[tuple[str, str]], hostname: str, path: str) -> None:
        """For any rules, an edge that follows the offers picks what cloudflared would, or nothing for a 404."""
        rules = [(name, expression, f"http://x:{index + 1}") for index, (name, expression) in enumerate(head)]
        rules = [rule for rule in rules if rule[:2] != ("", "")] + [("", "", "http_status:404")]
        compiled = ingress(*rules)
        if not any(name for name, _, _ in rules):
            self.assertEqual({offer.hostname for offer in compiled.offers}, {""})
            return
        named = any(name == hostname or (name.startswith("*.") and hostname.endswith(name[1:])) for name, _, _ in rules)
        expected = first_match(rules, hostname, path)
        is_left_to_the_edge = not named or expected == len(rules) - 1
        self.assertEqual(chosen(compiled, hostname, path), None if is_left_to_the_edge else expected)
