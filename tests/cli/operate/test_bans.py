"""Tests of `warp_twisted.cli.operate.bans`."""

import json

import click
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.fake_admin import FakeAdmin
from tests.cli.invoke import invoke
from warp_twisted.cli.errors import EdgeUnreachable
from warp_twisted.cli.operate import bans, completing


class BanTests(SynchronousTestCase):
    """`warp ban`."""

    def setUp(self) -> None:
        self.edge = FakeAdmin()
        self.edge.answers["GET /v1/bans"] = [
            {"network": "203.0.113.9", "seconds_left": 599.5, "reason": "20 refusals within 10 s", "later": 1},
            {"network": "2001:db8::/64", "seconds_left": 7250.0},
        ]
        for module in (bans, completing):
            self.patch(module, "find_admin", lambda option, timeout=10.0: self.edge)

    def test_list(self) -> None:
        """Who is banned, for how long still and why; as JSON what the edge said."""
        output = invoke("ban", "list").output
        self.assertRegex(output, r"203\.0\.113\.9 +9 min 59 s +20 refusals within 10 s\n")
        self.assertRegex(output, r"2001:db8::/64 +2 h +-\n")
        self.assertEqual(json.loads(invoke("ban", "list", "--json").output)[0]["later"], 1)

    def test_add(self) -> None:
        """Each network is banned, an IPv6 address with its /64; the first that cannot be ends the command."""
        self.edge.answers["POST /v1/bans"] = {"network": "2001:db8::/64"}
        ran = invoke("ban", "add", "2001:db8::7", "--for", "1d", "--reason", "abuse report")
        self.assertEqual((ran.status, ran.output), (0, "2001:db8::/64 is banned for 1 d.\n"))
        body = {"network": "2001:db8::", "seconds": 86400.0, "reason": "abuse report"}
        self.assertEqual(self.edge.asked, [("POST /v1/bans", body)])
        self.edge.answers["POST /v1/bans"] = {"network": "2001:db8::/64", "not_kept": "the disk is full"}
        ran = invoke("ban", "add", "2001:db8::7")
        self.assertEqual((ran.status, ran.output), (0, "2001:db8::/64 is banned for 1 h.\n"))
        self.assertEqual(ran.errors, "warp: 2001:db8::/64: the ban ends with this edge: the disk is full\n")
        self.edge.answers["POST /v1/bans"] = {"network": "2001:db8::/64"}
        self.assertEqual(json.loads(invoke("ban", "add", "::1", "--json").output), {"network": "2001:db8::/64"})
        del self.edge.answers["POST /v1/bans"]
        self.assertEqual(invoke("ban", "add", "203.0.113.9").status, 1)
        for wrong in (("203.0.113.0/24",), ("app.example",), ("203.0.113.9", "--for", "0s")):
            self.assertEqual(invoke("ban", "add", *wrong).status, 2)

    def test_remove(self) -> None:
        """Each network is let in again, or was not banned."""
        self.edge.answers["DELETE /v1/bans/203.0.113.9"] = {"was_banned": True}
        self.edge.answers["DELETE /v1/bans/2001:db8::"] = {"was_banned": False}
        output = invoke("ban", "remove", "203.0.113.9", "2001:db8::/64").output
        self.assertEqual(output, "203.0.113.9 is banned no longer.\n2001:db8::/64 was not banned.\n")
        self.assertEqual(json.loads(invoke("ban", "remove", "203.0.113.9", "--json").output), {"was_banned": True})

    def test_completion(self) -> None:
        """What is banned is completed; nothing where no edge answers."""

        def complete(incomplete: str) -> list[str]:
            context = click.Context(bans.remove)
            return [item.value for item in bans._complete(context, bans.remove.params[0], incomplete)]

        self.assertEqual(complete(""), ["203.0.113.9", "2001:db8::/64"])
        self.assertEqual(complete("2001"), ["2001:db8::/64"])

        def away(*target: str) -> object:
            raise EdgeUnreachable("no edge")

        self.edge.get = away  # type: ignore[method-assign]
        self.assertEqual(complete(""), [])
