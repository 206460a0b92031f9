"""Tests of what counts as a challenge of ACME."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.registry.acme.challenges import (
    MAX_TOKEN,
    Challenge,
    EdgeChallenges,
    InvalidChallenge,
    dns_challenge,
    http_challenge,
    is_in_form,
)

ZONE = "warp.example"
DIGEST = "a-_Z0" * 8 + "abc"


class DnsTests(SynchronousTestCase):
    """Values of TXT records."""

    def test_names(self) -> None:
        """The zone and names below it have challenges, in whatever case they are written."""
        for name in ("_acme-challenge.warp.example", "_ACME-challenge.App.Warp.Example."):
            challenge = dns_challenge(name, DIGEST, ZONE)
            self.assertEqual(challenge.name, name.lower().removesuffix("."))
            self.assertEqual((challenge.kind, challenge.value), ("dns-01", DIGEST))

    def test_names_that_are_refused(self) -> None:
        """Names elsewhere, without the prefix, or that DNS cannot hold are refused, and the key is named."""
        long = ".".join(["a" * 60] * 4)[: 253 - len(ZONE) - 1]
        for name in (
            "",
            "warp.example",
            "app.warp.example",
            "x._acme-challenge.warp.example",
            "_acme-challenge.example",
            "_acme-challenge.other.example",
            "_acme-challenge.notwarp.example",
            "_acme-challenge.*.warp.example",
            "_acme-challenge.a..warp.example",
            "_acme-challenge.a b.warp.example",
            f"_acme-challenge.{long}.{ZONE}",
        ):
            error = self.assertRaises(InvalidChallenge, dns_challenge, name, DIGEST, ZONE)
            self.assertTrue(str(error).startswith("name: "), name)

    def test_values(self) -> None:
        """Only a digest is published: no other text comes into the zone by this door."""
        for value in ("", DIGEST[1:], DIGEST + "a", "é" + DIGEST[1:], DIGEST[1:] + "=", DIGEST + "\n", '"' * 43):
            error = self.assertRaises(InvalidChallenge, dns_challenge, "_acme-challenge.warp.example", value, ZONE)
            self.assertTrue(str(error).startswith("value: "), value)


class HttpTests(SynchronousTestCase):
    """Answers at a path."""

    def test_any_hostname(self) -> None:
        """A hostname need not be of the zone."""
        challenge = http_challenge("Shop.Customer.example", "tok", f"tok.{DIGEST}")
        self.assertEqual((challenge.kind, challenge.name, challenge.token), ("http-01", "shop.customer.example", "tok"))

    def test_what_is_refused(self) -> None:
        """Token and key authorization have ACME's form, and fit together."""
        for hostname, token, value, key in (
            ("a..b", "tok", f"tok.{DIGEST}", "hostname"),
            ("a.example", "", f".{DIGEST}", "token"),
            ("a.example", "a/b", f"a/b.{DIGEST}", "token"),
            ("a.example", "x" * (MAX_TOKEN + 1), f"{'x' * (MAX_TOKEN + 1)}.{DIGEST}", "token"),
            ("a.example", "tok", f"other.{DIGEST}", "key_authorization"),
            ("a.example", "tok", "tok", "key_authorization"),
            ("a.example", "tok", f"tok.{DIGEST}\r\n", "key_authorization"),
        ):
            error = self.assertRaises(InvalidChallenge, http_challenge, hostname, token, value)
            self.assertTrue(str(error).startswith(f"{key}: "), (hostname, token, value))


class ValueTests(SynchronousTestCase):
    """The values themselves."""

    def test_what_another_edge_tells(self) -> None:
        """Only the normal form is believed."""
        dns = dns_challenge("_acme-challenge.warp.example", DIGEST, ZONE)
        http = http_challenge("a.example", "tok", f"tok.{DIGEST}")
        self.assertTrue(is_in_form(dns) and is_in_form(http))
        for wrong in (
            replace(dns, name="warp.example"),
            replace(dns, name="_acme-challenge.Warp.example"),
            replace(dns, value="x"),
            replace(dns, token="t"),
            replace(http, token="other"),
            replace(http, name="A.example"),
        ):
            self.assertFalse(is_in_form(wrong), wrong)

    def test_keys(self) -> None:
        """Each edge has one value."""
        self.assertEqual(EdgeChallenges(edge="edge1").key, "warp/challenges/edge1")

    def test_no_value_in_logs(self) -> None:
        """A key authorization is nothing for a log."""
        self.assertNotIn("secret", repr(Challenge(kind="http-01", name="a", value="secret", token="secret")))
