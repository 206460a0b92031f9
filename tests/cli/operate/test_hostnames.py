"""Tests of `warp_twisted.cli.operate.hostnames`."""

import json
import time

import click
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.fake_admin import FakeAdmin
from tests.cli.invoke import invoke
from warp_twisted.cli.errors import EdgeUnreachable
from warp_twisted.cli.operate import completing, hostnames


class HostnameTests(SynchronousTestCase):
    """`warp hostname`."""

    def setUp(self) -> None:
        self.edge = FakeAdmin()
        self.edge.answers["GET /v1/hostnames"] = [
            {"hostname": "*.team.warp.example", "group": "red", "since": 1767225600.0, "served_by": []},
            {
                "hostname": "app.warp.example",
                "group": "shop",
                "since": 1767225600.0,
                "served_by": [f"a-{number}" for number in range(5)],
                "later": 1,
            },
            {
                "hostname": "old.warp.example",
                "group": "shop",
                "since": 1767225600.0,
                "away_since": time.time() - 7250,
            },
        ]
        self.timeouts: list[float] = []
        self.patch(hostnames, "find_admin", self.find)
        self.patch(completing, "find_admin", self.find)

    def find(self, option: str | None, timeout: float = 10.0) -> FakeAdmin:
        """Return the edge."""
        self.timeouts.append(timeout)
        return self.edge

    def test_list(self) -> None:
        """Each hostname has its group, since when, and who serves it, or for how long nobody did."""
        output = invoke("hostname", "list").output
        self.assertRegex(output, r"\*\.team\.warp\.example +red +2026-01-01 00:00 +nobody\n")
        self.assertRegex(output, r"app\.warp\.example +shop +2026-01-01 00:00 +a-0, a-1, a-2 and 2 more\n")
        self.assertRegex(output, r"old\.warp\.example +shop +2026-01-01 00:00 +nobody for 2 h\n")

    def test_of_one_group(self) -> None:
        """One group's hostnames alone, as JSON as the edge said it."""
        self.assertNotIn("team", invoke("hostname", "list", "--group", "shop").output)
        shown = json.loads(invoke("hostname", "list", "--group", "shop", "--json").output)
        self.assertEqual([each["hostname"] for each in shown], ["app.warp.example", "old.warp.example"])
        self.assertEqual(shown[0]["later"], 1)

    def test_release(self) -> None:
        """Hostnames and patterns are released one after the other; the first that cannot be ends the command."""
        self.edge.answers["DELETE /v1/hostnames/*.team.warp.example"] = {"group": "red"}
        ran = invoke("hostname", "release", "*.Team.warp.example", "app.warp.example")
        self.assertEqual((ran.status, ran.output), (1, "*.team.warp.example belongs to red no longer.\n"))
        self.assertEqual(ran.errors, "warp: no such thing: DELETE /v1/hostnames/app.warp.example\n")
        ran = invoke("hostname", "release", "--json", "*.team.warp.example")
        self.assertEqual(json.loads(ran.output), {"group": "red"})
        self.assertEqual(invoke("hostname", "release", "a..b").status, 2)

    def complete(self, incomplete: str) -> list[str]:
        """Complete a hostname."""
        context = click.Context(hostnames.release)
        return [item.value for item in hostnames._complete(context, hostnames.release.params[0], incomplete)]

    def test_completion(self) -> None:
        """What can be released is completed; nothing, and soon, where no edge answers."""
        self.assertEqual(self.complete(""), ["*.team.warp.example", "old.warp.example"])
        self.assertEqual(self.complete("o"), ["old.warp.example"])
        self.assertEqual(self.timeouts, [1.0, 1.0])

        def away(*target: str) -> object:
            raise EdgeUnreachable("no edge")

        self.edge.get = away  # type: ignore[method-assign]
        self.assertEqual(self.complete(""), [])
