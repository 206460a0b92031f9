"""Tests for `warp_twisted.cli.operate.completing`; `tests.system.cli.test_completion` asks a real edge."""

import click
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.cli.operate.answers import Banned
from warp_twisted.cli.operate.completing import listed_for_completion


class ListedForCompletionTests(SynchronousTestCase):
    """`listed_for_completion`."""

    def test_no_edge(self) -> None:
        """Where no edge answers nothing is offered, and nothing is said."""
        ctx = click.Context(click.Command("list"))
        ctx.params["admin"] = self.mktemp()
        self.assertEqual(listed_for_completion(ctx, "bans", list[Banned]), [])
