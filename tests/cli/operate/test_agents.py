"""Tests of `warp_twisted.cli.operate.agents`."""

import json

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.fake_admin import FakeAdmin
from tests.cli.invoke import invoke
from warp_twisted.cli.operate import agents


class AgentTests(SynchronousTestCase):
    """`warp agent`."""

    def setUp(self) -> None:
        self.edge = FakeAdmin()
        self.edge.answers["GET /v1/agents"] = [
            {
                "id": "a-1",
                "hostnames": ["*.a.example"],
                "labels": {"x": "1"},
                "group": "blue",
                "tunnels": 4,
                "enrolled_at": 1767225600.0,
            },
            {"id": "a-2", "revoked_at": 1767225600.0, "reason": "stolen", "tunnels": 0},
        ]
        self.patch(agents, "find_admin", lambda option: self.edge)

    def test_list(self) -> None:
        """Enrolled and revoked agents are told apart."""
        output = invoke("agent", "list").output
        self.assertRegex(output, r"a-1 +up +4 +\*\.a\.example +blue +x=1 +2026-01-01 00:00")
        self.assertRegex(output, r"a-2 +revoked 2026-01-01 00:00 +0")

    def test_selector(self) -> None:
        """Only agents with matching labels are listed."""
        self.assertNotIn("a-2", invoke("agent", "list", "--selector", "x=1").output)
        shown = json.loads(invoke("agent", "list", "--selector", "!x", "--json").output)
        self.assertEqual([each["id"] for each in shown], ["a-2"])

    def test_revocation_that_is_not_kept(self) -> None:
        """One that the edge cannot write yet is said to hold, with what to do if the edge ends before it can."""
        self.edge.answers["DELETE /v1/agents/a-1"] = {"was_known": True, "not_kept": "the disk is full"}
        ran = invoke("agent", "revoke", "a-1")
        self.assertEqual(ran.status, 0)
        self.assertRegex(ran.errors, "if the edge ends before, revoke again: the disk is full\n$")

    def test_revoke(self) -> None:
        """The reason goes with the revocation."""
        self.edge.answers["DELETE /v1/agents/a-1"] = {"was_known": True}
        ran = invoke("agent", "revoke", "a-1", "--reason", "stolen")
        self.assertEqual((ran.status, ran.output), (0, "Agent a-1 is revoked.\n"))
        self.assertEqual(self.edge.asked, [("DELETE /v1/agents/a-1", {"reason": "stolen"})])

    def test_share(self) -> None:
        """Each agent's group gets the word; who has it already is told so, and machines get the answer."""
        self.edge.answers["POST /v1/agents/a-1/share"] = {"group": "shop", "changed": True}
        self.edge.answers["POST /v1/agents/a-3/share"] = {"group": "shop", "changed": False}
        ran = invoke("agent", "share", "shop", "a-1", "a-3")
        self.assertEqual(
            (ran.status, ran.output),
            (0, "Agent a-1 shares hostnames as shop.\nAgent a-3 shares hostnames as shop already.\n"),
        )
        self.assertEqual(self.edge.asked[0], ("POST /v1/agents/a-1/share", {"share": "shop"}))
        self.assertTrue(json.loads(invoke("agent", "share", "--json", "shop", "a-1").output)["changed"])
        self.assertEqual(invoke("agent", "share", "No Word", "a-1").status, 2)

    def test_revoke_an_id_that_is_not_enrolled(self) -> None:
        """An id that the edge does not know is revoked all the same, and may be a mistake, which is said."""
        self.edge.answers["DELETE /v1/agents/a-1"] = {"was_known": False}
        ran = invoke("agent", "revoke", "a-1")
        self.assertEqual((ran.status, ran.output), (0, "Agent a-1 is revoked.\n"))
        self.assertIn("No agent with this id was enrolled here", ran.errors)
