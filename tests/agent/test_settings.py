"""Tests of `warp_twisted.agent.settings`."""

import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.cloudflared import ALIASES, NOTHING, REFUSED, REFUSED_KEYS
from warp_twisted.agent.origins import OriginRequest
from warp_twisted.agent.settings import (
    MAX_RULES,
    MAX_TUNNELS,
    AgentSettings,
    parse_settings,
)
from warp_twisted.edge.settings import Limits, Timeouts
from warp_twisted.errors import InvalidSettings
from warp_twisted.wire.releases import PROTECTIONS

EXAMPLE = """
state: /var/lib/warp-agent
token_file: /etc/warp/join-token
labels: {release: stable}
tunnels: 4
ingress:
  - {hostname: app.warp.example, path: "^/static/", service: "http://localhost:4001"}
  - {hostname: app.warp.example, service: "https://localhost:4443", originRequest: {no_tls_verify: true}}
  - {service: "http_status:404"}
"""

MINIMAL = "ingress: [{service: 'http://localhost:3000'}]\n"


class ParseSettingsTests(SynchronousTestCase):
    """What an agent.yaml may hold."""

    def refusal(self, text: str) -> str:
        """Return the words with which a text is refused."""
        return str(self.assertRaises(InvalidSettings, parse_settings, text))

    def test_the_documented_example_is_accepted(self) -> None:
        """The file shown in docs/architecture.md parses, and its values arrive."""
        parsed = parse_settings(EXAMPLE)
        self.assertEqual(parsed.token_file, "/etc/warp/join-token")
        self.assertEqual(parsed.labels, {"release": "stable"})
        self.assertEqual(
            [rule.origin.text for rule in parsed.ingress.rules],
            ["http://localhost:4001", "https://localhost:4443", "http_status:404"],
        )

    def test_only_ingress_is_required(self) -> None:
        """Every key but ingress has a default."""
        self.assertEqual(parse_settings(MINIMAL), AgentSettings(ingress=parse_settings(MINIMAL).ingress))

    def test_protections(self) -> None:
        """What edges must promise is one of the words that there are, each of them."""
        words = list(PROTECTIONS)
        self.assertEqual(parse_settings(f"{MINIMAL}\nrequire: {words}").require, PROTECTIONS)
        error = self.assertRaises(InvalidSettings, parse_settings, f"{MINIMAL}\nrequire: [everything]")
        self.assertIn("require[0]: expected 'strict-http' or 'visitor-address', got 'everything'", str(error))

    def test_ingress_is_required(self) -> None:
        """A file without ingress is refused by that name."""
        self.assertEqual(
            self.refusal("tunnels: 2"), "agent.yaml: ingress: missing; expected a list of 1 to 1000 mappings"
        )

    def test_unknown_key_is_named_with_its_path(self) -> None:
        """A misspelt key is refused with its path and the nearest known key."""
        text = "ingress: [{service: 'https://x', originRequest: {no_tls_verfy: true}}]"
        self.assertEqual(
            self.refusal(text),
            "agent.yaml: ingress[0].originRequest.no_tls_verfy: unknown key; did you mean no_tls_verify?",
        )

    def test_cloudflared_spelling_is_accepted(self) -> None:
        """Each alias sets the same value as our own spelling."""
        ours = {
            "connect_timeout": 2.5,
            "tls_timeout": 3.5,
            "tcp_keep_alive": 4.5,
            "no_happy_eyeballs": True,
            "match_sni_to_host": True,
            "no_tls_verify": True,
            "ca": "/ca.pem",
            "server_name": "a.example",
            "http_host_header": "intern.example:8000",
        }
        theirs = {alias: ours[name] for alias, name in ALIASES.items()}
        for request in (ours, theirs):
            text = json.dumps({"ingress": [{"service": "https://x", "originRequest": request}]})
            rule = parse_settings(text).ingress.rules[0]
            self.assertEqual({name: getattr(rule.request, name) for name in ours}, ours)

    def test_health_in_the_wrong_place(self) -> None:
        """The error says where it belongs and how it is written."""
        right = "health: {path: /healthz}"
        for text, key in (
            ("ingress: [{service: 'http://a:1', health: /healthz}]", "ingress[0].health"),
            ("ingress: [{service: 'http://a:1'}]\nhealth: /healthz", "health"),
            (
                "ingress: [{service: 'http://a:1', originRequest: {health: {path: /healthz}}}]",
                "ingress[0].originRequest.health",
            ),
        ):
            refusal = self.refusal(text)
            self.assertIn(f"{key}: ", refusal)
            self.assertIn(right, refusal)

    def test_a_key_in_both_spellings_is_refused(self) -> None:
        """It would be a guess which of the two was meant."""
        text = "ingress: [{service: 'https://x', originRequest: {ca: /a, caPool: /b}}]"
        self.assertIn("originRequest.caPool: ca is given twice", self.refusal(text))

    def test_what_a_byte_pipe_cannot_do_is_refused_with_the_reason(self) -> None:
        """Keys of cloudflared that need a parser are refused with what to do instead."""
        for key, reason in REFUSED.items():
            text = json.dumps({"ingress": [{"service": "http://x", "originRequest": {key: "x"}}]})
            self.assertIn(f"ingress[0].originRequest.{key}: not possible: {reason}", self.refusal(text))

    def test_values_that_change_nothing(self) -> None:
        """Keys without an effect here may be written with the value that asks for none."""
        for key, values in NOTHING.items():
            for value in values:
                text = json.dumps({"ingress": [{"service": "http://x", "originRequest": {key: value}}]})
                self.assertEqual(parse_settings(text).ingress.rules[0].request, OriginRequest())

    def test_what_refusals_name(self) -> None:
        """Each key of edge.yaml that a refusal sends people to is there, and each thing of agent.yaml is taken."""
        words = " ".join(REFUSED.values())
        named = re.findall(r"(?:limits|timeouts)[.][a-z_]+", words)
        self.assertEqual(sorted(named), ["limits.idle_streams_per_route", "timeouts.idle_stream"])
        for name in named:
            section, _, key = name.partition(".")
            self.assertIn(key, {"limits": Limits, "timeouts": Timeouts}[section].__struct_fields__)
        for policy in ("{sources: {allow: [192.0.2.1]}}", "{authenticate: {any_of: [{basic: {users_file: FILE}}]}}"):
            self.assertIsNotNone(
                parse_settings(f"ingress: [{{service: 'http://x', policy: {policy}}}]").ingress.policies
            )

    def test_sni_of_the_host(self) -> None:
        """The name for TLS is the one that the origin is asked under; without one name it has to be given."""
        for rule, expected in (
            ("hostname: a.example, service: 'https://x'", "a.example"),
            ("hostname: '*.a.example', service: 'https://x', originRequest: {httpHostHeader: 'b:8443'}", "b"),
            ("hostname: a.example, service: 'https://x', originRequest: {originServerName: c.example}", "c.example"),
            ("hostname: a.example, service: 'https://x', originRequest: {httpHostHeader: rewrite}", None),
        ):
            last = "{service: 'http_status:404', originRequest: {matchSNItoHost: false}}"
            text = f"originRequest: {{matchSNItoHost: true}}\ningress: [{{{rule}}}, {last}]"
            self.assertEqual(parse_settings(text).ingress.rules[0].request.server_name, expected)
        refusal = self.refusal("ingress: [{service: 'https://x', originRequest: {matchSNItoHost: true}}]")
        self.assertIn("ingress[0].originRequest.match_sni_to_host: the rule has no hostname that is one name", refusal)

    def test_default_origin_request_is_under_each_rules_own(self) -> None:
        """The file's originRequest fills what a rule does not set itself."""
        parsed = parse_settings(
            "originRequest: {connectTimeout: 1m30s, no_tls_verify: true}\n"
            "ingress: [{path: a, service: 'https://x', originRequest: {noTLSVerify: false}}, {service: 'https://y'}]"
        )
        first, second = (rule.request for rule in parsed.ingress.rules)
        self.assertEqual((first.connect_timeout, first.no_tls_verify), (90.0, False))
        self.assertEqual((second.connect_timeout, second.no_tls_verify), (90.0, True))
        self.assertIn(
            "agent.yaml: originRequest.connectTimeout: expected a length of time such as 30s",
            self.refusal("originRequest: {connectTimeout: soon}\n" + MINIMAL),
        )

    def test_default_origin_request_is_checked_itself(self) -> None:
        """A mistake in the defaults is named there, not in the rules that inherit it."""
        self.assertIn("agent.yaml: originRequest.x: unknown key", self.refusal("originRequest: {x: 1}\n" + MINIMAL))

    def test_keys_of_cloudflared_that_are_not_needed(self) -> None:
        """The keys beside `ingress` that its files hold are refused with what stands for them here."""
        for key, reason in REFUSED_KEYS.items():
            self.assertEqual(self.refusal(f"{key}: x\n{MINIMAL}"), f"agent.yaml: {key}: {reason}")

    def test_limits(self) -> None:
        """Numbers of tunnels and rules are bounded, and a larger one is named."""
        self.assertIn(
            "tunnels: expected a whole number from 1 to 32", self.refusal(f"tunnels: {MAX_TUNNELS + 1}\n{MINIMAL}")
        )
        self.assertIn("tunnels: expected a whole number from 1 to 32", self.refusal(f"tunnels: 0\n{MINIMAL}"))
        rules = [{"path": "a", "service": "http://x"}] * MAX_RULES + [{"service": "http://x"}]
        self.assertIn("ingress: expected", self.refusal(json.dumps({"ingress": rules})))
        for wrong in (-1, 100_001, "ten"):
            refusal = self.refusal(json.dumps({"ingress": [{"service": "http://x", "max_requests": wrong}]}))
            self.assertIn("ingress[0].max_requests: expected a whole number", refusal)
        found = parse_settings(json.dumps({"ingress": [{"service": "http://x", "max_requests": 10}]}))
        self.assertEqual(found.ingress.rules[0].max_requests, 10)

    def test_labels_and_zone_are_names(self) -> None:
        """Bad labels and a bad zone are refused by key."""
        self.assertIn("agent.yaml: labels: 'a b'", self.refusal("labels: {'a b': c}\n" + MINIMAL))
        self.assertIn("agent.yaml: zone: ", self.refusal("zone: 'a..b'\n" + MINIMAL))

    def test_key_given_twice_is_refused(self) -> None:
        """YAML's silent "last one wins" is an error here."""
        self.assertIn("given twice", self.refusal(MINIMAL + MINIMAL))

    @settings(deadline=None, max_examples=200)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["ingress", "hostname", "path", "service", "originRequest", "edges", "connectTimeout"]
                    )
                    | st.text(max_size=5),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=12,
        )
    )
    def test_any_value_is_taken_or_refused(self, value: object) -> None:
        """Whatever a file holds, it becomes settings or `InvalidSettings`, nothing else."""
        for document in (value, {"ingress": value}, {"ingress": [value]}):
            try:
                parse_settings(json.dumps(document, ensure_ascii=False))
            except InvalidSettings as error:
                self.assertTrue(str(error).startswith("agent.yaml: "))

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=200))
    def test_any_bytes_are_taken_or_refused(self, content: bytes) -> None:
        """A file that is not text or not YAML is refused, not a crash."""
        try:
            parse_settings(content)
        except InvalidSettings as error:
            self.assertTrue(str(error).startswith("agent.yaml: "))
