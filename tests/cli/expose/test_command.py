"""Tests of `warp_twisted.cli.expose.command`, as far as it needs no reactor."""

from pathlib import Path

import click
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoke import invoke
from warp_twisted.cli.expose.command import health_of, policy_of, service_of, settings_of


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

    def test_policy(self) -> None:
        """What is asked of edges is for every hostname; without an option nothing is."""
        self.assertIsNone(policy_of([], [], []))
        policy = policy_of(["203.0.113.0/24", "2001:db8::/32"], ["users.argon2"], ["50/s", "1000/h"])
        assert policy is not None
        self.assertEqual(
            policy.words(),
            [
                "only from 203.0.113.0/24, 2001:db8::/32",
                "50/s for each visitor",
                "1000/h for each visitor",
                "users of users.argon2",
            ],
        )
        settings = settings_of("3000", ["a.example", "b.example"], "^/x", [], False, policy)
        ((_, hostnames, found),) = settings.ingress.policies
        self.assertEqual((hostnames, found), (["a.example", "b.example"], policy))

    def test_max_requests(self) -> None:
        """How many requests the application takes at once reaches the settings; a file would say it itself."""
        settings = settings_of("3000", ["a.example"], "", [], False, max_requests=10)
        self.assertEqual(settings.ingress.rules[0].max_requests, 10)
        self.assertEqual(settings_of("3000", [], "", [], False).ingress.rules[0].max_requests, 0)
        self.assertEqual(invoke("up", "--max-requests", "0", "3000").status, 2)
        ran = invoke("up", "--config", "agent.yaml", "--max-requests", "5")
        self.assertEqual((ran.status, "--config says what is served" in ran.errors), (2, True))

    def test_mistakes_in_a_policy(self) -> None:
        """They name the option."""
        for arguments, words in (
            ((["10.0.0.1/8"], [], []), "--allow: '10.0.0.1/8' is one address of 10.0.0.0/8"),
            ((["here"], [], []), "--allow: expected a prefix"),
            (([], [], ["50"]), "--rate: expected a rate such as 50/s or 1000/h, got '50'"),
            (([], [""], []), "--basic-auth-file: expected"),
            (([], ["x"] * 5, []), "--basic-auth-file: expected"),
        ):
            error = self.assertRaises(click.UsageError, policy_of, *arguments)
            self.assertTrue(str(error).startswith(words), str(error))

    def test_a_users_file_that_cannot_be_used(self) -> None:
        """The option is named, as nobody has written a settings file."""
        ran = invoke("up", "--basic-auth-file", "missing.argon2", "3000")
        self.assertEqual(ran.status, 1)
        self.assertEqual(ran.errors, "warp: --basic-auth-file: missing.argon2: No such file or directory\n")
        users = Path(self.mktemp())
        users.write_text("alice:secret\n")
        ran = invoke("up", "--basic-auth-file", str(users), "3000")
        self.assertIn(f"warp: --basic-auth-file: {users}: line 1: expected an argon2id hash", ran.errors)

    def test_health(self) -> None:
        """The origin is asked for a path, or only connected to."""
        self.assertIsNone(health_of(None))
        settings = settings_of("3000", ["a.example"], "", [], False, None, health_of("/healthz"))
        (first, last) = [rule.health for rule in settings.ingress.rules]
        assert first is not None
        self.assertEqual((first.path, first.tcp, last), ("/healthz", None, None))
        found = health_of("tcp")
        assert found is not None
        self.assertEqual((found.path, found.tcp), (None, True))

    def test_mistakes_in_health(self) -> None:
        """A mistake names the option."""
        error = self.assertRaises(click.UsageError, health_of, "healthz")
        self.assertEqual(str(error), "--health: expected a path such as /healthz, without spaces, got 'healthz'")
        for origin, path, words in (
            ("tcp://x:1", "/", "--health: tcp://x:1 need not speak HTTP"),
            ("hello-world", "tcp", "--health: not needed: hello-world is inside the agent"),
        ):
            error = self.assertRaises(click.UsageError, settings_of, origin, [], "", [], False, None, health_of(path))
            self.assertTrue(str(error).startswith(words), str(error))
        self.assertIn("--config says what is served", invoke("up", "--config", "x", "--health", "/").errors)

    def test_mistakes(self) -> None:
        """A mistake names the option, not the key of a file that nobody wrote."""
        for arguments, words in (
            (("http://x/y", [], "", []), "service: 'http://x/y'"),
            (("localhost", [], "", []), "'localhost' is no origin: expected a port such as 3000, or a URL"),
            (("3000", ["a b"], "", []), "hostname: 'a b'"),
            (("3000", [], "(", []), "path: '('"),
            (("3000", [], "", ["-"]), "--label: '-'"),
        ):
            error = self.assertRaises(click.UsageError, settings_of, *arguments, False)
            self.assertTrue(str(error).startswith(words), str(error))
