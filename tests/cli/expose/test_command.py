"""Tests of `warp_twisted.cli.expose.command`, as far as it needs no reactor."""

import io
import sys
from pathlib import Path

import click
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.ca.errors import BadJoinToken
from warp_twisted.ca.tokens import JoinTokenText, format_token
from warp_twisted.cli.expose.command import read_token, service_of, settings_of

TOKEN = JoinTokenText(("edge1.example:7844",), b"\x01" * 32, "t1", "ab" * 32)


class OriginTests(SynchronousTestCase):
    """What ORIGIN may be."""

    def test_short_forms(self) -> None:
        """A port, a host and port, or a service as agent.yaml has it."""
        for origin, service in {
            "3000": "http://localhost:3000",
            ":3000": "http://localhost:3000",
            "localhost:3000": "http://localhost:3000",
            "app.internal:80": "http://app.internal:80",
            "[::1]:3000": "http://[::1]:3000",
            "https://localhost:4443": "https://localhost:4443",
            "unix:/run/app.sock": "unix:/run/app.sock",
            "hello-world": "hello-world",
            "http_status:404": "http_status:404",
        }.items():
            self.assertEqual(service_of(origin), service)

    def test_settings(self) -> None:
        """Hostnames, path, labels and TLS reach the settings."""
        settings = settings_of("https://x", ["a.example", "b.example"], "^/x", ["k=v", "flag="], True)
        self.assertEqual(
            [(offer.hostname, offer.path) for offer in settings.ingress.offers],
            [("a.example", "^/x"), ("b.example", "^/x")],
        )
        self.assertTrue(settings.ingress.rules[0].request.no_tls_verify)
        self.assertEqual(settings.labels, {"k": "v", "flag": ""})

    def test_mistakes(self) -> None:
        """A mistake names the option, not the key of a file that nobody wrote."""
        for arguments, words in (
            (("http://x/y", [], "", []), "service: 'http://x/y'"),
            (("3000", ["a b"], "", []), "hostname: 'a b'"),
            (("3000", [], "(", []), "path: '('"),
            (("3000", [], "", ["-"]), "--label: '-'"),
        ):
            error = self.assertRaises(click.UsageError, settings_of, *arguments, False)
            self.assertTrue(str(error).startswith(words), str(error))


class TokenTests(SynchronousTestCase):
    """Where the join token comes from."""

    def test_sources(self) -> None:
        """A file, standard input, or the environment; the file wins; none is no token."""
        path = Path(self.mktemp())
        path.write_text(format_token(TOKEN) + "\n")
        self.assertEqual(read_token(str(path), {"WARP_TOKEN": "nonsense"}), TOKEN)
        self.assertEqual(read_token(None, {"WARP_TOKEN": format_token(TOKEN)}), TOKEN)
        self.patch(sys, "stdin", io.StringIO(format_token(TOKEN)))
        self.assertEqual(read_token("-", {}), TOKEN)
        self.assertIsNone(read_token(None, {}))
        self.assertIsNone(read_token(None, {"WARP_TOKEN": " "}))

    def test_what_is_no_token(self) -> None:
        """Something else is refused; a file that is not there is named."""
        path = Path(self.mktemp())
        path.write_bytes(b"\xff\xfe")
        self.assertRaises(BadJoinToken, read_token, str(path), {})
        self.patch(sys, "stdin", io.StringIO("x" * 100_000))
        self.assertRaises(BadJoinToken, read_token, "-", {})
        error = self.assertRaises(OSError, read_token, "/nowhere/token", {})
        self.assertEqual(error.filename, "/nowhere/token")
