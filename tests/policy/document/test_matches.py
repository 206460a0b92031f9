"""Tests of `policy.document.matches`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.refusals import policy_of, refusal_of
from warp_twisted.policy.document.matches import Match, as_match


class MatchesTests(SynchronousTestCase):
    """The keys `match`, `except` and `routes`."""

    def test_exceptions(self) -> None:
        """A path alone stands for a match of that path."""
        exceptions = policy_of("except: [/healthz, {method: GET}]").rules[0].except_ or []
        self.assertEqual([as_match(each) for each in exceptions], [Match(path="/healthz"), Match(method="GET")])

    def test_mistakes(self) -> None:
        """Each is refused with the key it is in."""
        for text, expected in (
            ("match: {hostnam: a.example}", "match.hostnam: unknown key; did you mean hostname?"),
            ("match: {hostname: 'a.*.example'}", "match.hostname: 'a.*.example' is not a hostname"),
            ("match: {hostname: [a.example, b c]}", "match.hostname[1]: 'b c' is not"),
            ("match: {path: admin}", "match.path: expected a path that begins with '/'"),
            ("match: {method: get}", "match.method: expected a method in upper case"),
            ("match: {label: 'a=b=c'}", "match.label: selector 'a=b=c'"),
            ("match: {scheme: ftp}", "match.scheme: expected 'http' or 'https'"),
            ("match: {header: {}}", "match.header: expected"),
            ("except: [healthz]", "except[0]: expected a path that begins with '/'"),
            ("except: [{}]", "except[0]: is empty, and would leave out every request"),
            ("except: [/a, {hostnam: a}]", "except[1].hostnam: unknown key; did you mean hostname?"),
            ("routes: []", "routes: expected"),
            ("routes: ['GET /a', 'get /']", "routes[1]: expected a method in upper case"),
            ("routes: ['GET']", "routes[0]: expected a path that begins with '/', got 'GET'"),
        ):
            self.assertIn(expected, refusal_of(text), text)
