"""Tests of `warp_twisted.cli.operate.routes`."""

import json
import time

import click
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.fake_admin import FakeAdmin
from tests.cli.invoke import invoke
from warp_twisted.cli.operate import completing, routes

SHIFT: dict[str, object] = {
    "hostname": "a.example", "selector": "release=canary", "start": 0.1, "target": 0.255, "part": 0.2,
    "over_seconds": 600.0, "author": "ann",
}  # fmt: skip
SPLITS: list[dict[str, object]] = [
    {
        "hostname": "a.example", "sticky": "cookie warp_route", "testers": "header X-A",
        "mirror": {
            "selector": "release=next", "percent": 12.5, "tunnels": 2, "healthy": 1, "copies": 9, "answered": 4,
            "errors": 1, "unanswered": {"no_tunnel": 2, "late": 3},
        }, "unmatched": 1, "shift": None,
        "shares": [
            {"selector": "release=stable", "part": 0.9, "requests": 75, "healthy": 1, "tunnels": 2, "later": 1},
            {"selector": "release=canary", "part": 0.1, "requests": 25, "errors": 3, "healthy": 1, "tunnels": 1},
        ],
    },
    {"hostname": "*.b.example", "shares": [{"selector": "", "part": 1.0}]},
]  # fmt: skip


