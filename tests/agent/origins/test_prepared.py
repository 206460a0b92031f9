"""Tests of rules that are ready to be served."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.origins.prepared import origin_key
from warp_twisted.agent.origins.routes import Routes
from warp_twisted.agent.settings import parse_settings
from warp_twisted.tunnel import Turn


class PreparedIngressTests(SynchronousTestCase):
    """What edges must promise, and which rules share an origin."""

    def requires(self, ingress: str) -> tuple[str, ...]:
        """Return what rules require."""
        clock = Clock()
        routes = Routes(clock, Turn(clock), lambda route: None)
        return routes.prepare(parse_settings(f"ingress: [{ingress}]").ingress).requires

    def test_requires(self) -> None:
        """A policy and another Host need an edge that knows them; a rule that is not offered needs nothing."""
        host = "originRequest: {httpHostHeader: rewrite}"
        policy = "policy: {sources: {allow: [192.0.2.0/24]}}"
        for ingress, expected in (
            ("{service: 'http://a:1'}", ()),
            (f"{{service: 'http://a:1', {host}}}", ("host-header",)),
            (f"{{service: 'http://a:1', {policy}}}", ("policy",)),
            (f"{{service: 'http://a:1', {policy}, {host}}}", ("policy", "host-header")),
            (f"{{hostname: a.example, service: 'http://a:1'}}, {{service: 'http_status:404', {host}}}", ()),
        ):
            self.assertEqual(self.requires(ingress), expected)

    def test_origins_apart(self) -> None:
        """Rules that ask one origin under different hosts do not share it: each stream belongs to one of them."""
        rules = parse_settings(
            "ingress: [{path: a, service: 'http://a:1'}, {path: b, service: 'http://a:1'},"
            " {service: 'http://a:1', originRequest: {httpHostHeader: b}}]"
        ).ingress.rules
        first, second, third = map(origin_key, rules)
        self.assertEqual(first, second)
        self.assertNotEqual(second, third)
