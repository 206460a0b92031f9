"""Tests of `warp_twisted.cli.operate.edge`."""

import json
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.fake_admin import FakeAdmin
from tests.cli.invoke import invoke
from warp_twisted.cli.operate import edge
from warp_twisted.keeper.asking import NoKeeper, RequestFailed
from warp_twisted.keeper.messages import Message

DONE = Message("is", "done", {"what": "handed over", "old": 7, "new": 8, "seconds": 1.5})


PEERS = [
    {
        "edge": "edge2", "alive": True, "draining": False, "seconds": 7250.0, "tunnels": 40, "state": "current",
        "round_trip_seconds": 0.0123, "software": "warp 0.1.0", "region": "eu", "addresses": ["192.0.2.2:7844"],
    },
    {
        "edge": "edge3", "alive": False, "seconds": 65.0, "tunnels": 0, "problem": "the peer was silent for 2 seconds",
        "addresses": ["192.0.2.3:7844", "[2001:db8::3]:7844"],
    },
]  # fmt: skip


class OtherEdgesTests(SynchronousTestCase):
    """`warp edge`."""

    def setUp(self) -> None:
        self.edge = FakeAdmin()
        self.edge.answers["GET /v1/peers"] = PEERS
        self.patch(edge, "find_admin", lambda option: self.edge)

    def test_list(self) -> None:
        """Each has its state, since when, what is known of the link, and why there is none."""
        output = invoke("edge", "list").output
        self.assertRegex(output, r"edge2 +up +2 h +40 +12\.3 ms +eu +0\.1\.0 +192\.0\.2\.2:7844 +-\n")
        self.assertRegex(
            output, r"edge3 +silent +1 min 5 s +- +- +- +- +192\.0\.2\.3:7844,.* +the peer was silent for 2 s"
        )
        PEERS[0]["draining"] = True
        self.addCleanup(PEERS[0].update, draining=False)
        self.assertRegex(invoke("edge", "list").output, r"edge2 +draining ")
        self.assertEqual(json.loads(invoke("edge", "list", "--json").output), PEERS)

    def test_remove(self) -> None:
        """An edge that is gone is forgotten; the edge's reason why not is passed on."""
        self.edge.answers["DELETE /v1/peers/edge3"] = {"edge": "edge3", "addresses": []}
        self.assertEqual(invoke("edge", "remove", "edge3").output, "edge3 is no edge of the fleet any more.\n")
        self.assertEqual(json.loads(invoke("edge", "remove", "edge3", "--json").output)["edge"], "edge3")
        self.assertEqual(invoke("edge", "remove", "edge2").status, 1)


class EdgeTests(SynchronousTestCase):
    """`warp drain` and `warp reload`."""

    def setUp(self) -> None:
        self.edge = FakeAdmin()
        self.edge.answers["POST /v1/drain"] = {"draining": True}
        self.patch(edge, "find_admin", lambda option: self.edge)

    def test_drain(self) -> None:
        """The edge is asked, and the answer told."""
        self.assertEqual(
            invoke("drain").output, "The edge is draining: it takes nothing new; warp status shows what is left.\n"
        )
        self.assertEqual(json.loads(invoke("drain", "--json").output), {"draining": True})

    def test_reload_names_what_waits(self) -> None:
        """Sections that need a restart are named."""
        self.edge.answers["POST /v1/reload"] = {"needs_restart": ["listen", "zone"]}
        self.assertIn("Waiting for a new process: listen, zone; warp restart starts it", invoke("reload").output)
        self.edge.answers["POST /v1/reload"] = {"needs_restart": []}
        self.assertNotIn("Waiting", invoke("reload").output)

    def test_reload_that_is_refused(self) -> None:
        """The edge's reason is passed on, and the command fails."""
        ran = invoke("reload")
        self.assertEqual((ran.status, ran.errors), (1, "warp: no such thing: POST /v1/reload\n"))


class RestartTests(SynchronousTestCase):
    """`warp restart`; `tests.system.keeper.test_asking` asks real sockets."""

    def answer(self, answer: Message | Exception) -> None:
        """Have the keeper say one step and answer."""

        def ask(path: str, request: Message, step: Callable[[str], None]) -> Message:
            self.asked = path, request
            step("a new process prepares")
            if isinstance(answer, Exception):
                raise answer
            return answer

        self.patch(edge, "ask", ask)

    def test_restart(self) -> None:
        """The steps are shown, and who serves at the end."""
        self.answer(DONE)
        ran = invoke("restart", "--keeper", "/run/other.sock")
        self.assertEqual(self.asked, ("/run/other.sock", Message("do", "restart")))
        self.assertEqual((ran.status, ran.output), (0, "A new process prepares.\nDone in 1.5 s: process 8 serves.\n"))

    def test_for_machines(self) -> None:
        """As JSON there is the result only."""
        self.answer(DONE)
        found = json.loads(invoke("restart", "--json").output)
        self.assertEqual(found, {"result": "handed over", "old": 7, "new": 8, "seconds": 1.5})

    def test_failures(self) -> None:
        """A hand-over that failed exits 1 with the reason, and without a keeper the status is 3."""
        self.answer(RequestFailed("the new process does not serve: zone: expected a name. The old one serves on"))
        ran = invoke("restart")
        self.assertEqual((ran.status, ran.errors[:37]), (1, "warp: the new process does not serve:"))
        self.answer(NoKeeper("/run/warp-edge/keeper.sock: No such file or directory"))
        self.assertEqual(invoke("restart").status, 3)