class RouteTests(SynchronousTestCase):
    """`warp route`."""

    def setUp(self) -> None:
        self.edge = FakeAdmin()
        self.edge.answers["GET /v1/splits"] = json.loads(json.dumps(SPLITS))
        for module in (routes, completing):
            self.patch(module, "find_admin", lambda option, timeout=10.0: self.edge)

    def test_show(self) -> None:
        """Each split is drawn with what was really sent, and what needs a hand is said."""
        output = invoke("route", "show").output
        self.assertIn("a.example, visitors kept by cookie warp_route, testers choose by header X-A\n", output)
        self.assertRegex(output, r"release=stable +0 +90 % +75 % +#{15} +75 +0 +1 of 2\n")
        self.assertRegex(output, r"release=canary +0 +10 % +25 % +#{5} +25 +3 +1 of 1\n")
        self.assertIn(
            "Mirror: 12.5 % to release=next, 1 of 2 healthy: 9 copies, 4 answered, 1 with an error; without an answer: "
            "2 no tunnel, 3 late\n",
            output,
        )
        self.assertIn("1 tunnel belongs to no share, and gets nothing\n", output)
        self.assertRegex(output, r"\n\*\.b\.example\n.*\n\(all others\) +0 +100 % +- +0 +0 +0 of 0\n")
        one = json.loads(invoke("route", "show", "A.example", "--json").output)
        self.assertEqual([each["hostname"] for each in one], ["a.example"])
        self.assertEqual(one[0]["shares"][0]["later"], 1)
        self.assertIn("No hostname", self.shown([]))
        self.assertEqual(
            invoke("route", "show", "c.test").output,
            "No entry of the policy's routing is for c.test; warp route show lists those that there are.\n",
        )

    def shown(self, splits: object) -> str:
        """Return what is shown of some splits."""
        self.edge.answers["GET /v1/splits"] = splits
        return invoke("route", "show").output

    def test_shift_under_way(self) -> None:
        """A shift is told with where it comes from, goes, is, and how long it still takes."""
        under_way = {**SPLITS[0], "shift": {**SHIFT, "began_at": time.time() - 295.5}}
        self.assertIn(
            "Shift by ann: release=canary 10 % -> 25.5 %, now 20 %, done in 5 min 4 s\n", self.shown([under_way])
        )
        done = {**SPLITS[0], "shift": {**SHIFT, "part": 0.255, "author": ""}}
        self.assertIn("Shift: release=canary 10 % -> 25.5 %\n", self.shown([done]))

    def test_guard(self) -> None:
        """What a guard finds is said with its reason, and what it has done with how to begin anew."""
        guard: dict[str, object] = {
            "selector": "release=canary", "verdict": "undecided", "reason": "it had 3 of 100 requests in 60 s",
        }  # fmt: skip
        self.assertIn(
            "Guard of release=canary: undecided (it had 3 of 100 requests in 60 s)\n",
            self.shown([{**SPLITS[0], "guard": guard}]),
        )
        for action, did in (("back", "it gets nothing"), ("freeze", "its shift stays where it is")):
            acted = {**guard, "verdict": "worse", "reason": "errors 9%", "action": action, "edge": "edge1"}
            self.assertIn(
                f"worse (errors 9%); since edge1 found that, {did}, until warp route shift or warp route reset\n",
                self.shown([{**SPLITS[0], "guard": acted}]),
            )

    def test_unhealthy(self) -> None:
        """An agent whose origin is not healthy is named with its share and the reason."""
        found = {"agent": "a-2", "reason": "it answers 500", "selector": "release=canary"}
        self.assertIn(
            "release=canary: the origin of a-2 is not healthy (it answers 500); it gets requests only where no other",
            self.shown([{**SPLITS[0], "unhealthy": [found]}]),
        )

    def test_ejected(self) -> None:
        """An ejected origin is named with its share, why, and what brings it back."""
        origin = {"hostname": "a.example", "agent": "a-2", "failures": 7, "seconds": 75.0, "selector": "release=canary"}
        for more, said in (
            ({}, "in 1 min 15 s a request tries it again"),
            ({"state": "due"}, "the next request tries it"),
            ({"state": "probed"}, "a request is trying it now"),
        ):
            self.assertIn(
                f"release=canary: the origin of a-2 is ejected, as it failed 7 times in a row; {said}\n",
                self.shown([{**SPLITS[0], "ejected": [{**origin, **more}]}]),
            )

    def test_shift(self) -> None:
        """A shift is asked for in percent and seconds, and told."""
        self.edge.answers["POST /v1/shifts"] = SHIFT
        ran = invoke("route", "shift", "A.example", "release=canary", "25.5%", "--over", "10m")
        self.assertEqual(ran.output, "a.example: release=canary goes from 10 % to 25.5 % over 10 min.\n")
        body = {"hostname": "a.example", "selector": "release=canary", "percent": 25.5, "over_seconds": 600.0}
        self.assertEqual(self.edge.asked, [("POST /v1/shifts", body)])
        invoke("route", "shift", "a.example", "(all others)", "25.5", "--over", "10m")
        self.assertEqual(self.edge.asked[1:], [("POST /v1/shifts", body | {"selector": ""})], "as it is shown")
        self.assertEqual(json.loads(invoke("route", "shift", "a.example", "x", "0", "--json").output), SHIFT)
        for wrong in (("a.example", "x", "101"), ("a.example", "x", "-1"), ("a b", "x", "1"), ("a", "x", "many")):
            self.assertEqual(invoke("route", "shift", "--", *wrong).status, 2)

    def test_reset(self) -> None:
        """A shift is reset by the hostname's normal form."""
        self.edge.answers["DELETE /v1/shifts/a.example"] = SHIFT
        self.assertEqual(invoke("route", "reset", "A.example").output, "a.example is split as the policy says again.\n")
        self.assertEqual(json.loads(invoke("route", "reset", "a.example", "--json").output), SHIFT)
        self.assertEqual(invoke("route", "reset", "b.example").status, 1)

    def test_completion(self) -> None:
        """Hostnames that are split are completed, and the shares of the one that was given."""
        context = click.Context(routes.shift)
        hostname, selector, *_ = routes.shift.params
        found = [item.value for item in routes._complete_hostname(context, hostname, "")]
        self.assertEqual(found, ["a.example", "*.b.example"])
        context.params["hostname"] = "a.example"
        found = [item.value for item in routes._complete_selector(context, selector, "release=c")]
        self.assertEqual(found, ["release=canary"])
