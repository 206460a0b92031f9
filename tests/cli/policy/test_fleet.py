"""Tests of `warp_twisted.cli.policy.fleet`; `tests.system.edge.test_policy_fleet` runs it against an edge."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import click
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.fake_admin import FakeAdmin
from tests.cli.invoke import invoke
from warp_twisted.cli.operate import completing
from warp_twisted.cli.policy import fleet

APPLIED = {"changed": True, "version": 8, "replaced": 7, "rules": 2, "in_force": True, "later": 1}
VERSION = {"number": 7, "sha256": "ab" * 32, "size_bytes": 9, "applied_at": 0.0, "author": "ann", "message": "a\x1bb"}


class FleetPolicyCommandTests(SynchronousTestCase):
    """`warp policy apply`, `show`, `history`, `back`."""

    def setUp(self) -> None:
        self.edge = FakeAdmin()
        self.edge.answers["POST /v1/policy"] = APPLIED
        self.edge.answers["GET /v1/policy/versions"] = [VERSION]
        for path in ("GET /v1/policy", "GET /v1/policy/versions/7"):
            self.edge.answers[path] = VERSION | {"text": "rules: []\n"}
        for module in (fleet, completing):
            self.patch(module, "find_admin", lambda option, timeout=10.0: self.edge)
        self.file = Path(self.mktemp())
        self.file.write_text("rules: [{name: r}]\n")

    def test_apply(self) -> None:
        """Text and conditions are sent; what it changes is shown."""
        ran = invoke("policy", "apply", str(self.file), "-m", "why", "--if-version", "7")
        self.assertEqual(ran.status, 0, ran)
        self.assertEqual(
            ran.output,
            "--- version 7\n+++ version 8\n@@ -1 +1 @@\n-rules: []\n+rules: [{name: r}]\n"
            "Version 8 of the policy is in force: 2 rules; it replaced version 7.\n",
        )
        call, sent = self.edge.asked[0]
        query = {"name": self.file.name, "message": "why", "if_version": "7"}
        self.assertEqual((call, sent), ("POST /v1/policy", (query, b"rules: [{name: r}]\n")))

    def test_for_machines(self) -> None:
        """JSON has what the edge said, whether it was a check, and the difference."""
        answer = json.loads(invoke("policy", "apply", str(self.file), "--json", "--check").output)
        self.assertEqual((answer["changed"], answer["version"], answer["check"], answer["later"]), (True, 8, True, 1))
        self.assertEqual(answer["diff"].splitlines()[3:], ["-rules: []", "+rules: [{name: r}]"])
        self.edge.answers["POST /v1/policy"] = APPLIED | {"changed": False, "version": 7}
        answer = json.loads(invoke("policy", "apply", str(self.file), "--json").output)
        self.assertEqual((answer["changed"], answer["version"], answer["check"], answer["diff"]), (False, 7, False, ""))

    def test_standard_input(self) -> None:
        """A policy may come from another command; one that is too large is not sent."""
        for text, status in ((b"rules: []\n", 0), (b"#" * (513 << 10), 1)):
            self.patch(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
            ran = invoke("policy", "apply", "-")
            self.assertEqual(ran.status, status, ran)
        self.assertEqual([call for call, _ in self.edge.asked].count("POST /v1/policy"), 1)
        self.assertIn("-: larger than 512 KiB", ran.errors)

    def test_not_in_force(self) -> None:
        """What is applied and not in force on this edge is an error that says why."""
        self.edge.answers["POST /v1/policy"] = APPLIED | {"in_force": False, "error": "a file went away"}
        ran = invoke("policy", "apply", str(self.file))
        self.assertEqual(ran.status, 1)
        self.assertIn("version 8 is not in force on this edge: a file went away", ran.errors)
        self.assertEqual(invoke("policy", "apply", str(self.file), "--check").status, 0)

    def test_beside_a_file(self) -> None:
        """What is put into the registry only is no error, and is said."""
        self.edge.answers["POST /v1/policy"] = APPLIED | {"in_force": False, "file": "/etc/warp/own.yaml"}
        ran = invoke("policy", "apply", str(self.file), "--beside-file")
        self.assertEqual(
            (ran.status, self.edge.asked[0][1]),
            (0, ({"name": self.file.name, "beside_file": "1"}, self.file.read_bytes())),
        )
        self.assertIn("Version 8 of the policy is in the registry: 2 rules", ran.output)
        self.assertIn("This edge goes on with its file: /etc/warp/own.yaml.", ran.output)

    def test_files_that_are_not_there(self) -> None:
        """They are named, and no edge is asked."""
        ran = invoke("policy", "apply", "/nowhere/policy.yaml")
        self.assertEqual((ran.status, self.edge.asked), (1, []))
        self.assertIn("/nowhere/policy.yaml", ran.errors)

    def test_show(self) -> None:
        """The text as it is; or everything."""
        self.assertEqual(invoke("policy", "show").output, "rules: []\n")
        self.assertEqual(json.loads(invoke("policy", "show", "--version", "7", "--json").output)["author"], "ann")
        self.assertEqual(invoke("policy", "show", "--version", "0").status, 2)

    def test_history(self) -> None:
        """A row for each version, and nothing that a terminal would obey."""
        self.assertRegex(invoke("policy", "history").output, r"\n7 +- +ann +9 +abababababab +- +a\\x1bb\n$")
        self.assertEqual(json.loads(invoke("policy", "history", "--json").output), [VERSION])
        self.edge.answers["GET /v1/policy/versions"] = []
        ran = invoke("policy", "history")
        self.assertEqual(ran.output, "No policy was applied; warp policy apply puts one in force.\n")

    def test_back(self) -> None:
        """The version is asked for, and what changes with it shown."""
        self.edge.answers["POST /v1/policy/back"] = APPLIED | {"restores": 5}
        self.edge.answers["GET /v1/policy/versions/5"] = VERSION | {"number": 5, "text": "rules: [{name: old}]\n"}
        ran = invoke("policy", "back", "5")
        self.assertIn("+rules: [{name: old}]\n", ran.output)
        self.assertEqual(self.edge.asked[0], ("POST /v1/policy/back", ({"version": "5"}, None)))
        self.assertEqual(invoke("policy", "back", "none").status, 2)

    def test_completion(self) -> None:
        """Versions that are kept are completed, with what they were for."""

        def complete(incomplete: str) -> list[tuple[Any, str | None]]:
            context = click.Context(fleet.back)
            return [(item.value, item.help) for item in fleet._complete(context, fleet.back.params[0], incomplete)]

        self.assertEqual(complete(""), [("7", "a\x1bb")])
        self.assertEqual(complete("8"), [])
