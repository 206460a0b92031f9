"""Tests of `policy.judging.rules`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.judging.samples import judged, request, said
from warp_twisted.policy.verdict import Action

_ROUTES = "rules: [{name: r, match: {hostname: app.warp.example}, routes: ['GET /v1/*', 'POST /v1/orders', /any]%s}]"
_ADMIN = "rules: [{name: r, match: {path: /admin/*%s}, sources: {allow: [198.51.100.0/24]}%s}]"


class RuleTests(SynchronousTestCase):
    """What each part of a rule has against a request."""

    def test_sources(self) -> None:
        """Who is not among the allowed is denied, and who is among the denied even if he is allowed."""
        policy = "rules: [{name: r, sources: {allow: [192.0.2.0/24], deny: [192.0.2.9]}}]"
        for address, expected in (("192.0.2.1", "allow"), ("192.0.2.9", "r: source"), ("198.51.100.1", "r: source")):
            self.assertEqual(said(policy, request(address=address)), expected)

    def test_routes(self) -> None:
        """What is not among the routes is denied: exact in case, spelling, and the slash at the end."""
        policy = _ROUTES % ""
        for line in ("GET /v1/a/b", "HEAD /v1/a", "GET /v1/", "POST /v1/orders", "DELETE /any", "GET /v1/x?y=//"):
            self.assertEqual(said(policy, line), "allow", line)
        for line in ("GET /", "GET /v1", "GET /V1/a", "POST /v1/orders/", "POST /v1/x", "OPTIONS *", "PUT /v1/orders"):
            self.assertEqual(said(policy, line), "r: route", line)
        self.assertEqual(said(policy, request("GET /", host="b.example")), "allow")

    def test_paths_that_are_read_in_two_ways(self) -> None:
        """Where a path decides, by match or routes, an odd one is refused with 400; elsewhere it passes."""
        for line in ("GET /v1//a", "GET /v1/%2e%2e/x", "GET /v1/a%2fb", "GET /v1/a;b", "GET /%76%31/a", "GET /v1/a%00"):
            self.assertEqual(said(_ROUTES % "", line), "r: odd-path", line)
            self.assertEqual(said(_ADMIN % ("", ""), line), "r: odd-path", line)
            self.assertEqual(said("rules: [{name: r, sources: {deny: [198.51.100.0/24]}}]", line), "allow", line)
        refused = judged(_ROUTES % "", "GET /v1//a").objection
        assert refused is not None
        self.assertEqual((refused.reason.status, refused.detail), (400, "empty_segments"))

    def test_other_conditions_come_first(self) -> None:
        """A rule that is not about a request for another reason does not refuse its path."""
        policy = _ADMIN % (", method: POST", "")
        self.assertEqual((said(policy, "GET /a//b"), said(policy, "POST /a//b")), ("allow", "r: odd-path"))

    def test_allowed_oddities(self) -> None:
        """What a rule allows is judged under each reading: one restricts, all permit."""
        routes = _ROUTES % ", odd_paths: [encoded_slash, dot_segments]"
        self.assertEqual(said(routes, "GET /v1/a%2fb"), "allow")
        self.assertEqual(said(routes, "GET /v1/..%2fb"), "r: route")
        self.assertEqual(said(routes, "GET /v1/a//b"), "r: odd-path")
        admin = _ADMIN % ("", ", odd_paths: [encoded_slash, empty_segments, dot_segments]")
        for line in ("GET /x/..%2fadmin/y", "GET //admin", "GET /admin/../x", "GET /%2fADMIN", "GET /x/../admin%2fa"):
            self.assertEqual(said(admin, line), "r: source", line)
        for line in ("GET /x//y", "GET /a%2fadministrator"):
            self.assertEqual(said(admin, line), "allow", line)

    def test_too_many_readings(self) -> None:
        """A path with more readings than are tried is refused, whatever is allowed."""
        kinds = "dot_segments, empty_segments, encoded_slash, encoded_dot, encoded_percent, parameters, backslash"
        policy = _ADMIN % ("", f", odd_paths: [{kinds}]")
        line = "GET /a/" + "%25252e" * 20 + "/..;x//%2f/;b/..\\"
        self.assertEqual(said(policy, line), "r: odd-path")

    def test_exceptions(self) -> None:
        """An exception is exact; an odd path is none, though the rule looks at no path otherwise."""
        policy = "rules: [{name: r, except: [/healthz, /open/*], deny: true%s}]"
        for line in ("GET /healthz", "GET /open/a"):
            self.assertEqual(said(policy % "", line), "allow", line)
        for line in (
            "GET /healthz/",
            "GET /Healthz",
            "GET /x/../healthz",
            "GET /open",
            "GET /open/..%2fx",
            "GET //healthz",
        ):
            self.assertEqual(said(policy % "", line), "r: denied", line)
        lenient = policy % ", odd_paths: [empty_segments, dot_segments]"
        self.assertEqual((said(lenient, "GET /open//a"), said(lenient, "GET /open/../a")), ("allow", "r: denied"))

    def test_preflight(self) -> None:
        """A CORS preflight is let past authentication only where the rule says so, and only a whole one."""
        policy = "rules: [{name: r, authenticate: {any_of: [{service_token: {}}], cors_preflight: %s}}]"
        whole = request("OPTIONS /", "Origin: https://a.example", "Access-Control-Request-Method: PUT")
        self.assertEqual(said(policy % "true", whole), "allow")
        self.assertEqual(said(policy % "false", whole), "r: unauthenticated")
        for half in (
            request("OPTIONS /", "Origin: a"),
            request("PUT /", "Origin: a", "Access-Control-Request-Method: PUT"),
        ):
            self.assertEqual(said(policy % "true", half), "r: unauthenticated")

    def test_challenges(self) -> None:
        """Who has no credentials is told what would do, each once; where nothing could be sent it is a plain denial."""
        both = (
            "rules: [{name: r, authenticate: {any_of: [{basic: {users_file: u}}, {client_certificate: {ca_file: c}}]}}]"
        )
        verdict = judged(both, "GET /")
        assert verdict.objection is not None
        self.assertIs(verdict.action, Action.CHALLENGE)
        self.assertEqual(verdict.objection.challenges, (b'basic realm="Warp"',))
        only = "rules: [{name: r, authenticate: {any_of: [{client_certificate: {ca_file: c}}]}}]"
        self.assertIs(judged(only, "GET /").action, Action.DENY)
