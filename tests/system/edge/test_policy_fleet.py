"""
Tests of the fleet's policy at a whole edge: applied by the command over its socket, in force for visitors, there again
after a restart; and an edge that cannot use it.
"""

import getpass
import json
import time
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests.case import LONGEST_TURN_MILLISECONDS, reactor, spare_old_objects_of, until
from tests.cli.invoke import Ran, invoke
from tests.system.edge.test_admin import UnixConnection
from tests.system.edge.test_policy_node import VisitedEdgeTestCase
from warp_twisted.edge.policy.delivery import following
from warp_twisted.registry.policy_versions import PolicyVersions

DENY = "rules: [{name: closed, match: {path: /admin/*}, deny: true}]\n"
LATER = "rules: [{name: closed, match: {path: /later/*}, deny: true}]\n"
LISTED = "rules: [{name: listed, sources: {deny: [{file: bad.txt}]}}]\n"


class FleetPolicyTestCase(VisitedEdgeTestCase):
    """An edge that follows the fleet's policy."""

    async def prepare(self) -> None:
        self.files = Path(self.mktemp()).absolute()
        self.files.mkdir()
        self.sections = {"policy_files": str(self.files), "timeouts": {"drain": 1, "settle": 0}}
        await super().prepare()
        await self.serve()

    def warp(self, *arguments: str, text: str | None = None) -> "Deferred[Ran]":
        """Run `warp policy` in a thread, so that the edge in the reactor can answer."""
        command = ["policy", *arguments]
        if text is not None:
            file = self.files / "applied.yaml"
            file.write_text(text)
            command.insert(2, str(file))
        return deferToThread(invoke, *command, "--admin", self.path)

    async def answer(self, *arguments: str, text: str | None = None) -> Any:
        """Run it with --json, and return what it says."""
        ran = await self.warp(*arguments, "--json", text=text)
        self.assertEqual(ran.status, 0, ran)
        return json.loads(ran.output)

    async def status_of(self, path: str) -> int:
        """Return the status that a visitor gets."""
        return (await self.visit(path))[0]


