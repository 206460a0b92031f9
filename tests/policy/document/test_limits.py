"""Tests of `policy.document.limits`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.refusals import policy_of, refusal_of
from warp_twisted.policy.document.limits import Ban, Limit
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.policy.errors import InvalidPolicy


class LimitTests(SynchronousTestCase):
    """The key `limits`."""

    def limit(self, text: str) -> Limit:
        """Return the first limit of a rule."""
        limits = policy_of(f"limits: [{{name: a, {text}}}]").rules[0].limits
        assert limits is not None
        return limits[0]

    def test_numbers(self) -> None:
        """The burst is what the rate allows in a second, unless it is given, and never less than one."""
        self.assertEqual((self.limit("rate: 50/s").per_second, self.limit("rate: 50/s").burst_units), (50, 50))
        self.assertEqual(self.limit("rate: 50/s, burst: 100").burst_units, 100)
        self.assertEqual(self.limit("rate: 1/m").burst_units, 1)
        of_bytes = self.limit("of: bytes, rate: 1MiB/s, burst: 2MiB")
        self.assertEqual((of_bytes.per_second, of_bytes.burst_units), (1 << 20, 2 << 20))
        self.assertEqual(self.limit("of: concurrent_requests, most: 5").per_second, 0)

    def test_mistakes(self) -> None:
        """What does not belong together is refused."""
        for text, expected in (
            ("most: 5", "limits[0].of: requests is limited by rate"),
            ("rate: 5/s, most: 5", "limits[0].of: requests is limited by rate"),
            ("of: concurrent_requests, rate: 5/s", "limits[0].of: concurrent_requests is limited by most"),
            ("rate: 5", "limits[0].rate: expected"),
            ("rate: fast", "limits[0].rate: expected a rate such as 50/s"),
            ("rate: 5/s, burst: 10KiB", "limits[0].burst: expected a whole number"),
            ("of: bytes, rate: 5/s", "limits[0].rate: expected a rate such as 10MiB/s"),
            ("of: connections, rate: 5/s, key: identity", "limits[0].key: connections are counted before anybody"),
            ("of: connections, rate: 5/s, key: {header: X}", "limits[0].key: connections are counted before a request"),
        ):
            self.assertIn(expected, refusal_of(f"limits: [{{name: a, {text}}}]"), text)
        twice = "limits: [{name: a, rate: 1/s}, {name: a, rate: 1/s}]"
        self.assertIn("limits[1].name: 'a' is the name of an earlier limit", refusal_of(twice))

    def test_limits_of_connections_know_no_request(self) -> None:
        """A rule about paths cannot limit connections, which are counted before there is a request."""
        wrong = "match: {path: /a}, limits: [{name: a, of: connections, rate: 1/s}]"
        self.assertIn("limits[0].of: connections are counted before a request is read", refusal_of(wrong))
        right = "match: {hostname: a.example, scheme: https}, limits: [{name: a, of: connections, rate: 1/s}]"
        self.assertEqual(refusal_of(right), "")


class BanTests(SynchronousTestCase):
    """The key `ban` of the defaults."""

    def test_ban(self) -> None:
        """It takes a number and two lengths of time."""
        policy = parse_policy("defaults: {ban: {refusals: 20, within: 10s, for: 10m, never: [192.0.2.1]}}", "p")
        self.assertEqual(policy.defaults.ban, Ban(refusals=20, within="10s", for_="10m", never=["192.0.2.1"]))

    def test_mistakes(self) -> None:
        """Each is refused with the key it is in."""
        for text, expected in (
            ("refusals: 20, within: 10s", "defaults.ban.for: missing"),
            ("refusals: 0, within: 10s, for: 1m", "defaults.ban.refusals: expected"),
            ("refusals: 1, within: soon, for: 1m", "defaults.ban.within: expected a length of time"),
            ("refusals: 1, within: 1s, for: 1m, never: [x]", "defaults.ban.never[0]: expected a prefix"),
        ):
            error = self.assertRaises(InvalidPolicy, parse_policy, f"defaults: {{ban: {{{text}}}}}", "p")
            self.assertIn(expected, str(error))
