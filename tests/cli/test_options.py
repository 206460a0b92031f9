"""Tests of `warp_twisted.cli.options`."""

from collections.abc import Callable

import click
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoke import invoke
from warp_twisted.cli.options import (
    ban_time,
    duration,
    hostname_pattern,
    label,
    network,
    selector,
    share,
    token_lifetime,
)


class OptionTests(SynchronousTestCase):
    """What options take, and what a user is told about the rest."""

    def refusal(self, kind: Callable[[str], object], text: str) -> str:
        """Return why a value is refused."""
        with self.assertRaises(click.BadParameter) as caught:
            kind(text)
        return str(caught.exception)

    def test_values(self) -> None:
        """Each kind gives the value that commands work with."""
        self.assertEqual(duration("1h30m"), 5400.0)
        self.assertEqual(token_lifetime("366d"), 366 * 86400)
        self.assertEqual(ban_time("1d"), 86400)
        self.assertEqual(network("2001:db8::7"), "2001:db8::")
        self.assertEqual(label("release=canary"), ("release", "canary"))
        self.assertTrue(selector("team in (blue,red)").matches({"team": "red"}))
        self.assertFalse(selector("team in (blue,red)").matches({"team": "green"}))
        self.assertEqual(share("warp.example"), "warp.example")
        self.assertEqual(hostname_pattern("*.Team.Warp.Example").text, "*.team.warp.example")

    def test_refusals(self) -> None:
        """What is wrong is said with the text."""
        self.assertIn("expected a length of time such as 30s, 1h30m or 7d, got '90'", self.refusal(duration, "90"))
        for text in ("0s", "367d"):
            for lifetime in (token_lifetime, ban_time):
                self.assertIn(f"at most 366d, got '{text}'", self.refusal(lifetime, text))
        self.assertIn("expected an IPv4 or IPv6 address", self.refusal(network, "app.example"))
        for kind, text in ((label, "a b"), (selector, "team in"), (hostname_pattern, "a.*.example"), (share, "Shop")):
            self.assertIn(text, self.refusal(kind, text))

    def test_the_option_is_named(self) -> None:
        """On the command line the message names the option, and the status is that of a wrong call."""
        ran = invoke("status", "--selector", "team in")
        self.assertEqual(ran.status, 2)
        self.assertRegex(ran.errors, r"^warp: Invalid value for '--selector': .*see warp status --help\n$")
