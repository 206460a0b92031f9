"""Tests of `policy.document.routing`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.document.policy import MAX_ROUTING, parse_policy
from warp_twisted.policy.document.routing import Routing
from warp_twisted.policy.errors import InvalidPolicy

SPLIT = "split: [{selector: release=stable, weight: 90}, {selector: release=canary, weight: 10}]"


class RoutingDocumentTests(SynchronousTestCase):
    """The key `routing`."""

    def entry(self, text: str) -> Routing:
        """Return the one entry of a policy."""
        return parse_policy(f"routing: [{{{text}}}]", "policy.yaml").routing[0]

    def refusal(self, text: str) -> str:
        """Return why an entry is refused, without its place; empty if it is not."""
        try:
            self.entry(text)
        except InvalidPolicy as error:
            return str(error).removeprefix("policy.yaml: ").removeprefix("routing[0].")
        return ""

    def test_defaults(self) -> None:
        """A split alone sends a share without tunnels to the others, uses one tier, and keeps nobody."""
        entry = self.entry(f"hostname: app.example, {SPLIT}")
        self.assertEqual((entry.when_empty, entry.tier_minimum, entry.sticky), ("others", "0%", None))
        self.assertEqual([(each.selector, each.weight, each.tier) for each in entry.split], [
            ("release=stable", 90, 0), ("release=canary", 10, 0),
        ])  # fmt: skip

    def test_shares(self) -> None:
        """What no request could go by is refused with its place: selectors, weights, repeats, tiers without weight."""
        for text, expected in (
            ("split: []", "split: expected a list of 1 to 16 mappings"),
            ("split: [{selector: a=b}]", "split[0].weight: missing"),
            ("split: [{weight: 1}]", "split[0].selector: missing"),
            ("split: [{selector: 'a=(', weight: 1}]", "split[0].selector: selector 'a=(' is broken at"),
            ("split: [{selector: a=b, weight: -1}]", "split[0].weight: expected"),
            ("split: [{selector: a=b, weight: 0.5}]", "split[0].weight: expected"),
            ("split: [{selector: a=b, weight: 10001}]", "split[0].weight: expected"),
            ("split: [{selector: a=b, weight: 1, tier: 10}]", "split[0].tier: expected"),
            ("split: [{selector: a=b, weight: 0}]", "split: no share of tier 0 has a weight above 0"),
            (
                "split: [{selector: a=b, weight: 1}, {selector: a=c, weight: 0, tier: 1}]",
                "split: no share of tier 1 has a weight above 0",
            ),
            (
                "split: [{selector: 'a=b,c', weight: 1}, {selector: 'a==b, c', weight: 1}]",
                "split[1].selector: 'a==b, c' is that of split[0]",
            ),
            ("split: [{selector: a=b, wieght: 1}]", "split[0].wieght: unknown key; did you mean weight?"),
        ):
            self.assertIn(expected, self.refusal(f"hostname: app.example, {text}"), text)

    def test_retries(self) -> None:
        """Only methods that do no harm when repeated may be listed, or none."""
        entry = self.entry(f"hostname: app.example, retries: {{methods: [GET, PUT]}}, {SPLIT}")
        assert entry.retries is not None
        self.assertEqual(entry.retries.methods, ["GET", "PUT"])
        self.assertEqual(self.refusal(f"hostname: app.example, retries: {{methods: []}}, {SPLIT}"), "")
        for methods in ("[POST]", "[get]", "[PATCH]", "[CONNECT]"):
            found = self.refusal(f"hostname: app.example, retries: {{methods: {methods}}}, {SPLIT}")
            self.assertIn("retries.methods: ", found)
            self.assertIn("may not be sent twice; expected some of GET, HEAD, OPTIONS, PUT", found)
        self.assertIn("retries.methods: missing", self.refusal(f"hostname: app.example, retries: {{}}, {SPLIT}"))

    def test_entries(self) -> None:
        """Hostnames are names or patterns, each at most once; the other keys have the values that we know."""
        for text, expected in (
            (f"{SPLIT}", "hostname: missing"),
            (f"hostname: 'a.*.example', {SPLIT}", "hostname: 'a.*.example' is not a hostname"),
            (f"hostname: a.example, when_empty: 502, {SPLIT}", "when_empty: expected"),
            (f"hostname: a.example, tier_minimum: 101%, {SPLIT}", "tier_minimum: expected a part such as 50%"),
            (f"hostname: a.example, tier_minimum: half, {SPLIT}", "tier_minimum: expected a part such as 50%"),
            (
                f"hostname: a.example, {SPLIT}}}, {{hostname: A.example., {SPLIT}",
                "routing[1].hostname: 'A.example.' is that of routing[0]",
            ),
        ):
            self.assertIn(expected, self.refusal(text), text)
        self.assertEqual(self.entry(f"hostname: '*.example', when_empty: 503, {SPLIT}").when_empty, 503)
        entries = ", ".join(f"{{hostname: a{n}.example, {SPLIT}}}" for n in range(MAX_ROUTING + 1))
        error = self.assertRaises(InvalidPolicy, parse_policy, f"routing: [{entries}]", "p")
        self.assertIn("routing: expected a list of at most 1000", str(error))

    def test_sticky(self) -> None:
        """Visitors keep to their share by a cookie or by their address, and a cookie has a name that browsers take."""
        for text, expected in (
            ("{}", "sticky: expected either cookie, with a name, or address: true"),
            ("{cookie: a, address: true}", "sticky: expected either cookie"),
            ("{address: false}", "sticky.address: expected"),
            ("{address: true, ttl: 1h}", "sticky.ttl: belongs to a cookie"),
            ("{address: true, same_site: lax}", "sticky.same_site: belongs to a cookie"),
            ("{cookie: 'a b'}", "sticky.cookie: expected 1 to 64 letters"),
            ("{cookie: __Host-warp}", "sticky.cookie: '__Host-warp': browsers take cookies of this prefix over https"),
            ("{cookie: a, ttl: soon}", "sticky.ttl: expected a length of time"),
            ("{cookie: a, ttl: 31d}", "sticky.ttl: expected 1s to 30d, got '31d'"),
            ("{cookie: a, ttl: 500ms}", "sticky.ttl: expected 1s to 30d"),
            ("{cookie: a, same_site: maybe}", "sticky.same_site: expected"),
        ):
            self.assertIn(expected, self.refusal(f"hostname: a.example, {SPLIT}, sticky: {text}"), text)
        for text in ("{address: true}", "{cookie: warp_route, ttl: 30d, same_site: none}"):
            self.assertEqual(self.refusal(f"hostname: a.example, {SPLIT}, sticky: {text}"), "")
