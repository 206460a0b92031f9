"""Tests of `warp_twisted.cli.operate.status`."""

import json
import time

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.fake_admin import FakeAdmin
from tests.cli.invoke import invoke
from warp_twisted.cli.operate import status
from warp_twisted.names import LabelSelector


def _status() -> dict[str, object]:
    def tunnel(agent: str, release: str) -> dict[str, object]:
        return {
            "id": f"t-{agent}",
            "agent": agent,
            "edge": "edge1",
            "slot": 0,
            "hostnames": [f"{agent}.warp.example"],
            "labels": {"release": release},
            "registered_at": time.time() - 125,
            "address": "198.51.100.7",
            "streams": 3,
            "round_trip_seconds": 0.0123,
        }

    def route(agent: str) -> dict[str, object]:
        hostname = f"{agent}.warp.example"
        services = {agent: "http://localhost:4000"}
        return {"hostname": hostname, "url": f"https://{hostname}", "tunnels": 1, "services": services, "group": "blue"}

    return {
        "edge": {"name": "edge1", "zone": "warp.example", "ready": True, "parts": {"dns": True}, "version": "0.1.0"},
        "registry": {"current": True, "writable": True, "revision": 7},
        "edges": [{"name": "edge1", "addresses": ["192.0.2.1"], "http_port": 80, "tunnel_port": 7844}],
        "tunnels": [tunnel("a-1", "stable"), tunnel("a-2", "canary")],
        "routes": [route("a-1"), route("a-2")],
        "agents": [{"id": "a-1", "tunnels": 1}, {"id": "a-2", "tunnels": 1, "labels": {"release": "canary"}}],
        "unknown": "to this version",
    }


