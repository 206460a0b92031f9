"""Tests of `policy.document.fields`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.refusals import policy_of, refusal_of
from warp_twisted.policy.document.fields import Https


class FieldsTests(SynchronousTestCase):
    """The keys `request`, `response` and `https`."""

    def test_mistakes(self) -> None:
        """Names that are none, values that would make lines of their own, and the edge's own fields are refused."""
        for text, expected in (
            ('request: {set: {"X A": b}}', "request.set: expected the name of a field, got 'X A'"),
            ('response: {add: {X-A: "b\\r\\nX-B: c"}}', "response.add.X-A: expected printable ASCII"),
            ("response: {add: {X-A: ' b'}}", "response.add.X-A: expected printable ASCII without spaces"),
            ("request: {remove: [Content_Length]}", "request.remove: Content_Length is the edge's own"),
            ("request: {set: {host: a}}", "request.set: host is the edge's own"),
            ("request: {add: {X-Forwarded-For: a}}", "request.add: X-Forwarded-For is the edge's own"),
            ("request: {set: {X-A: 3}}", "put quotes around it"),
        ):
            self.assertIn(expected, refusal_of(text), text)

    def test_https(self) -> None:
        """One word, or a mapping that says how long browsers remember."""
        self.assertEqual(policy_of("https: redirect").rules[0].https, "redirect")
        self.assertEqual(policy_of("https: {hsts: 0s}").rules[0].https, Https(hsts="0s"))
        self.assertIn("https: expected 'redirect'", refusal_of("https: yes"))
        self.assertIn("https.hsts: expected", refusal_of("https: {hsts: long}"))
