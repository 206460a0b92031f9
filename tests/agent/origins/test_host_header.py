"""Tests of what edges are to tell an origin as Host."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.origins import OriginRequest, parse_service
from warp_twisted.agent.origins.host_header import Scheme, told_host
from warp_twisted.agent.origins.ingress import compile_ingress
from warp_twisted.errors import InvalidSettings


def told(service: str, wanted: str | None) -> tuple[str, Scheme]:
    """Return what is told of a service."""
    request = OriginRequest(http_host_header=wanted)
    return told_host(parse_service(service, request), request)


class ToldHostTests(SynchronousTestCase):
    """`told_host`."""

    def test_nothing(self) -> None:
        """Without a wish the visitor's Host goes through."""
        self.assertEqual(told("http://localhost:3000", None), ("", ""))

    def test_a_name(self) -> None:
        """A name goes as it is, and nothing is mapped."""
        for name in ("internal", "internal.example:8000", "[::1]:80", "Localhost"):
            self.assertEqual(told("http://127.0.0.1:3000", name), (name, ""))

    def test_rewrite(self) -> None:
        """The origin's own name, with its port unless that is the scheme's."""
        for service, expected in (
            ("http://localhost:3000", ("localhost:3000", "http")),
            ("http://localhost", ("localhost", "http")),
            ("https://intern.example", ("intern.example", "https")),
            ("https://intern.example:80", ("intern.example:80", "https")),
            ("http://[::1]:3000", ("[::1]:3000", "http")),
            ("http://[::1]", ("[::1]", "http")),
            ("http://[fe80::1%25eth0]:3000", ("[fe80::1]:3000", "http")),
            ("tcp://127.0.0.1:80", ("127.0.0.1", "http")),
            ("unix:/run/app.sock", ("localhost", "http")),
            ("unix+tls:/run/app.sock", ("localhost", "https")),
        ):
            self.assertEqual(told(service, "rewrite"), expected, service)

    def test_no_host(self) -> None:
        """What is no host is refused with the key of its rule."""
        for name in ("http://a", "a b", "a:99999", "a/b", "ä"):
            request = OriginRequest(http_host_header=name)
            with self.assertRaisesRegex(
                InvalidSettings, r"^ingress\[1\]\.originRequest\.http_host_header: expected `re"
            ):
                compile_ingress(
                    [("a.example", "", "http://localhost:1", OriginRequest()), ("", "", "http://localhost:2", request)]
                )


class RuleTests(SynchronousTestCase):
    """Rules with a host."""

    def test_inside_the_agent(self) -> None:
        """What is inside the agent is told nothing, so that a default for all rules asks edges for no promise there."""
        request = OriginRequest(http_host_header="rewrite")
        rules = compile_ingress([("a.example", "", "http://localhost", request), ("", "", "http_status:404", request)])
        self.assertEqual([rule.host_header for rule in rules.rules], ["localhost", ""])

    def test_probes(self) -> None:
        """Probes ask under the same name."""
        request = OriginRequest(http_host_header="intern.example")
        (rule,) = compile_ingress([("", "", "http://localhost:1", request)]).rules
        self.assertEqual(rule.probe_host, "intern.example")