class StatusTests(SynchronousTestCase):
    """`warp status`."""

    def setUp(self) -> None:
        self.edge = FakeAdmin()
        self.answer = self.edge.answers["GET /v1/status"] = _status()
        self.patch(status, "find_admin", lambda option: self.edge)

    def test_splits(self) -> None:
        """Split hostnames are there with what each share gets and got; without any nothing is said."""
        self.assertNotIn("Splits", invoke("status").output)
        shares = [
            {"selector": "release=stable", "part": 0.75, "requests": 3, "healthy": 2, "tunnels": 2},
            {"selector": "", "part": 0.25, "requests": 1, "healthy": 0, "tunnels": 1},
        ]
        shift = {"hostname": "a.example", "selector": "", "start": 0.1, "target": 0.25}
        guard = {"selector": "", "verdict": "worse", "reason": "errors 9%", "action": "back", "edge": "edge1"}
        self.answer["splits"] = [{"hostname": "a.example", "shares": shares, "shift": shift, "guard": guard}]
        output = invoke("status").output
        self.assertIn("Splits: 1\n", output)
        self.assertRegex(output, r"a\.example +release=stable +75 % +75 % +2 of 2\n")
        self.assertRegex(output, r"a\.example +\(all others\) +25 % shifted +25 % +0 of 1\n")
        self.assertIn("a.example: Guard of (all others): worse (errors 9%); since edge1 found that, it gets", output)

    def test_links(self) -> None:
        """Other edges, also those that are silent, have a table; there is none without any."""
        self.assertNotIn("Links", invoke("status").output)
        self.answer["peers"] = [{"edge": "edge2", "seconds": 5.0, "problem": "connection refused"}]
        output = invoke("status").output
        self.assertIn("\nLinks with other edges: 1\n", output)
        self.assertRegex(output, r"edge2 +silent +5 s +- .* connection refused\n")

    def test_ejected(self) -> None:
        """An origin that is ejected is named with its hostname and path, split or not."""
        origin = {"hostname": "a.example", "path": "^/api", "agent": "a-2", "failures": 5, "seconds": 9.5}
        self.answer["ejected"] = [origin]
        self.assertIn("\na.example: the origin of a-2 at ^/api is ejected, as it failed 5", invoke("status").output)

    def test_unhealthy(self) -> None:
        """An origin that is not well is named with its hostname and path, and with what follows."""
        self.assertNotIn("healthy (", invoke("status").output)
        route = {"hostname": "a.example", "services": {}, "unhealthy": {"a-2": "it answers 500"}, "failing": ["a-2"]}
        other = {"hostname": "b.example", "path": "^/x", "services": {}, "unhealthy": {"a-3": "connection refused"}}
        self.answer["routes"] = [route, other]
        output = invoke("status").output
        self.assertIn("\na.example: the origin of a-2 is not healthy (it answers 500); it gets requests only", output)
        self.assertIn("\nb.example at ^/x: the origin of a-3 could not be connected to the last time (conn", output)

    def test_queues(self) -> None:
        """Requests that wait are told with how busy the origins are."""
        origins = {"a-2": {"max_requests": 2, "requests": 1}, "a-1": {"max_requests": 10, "requests": 10}}
        self.answer["queues"] = [{"hostname": "a.example", "path": "^/api", "waiting": 7, "origins": origins}]
        said = "\na.example ^/api: 7 requests wait for a place at an origin (a-1 has 10 of 10, a-2 has 1 of 2)\n"
        self.assertIn(said, invoke("status").output)
        self.answer["queues"] = [{"hostname": "a.example", "waiting": 1}]
        self.assertIn("\na.example: 1 request waits for a place", invoke("status").output)

    def test_wrong_clock(self) -> None:
        """An agent whose clock is not its edge's is named once, however many tunnels it has."""
        self.assertNotIn("The clock of", invoke("status").output)
        tunnels = self.answer["tunnels"]
        assert isinstance(tunnels, list)
        tunnels.append(dict(tunnels[0], slot=1))
        for tunnel, seconds in zip(tunnels, (-7200.0, 1.0, -7200.0), strict=True):
            tunnel["clock_difference_seconds"] = seconds
        output = invoke("status").output
        self.assertIn("\nThe clock of a-1 is 2 h behind that of edge1; set the one that is wrong\n", output)
        self.assertEqual(output.count("The clock of"), 1)

    def test_everything_is_there(self) -> None:
        """Edges, routes, tunnels and agents have a table each."""
        output = invoke("status").output
        self.assertIn("Edge edge1 of warp.example, version 0.1.0: ready\n", output)
        self.assertRegex(output, r"edge1 +up +192\.0\.2\.1 +80 +- +7844")
        self.assertRegex(output, r"https://a-1\.warp\.example +- +1 +blue +a-1 +http://localhost:4000")
        self.assertRegex(output, r"a-2 +edge1 +0 +up +2 min 5 s +3 +12\.3 ms +198\.51\.100\.7 +release=canary")

    def test_selector(self) -> None:
        """A selector leaves the tunnels that it matches, their agents and their routes; as JSON too."""
        output = invoke("status", "--selector", "release=canary").output
        self.assertIn("a-2.warp.example", output)
        self.assertNotIn("a-1", output)
        shown = json.loads(invoke("status", "--selector", "release!=canary", "--json").output)
        self.assertEqual([each["agent"] for each in shown["tunnels"]], ["a-1"])
        self.assertEqual([each["hostname"] for each in shown["routes"]], ["a-1.warp.example"])
        self.assertEqual([each["id"] for each in shown["agents"]], ["a-1"])

    def test_selector_that_matches_nothing(self) -> None:
        """Nothing is shown, and the edge still is."""
        shown = status.select(self.answer, LabelSelector.parse("release=none"))
        self.assertEqual((shown["tunnels"], shown["routes"], shown["agents"]), ([], [], []))
        self.assertEqual(shown["edge"], self.answer["edge"])

    def test_json_is_whole(self) -> None:
        """Machines get what the edge said, also what this version does not know."""
        self.assertEqual(json.loads(invoke("status", "--json").output), self.answer)

    def test_what_does_not_work_is_said(self) -> None:
        """Parts that fail, a drain, and a registry that is away are told before the tables."""
        state = {"name": "edge1", "zone": "warp.example", "ready": False, "parts": {"dns": False, "accepting": True}}
        self.answer["edge"] = state
        self.assertIn(": not ready\nNot working: dns;", invoke("status").output)
        self.answer["edge"] = {**state, "draining": True, "parts": {"dns": False}}
        self.assertIn("Not working: dns;", invoke("status").output)
        self.answer["registry"] = {"current": False}
        self.assertIn("may be old", invoke("status").output)
        self.answer["registry"] = {"current": True, "writable": False}
        self.assertIn("takes no changes for now", invoke("status").output)
        self.answer["registry"] = {"current": True, "writable": False, "problem": "the disk is full"}
        self.assertIn("takes no changes for now (the disk is full): ", invoke("status").output)
        self.assertNotIn("listed", invoke("status").output)
        self.answer["dns"] = {"unlisted": 1}
        self.assertIn("1 application more", invoke("status").output)

    def test_policy(self) -> None:
        """Which version each edge has is in its row; why this one has not what it should is a line."""
        edges = self.answer["edges"]
        assert isinstance(edges, list)
        for policy, cell in (
            ({"version": 12}, "12"),
            ({"version": 11, "error": "x"}, "11 !"),
            ({"file": True}, "file"),
            ({"error": "x"}, "- !"),
            (None, "-"),
        ):
            edges[0]["policy"] = policy
            self.assertRegex(invoke("status").output, rf"7844 +{cell}\n")
        for state, words in (
            (
                {"wanted": 12, "version": 11},
                "version 12 of the policy cannot be used here, version 11 is in force: x\n",
            ),
            ({"wanted": 1}, "version 1 of the policy cannot be used here, none is in force: x\n"),
            ({"wanted": 1, "closed": True}, "version 1 of the policy cannot be used here, nobody is let through: x\n"),
            ({"file": "/p.yaml"}, "/p.yaml cannot be used here, the one before is in force: x\n"),
        ):
            self.answer["policy"] = state
            self.assertNotIn("cannot be used", invoke("status").output)
            self.answer["policy"] = {**state, "error": "x"}
            self.assertIn(words, invoke("status").output)

    def test_drain(self) -> None:
        """A drain says what is left; what it closed is not called broken."""
        parts = {"accepting": False, "listeners": False, "records": False, "dns": True}
        other = {"name": "edge2", "addresses": ["192.0.2.2"], "tunnel_port": 7844}
        own = {"name": "edge1", "addresses": ["192.0.2.1"], "tunnel_port": 7844, "draining": True}
        done = "Drained: the listeners are closed, and nothing is under way"
        for others, tunnels, visitors, words in (
            ([other], 2, 3, "Draining: the listeners are closed; 3 requests in flight, 2 tunnels left\n"),
            ([other], 1, 0, "Draining: the listeners are closed; 0 requests in flight, 1 tunnel left\n"),
            ([other], 0, 0, f"{done}; the edge can be stopped\n"),
            ([], 4, 1, "Draining: the listeners are closed; 1 request in flight, 4 tunnels left\n"),
            ([], 4, 0, f"{done}; 4 tunnels left, as there is no other edge; the edge can be stopped\n"),
            ([{**other, "draining": True}], 1, 0, f"{done}; 1 tunnel left, as there is no other edge; the edge can"),
            ([], 0, 0, f"{done}; the edge can be stopped\n"),
        ):
            self.answer["edges"] = [own, *others]
            state = {"name": "edge1", "zone": "warp.example", "ready": False, "parts": parts, "draining": True}
            self.answer["edge"] = {**state, "tunnels": tunnels, "visitors": visitors}
            output = invoke("status").output
            self.assertIn(f": draining\n{words}", output)
            self.assertNotIn("Not working", output)

    def test_answer_of_another_kind(self) -> None:
        """An answer that makes no sense is refused rather than half shown."""
        self.answer["tunnels"] = {}
        ran = invoke("status")
        self.assertEqual(ran.status, 1)
        self.assertRegex(ran.errors, r"^warp: the edge answers in a way that this warp does not know .*; update it\n$")