class FleetPolicyTests(FleetPolicyTestCase):
    """`warp policy apply`, `show`, `history` and `back`."""

    async def test_applied_and_taken_back(self) -> None:
        """What is applied is in force when the command ends; it is shown, listed with its author, and taken back."""
        self.assertEqual((await self.warp("show")).output, "")
        self.assertEqual(await self.answer("history"), [])
        applied = await self.answer("apply", "--message", "first", text=DENY)
        self.assertEqual((applied["changed"], applied["version"], applied["in_force"]), (True, 1, True))
        self.assertIn("+rules: [{name: closed, match: {path: /admin/*}, deny: true}]", applied["diff"])
        self.assertEqual(await self.status_of("/admin/x"), 403)
        ran = await self.warp("apply", text=LATER)
        self.assertIn("--- version 1\n+++ version 2\n", ran.output)
        self.assertIn("Version 2 of the policy is in force: 1 rule; it replaced version 1.", ran.output)
        self.assertEqual((await self.warp("show")).output, LATER)
        self.assertEqual((await self.answer("show", "--version", "1"))["text"], DENY)
        self.assertEqual(await self.status_of("/later/x"), 403)
        newest, oldest = await self.answer("history")
        self.assertEqual((newest["number"], oldest["number"], oldest["message"]), (2, 1, "first"))
        self.assertEqual(newest["author"], getpass.getuser())
        back = await self.answer("back")
        self.assertEqual((back["version"], back["restores"], back["replaced"]), (3, 1, 2))
        self.assertEqual(await self.status_of("/admin/x"), 403)
        self.assertEqual((await self.warp("show")).output, DENY)
        self.assertRegex((await self.warp("history")).output, r"\n3 .* 1 +-\n2 ")
        self.assertIn("older than the one in force", (await self.warp("back")).errors)

    async def test_nothing_new(self) -> None:
        """The same text again changes nothing, and --check never does."""
        would = await self.answer("apply", "--check", text=DENY)
        self.assertEqual((would["changed"], would["check"], would["version"]), (True, True, 0))
        self.assertIn("--- no policy\n+++ new version\n", would["diff"])
        self.assertEqual(await self.answer("history"), [])
        await self.answer("apply", text=DENY)
        again = await self.answer("apply", text=DENY)
        self.assertEqual((again["changed"], again["version"], again["diff"], again["in_force"]), (False, 1, "", True))
        self.assertIn("Nothing changes: version 1", (await self.warp("apply", text=DENY)).output)
        self.assertIn("Nothing was changed", (await self.warp("apply", "--check", text=LATER)).output)

    async def test_refused(self) -> None:
        """What this edge cannot use is refused with the key's path, and changes nothing."""
        await self.answer("apply", text=DENY)
        for text, reason in (
            ("rules: [{name: r, paht: 1}]", r"applied\.yaml: rules\[0\]\.paht: unknown key"),
            (LISTED, r"applied\.yaml: rules\[0\]\.sources\.deny\[0\]\.file: .*bad\.txt: No such file"),
            ("version: 9", "is newer than 1, which this release knows"),
            ("#" * (513 << 10), "larger than 512 KiB"),
        ):
            ran = await self.warp("apply", text=text)
            self.assertEqual((ran.status, ran.output), (1, ""))
            self.assertRegex(ran.errors, reason)
        self.assertEqual(await self.status_of("/admin/x"), 403)
        self.assertEqual([each["number"] for each in await self.answer("history")], [1])

    async def test_two_operators(self) -> None:
        """Who means to replace another version than the one in force is told; of two at once one is."""
        await self.answer("apply", "--if-version", "0", text=DENY)
        ran = await self.warp("apply", "--if-version", "0", text=LATER)
        self.assertEqual(ran.status, 1)
        self.assertIn("version 1 of the policy is in force, not 0", ran.errors)
        both = [deferToThread(self.post, text) for text in (LATER, "rules: []\n")]
        answers = sorted([await each for each in both])
        newest = (await self.answer("history"))[0]
        self.assertIn((answers, newest["number"]), [([200, 200], 3), ([200, 409], 2)])

    def post(self, text: str) -> int:
        """Apply a text, and return the status."""
        connection = UnixConnection(self.path)
        connection.request("POST", "/v1/policy", text.encode())
        status: int = connection.getresponse().status
        connection.close()
        return status

    async def test_restart(self) -> None:
        """The policy is in force before the first visitor is let in again."""
        await self.answer("apply", text=DENY)
        await self.restart()
        self.assertEqual(self.node.parts.serving.policy_follower.standing.version, 1)
        await self.serve()
        self.assertEqual(await self.status_of("/admin/x"), 403)

    async def test_files_that_it_names(self) -> None:
        """They are of the edge's directory and watched; one that is missing at the start lets nobody through."""
        listed = self.files / "bad.txt"
        listed.write_text("192.0.2.1\n")
        self.patch(following, "LOOK_SECONDS", 0.05)
        await self.restart()
        await self.answer("apply", text=LISTED)
        await self.serve()
        listed.write_text("127.0.0.0/8\n")
        policy = self.node.parts.serving.policy
        before = policy.loaded
        await until(lambda: policy.loaded is not before)
        self.assertEqual(await self.status_of("/"), 403)
        listed.unlink()
        await self.restart()
        await self.serve()
        self.assertEqual(await self.status_of("/"), 503)
        standing = self.node.parts.serving.policy_follower.standing
        self.assertEqual((standing.wanted, standing.version), (1, 0))
        self.assertRegex(
            standing.error, r"^version 1 of the policy: rules\[0\]\.sources\.deny\[0\]\.file: .*No such file"
        )
        listed.write_text("192.0.2.1\n")
        await until(lambda: self.node.parts.serving.policy_follower.standing.version == 1)
        loaded = self.node.parts.serving.policy.loaded
        self.assertEqual(loaded.source if loaded is not None else "", "version 1 of the policy")
        self.flushLoggedErrors()

    async def test_status(self) -> None:
        """Status, metrics and readiness say which version is in force, and why not the one that should be."""
        await self.answer("apply", text=DENY)
        await until(lambda: self.node.parts.mirror.edge_policies["edge1"].version == 1)
        _, status = await self.call("GET", "/v1/status")
        self.assertEqual(status["edges"][0]["policy"], {"file": False, "version": 1, "error": ""})
        self.assertEqual((status["policy"]["wanted"], status["policy"]["version"]), (1, 1))
        self.assertIn("warp_edge_policy_version 1.0", (await self.call("GET", "/metrics"))[1])
        versions = PolicyVersions(self.node.parts.store)
        await versions.add(LISTED.encode(), [], replaces=1, applied_at=0.0)  # as through an edge that has the file
        await until(lambda: self.node.parts.mirror.edge_policies["edge1"].error != "")
        ran = await deferToThread(invoke, "status", "--admin", self.path)
        self.assertRegex(ran.output, r"version 2 of the policy cannot be used here, version 1 is in force: .*bad\.txt")
        self.assertEqual((await self.call("GET", "/ready"))[0], 200)
        self.assertEqual(await self.status_of("/admin/x"), 403)
        await self.restart()
        status, ready = await self.call("GET", "/ready")
        self.assertEqual((status, ready["parts"]["policy"]), (503, False))
        self.flushLoggedErrors()

    async def test_beside_a_file(self) -> None:
        """An edge whose edge.yaml names a file follows that, and says so."""
        await self.answer("apply", text=DENY)
        file = self.files / "own.yaml"
        file.write_text(LATER)
        self.sections["policy"] = str(file)
        await self.restart()
        await self.serve()
        self.assertEqual(await self.status_of("/later/x"), 403)
        for command, text in ((("apply",), LATER), (("back", "1"), None)):
            ran = await self.warp(*command, text=text)
            self.assertEqual(ran.status, 1)
            self.assertIn(f"this edge follows a file, not the fleet's policy: change {file}", ran.errors)


