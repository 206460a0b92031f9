"""Tests of `warp migrate`."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoke import invoke
from warp_twisted.agent.settings import parse_settings

CONFIG = """
tunnel: 6ff42ae2-765d-4adf-8112-31c55c1551ef
ingress:
  - hostname: app.warp.example
    service: http://localhost:4000
    originRequest: {connectTimeout: 10s, http2Origin: true}
  - {service: "http_status:404"}
"""


class CloudflaredTests(SynchronousTestCase):
    """`warp migrate cloudflared`."""

    def setUp(self) -> None:
        self.file = Path(self.mktemp())

    def test_printed(self) -> None:
        """agent.yaml goes to standard output alone, and can be used; notes name the file and the key."""
        self.file.write_text(CONFIG)
        result = invoke("migrate", "cloudflared", str(self.file))
        self.assertEqual(result.status, 0, result.errors)
        rule = parse_settings(result.output).ingress.rules[0]
        self.assertEqual((rule.origin.text, rule.request.connect_timeout), ("http://localhost:4000", 10.0))
        self.assertIn(
            f"{self.file}: ingress[0].originRequest.http2Origin: left out: edges speak HTTP/1.1", result.errors
        )
        self.assertIn(f"{self.file}: tunnel: left out: ", result.errors)

    def test_refused(self) -> None:
        """What is no YAML, or makes no settings, ends in one line, and nothing is printed."""
        for content, words in (
            ("a: [", f"warp: {self.file}"),
            ("a: 1", f"warp: {self.file}: ingress: missing"),
            ("ingress: [{hostname: a..b, service: 'http://x'}, {service: 'http_status:404'}]", "ingress[0].hostname: "),
        ):
            self.file.write_text(content)
            result = invoke("migrate", "cloudflared", str(self.file))
            self.assertEqual((result.status, result.output), (1, ""))
            self.assertIn(words, result.errors)
            self.assertEqual(result.errors.count("\n"), 1)