class Turns:
    """
    Measures the turns of the event loop from its start on.

    :ivar longest: seconds of its thread's CPU, as a machine may be busy with something else.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._before = time.thread_time()
        self._call = reactor.callLater(0, self._turn)

    def _turn(self) -> None:
        now = time.thread_time()
        self.longest = max(self.longest, now - self._before)
        self._before = now
        self._call = reactor.callLater(0, self._turn)

    def stop(self) -> None:
        """Measure no more."""
        self._call.cancel()


class LongPolicyTests(FleetPolicyTestCase):
    """A policy of the largest size."""

    timeout = 120

    async def test_it_is_applied(self) -> None:
        """It goes through socket, registry and process, and holds the event loop up at no point; so does its end."""
        rule = "- {{name: r{0}, match: {{hostname: a{0}.warp.test, path: /x/{0}/*}}, limits: [{1}]}} # {2}\n"
        limits = ", ".join(f"{{name: l{number}, rate: 1/s}}" for number in range(10))
        text = "rules:\n" + "".join(rule.format(number, limits, "x" * 100) for number in range(250))
        text += "#" * ((512 << 10) - len(text))
        spare_old_objects_of(self)
        turns = Turns()
        self.addCleanup(turns.stop)
        applied = await self.answer("apply", text=text)
        self.assertEqual((applied["rules"], applied["in_force"]), (250, True))
        self.assertEqual((await self.warp("show")).output, text)
        self.assertEqual((await self.answer("apply", text=DENY))["version"], 2)
        self.assertLess(turns.longest * 1000, LONGEST_TURN_MILLISECONDS)
