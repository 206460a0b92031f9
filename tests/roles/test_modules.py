"""Tests of the modules: that they do what they document, asked of a real edge as their examples ask it."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SynchronousTestCase

from constraints.pins import HOSTS_BUILD
from tests.case import short_directory_of, until
from tests.roles.playing import PATIENCE, Run, environment, program, read_results
from tests.roles.tree import LIBRARY, MODULES, ROOT, load
from tests.system.edge.test_identity import LiveEdgeTestCase
from warp_twisted.ca.issue import to_pem, utc
from warp_twisted.ca.store import add_edge, init_root, sign_edge

_ZONE = "warp.example"
_ADMIN = "ansible.module_utils.warp_admin"
_JOIN_TOKEN = re.compile(r"warp1-[A-Za-z0-9_-]{40,}")


class _Asked(Exception):
    """A module told Ansible what it takes."""


def loaded(name: str) -> ModuleType:
    """Import a module, as Ansible does: with the roles' own utilities among Ansible's."""
    sys.modules.setdefault(_ADMIN, load(ROOT / "roles/warp_common/module_utils/warp_admin.py"))
    return load(LIBRARY / f"{name}.py")


def taken(module: ModuleType) -> Mapping[str, Any]:
    """Return what a module tells Ansible that it takes: `argument_spec` and more."""

    def ask(**said: Any) -> None:
        raise _Asked(said)

    module.AnsibleModule = ask  # type: ignore[attr-defined]  # the name that it imported
    try:
        module.main()
    except _Asked as asked:
        found: Mapping[str, Any] = asked.args[0]
        return found
    raise AssertionError(f"{module.__name__} asked nothing")


def typed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with the type of those that name none, also of those below them."""
    found = {option: {"type": "str", **spec} for option, spec in options.items()}
    return {
        option: {**spec, "options": typed(spec["options"])} if "options" in spec else spec
        for option, spec in found.items()
    }


class DocumentationTests(SynchronousTestCase):
    """What `ansible-doc` shows."""

    maxDiff = None

    def test_documents(self) -> None:
        """Each option is one that the module takes, with a sentence; examples and what is returned are told as well."""
        done = subprocess.run(
            [program("ansible-doc"), "--type", "module", "--module-path", str(LIBRARY), "--json", *MODULES],
            env=environment(Path(self.mktemp()).absolute()),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        found = json.loads(done.stdout)
        self.assertEqual(set(found), set(MODULES))
        for name in MODULES:
            document = found[name]["doc"]
            asked = taken(loaded(name))
            self.assertEqual(self.told(name, document["options"]), typed(asked["argument_spec"]))
            self.assertTrue(asked["supports_check_mode"])
            self.assertTrue(document["short_description"] and document["description"])
            examples = yaml.safe_load(found[name]["examples"])
            self.assertTrue(any(name in example for example in examples))
            for returned, said in found[name]["return"].items():
                self.assertTrue(said["description"] and said["type"] and said["returned"], f"{name}.{returned}")

    def told(self, where: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return documented options as a module tells them to Ansible; each has to have a sentence."""
        found = {}
        for option, said in options.items():
            self.assertRegex(said["description"], r"\.$", f"{where}.{option}")
            found[option] = {key: value for key, value in said.items() if key not in ("description", "suboptions")}
            if "suboptions" in said:
                found[option]["options"] = self.told(f"{where}.{option}", said["suboptions"])
        return found


class ExampleTests(LiveEdgeTestCase):
    """The examples, in one playbook, with an edge that has two agents."""

    timeout = 2 * PATIENCE
    sections = {"zone": _ZONE}

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        """Start the edge, and have what the examples name beside their playbook."""
        self.directory = short_directory_of(self)
        now = utc(time.time())
        init_root(self.directory / "ca", _ZONE, now)
        add_edge(self.directory / "ca", "edge1", now, [_ZONE])
        self.agents = []
        self.node = await self.start()

        self.place = self.directory / "play"
        (self.place / "secrets").mkdir(parents=True)
        (self.place / "intermediate").mkdir()
        shutil.copytree(self.directory / "ca", self.place / "secrets/ca")
        constraints = self.place / "roles/warp_common/files/constraints.txt"
        constraints.parent.mkdir(parents=True)
        constraints.touch()
        shutil.copy(HOSTS_BUILD, constraints.parent)
        (self.place / "pyproject.toml").write_text('[project]\nname = "warp-twisted"\nversion = "0.2"\n')
        (self.place / "warp_twisted").mkdir()
        (self.place / "warp_twisted/__init__.py").touch()
        (self.place / "dist").mkdir()
        (self.place / "dist/warp_twisted-0.1.0-py3-none-any.whl").touch()

    async def run_examples(self, *options: str, first: tuple[Mapping[str, Any], ...] = ()) -> Run:
        """
        Run every example, with the edge's socket and the certificate's directory as defaults of the modules.

        :param first: tasks before them.
        """
        socket = {"socket": str(self.directory / "admin.sock")}
        asking = {name: socket for name in MODULES if "socket" in taken(loaded(name))["argument_spec"]}
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False}
        play["module_defaults"] = {**asking, "warp_ca_request": {"directory": str(self.place / "intermediate")}}
        examples = [task for name in MODULES for task in yaml.safe_load(loaded(name).EXAMPLES)]
        (self.place / "examples.yml").write_text(yaml.safe_dump([{**play, "tasks": [*first, *examples]}]))
        results = self.directory / "results"
        results.unlink(missing_ok=True)
        arguments = [
            "--inventory",
            "localhost,",
            "--extra-vars",
            f"ansible_python_interpreter={sys.executable}",
            "-vvv",
        ]
        output, errors, code = await getProcessOutputAndValue(
            program(), [*arguments, *options, "examples.yml"], env=environment(results), path=str(self.place)
        )
        found = Run(returncode=code, output=(output + errors).decode(), results=read_results(results))
        self.assertEqual(found.returncode, 0, found.output)
        return found

    def files(self) -> set[str]:
        """Return the files beside the playbook that there are."""
        return {str(path.relative_to(self.place)) for path in self.place.rglob("*") if path.is_file()}

    async def test_examples(self) -> None:
        """
        Each says truly whether it changes something, in check mode before it does, and what it did stays done.

        A join token is shown nowhere, however much is printed.
        """
        for hostname in ("one", "two"):
            await (await self.agent(f"{hostname}.{_ZONE}", share="")).register(f"{hostname}.{_ZONE}")

        before = self.files() | {"examples.yml"}
        check = await self.run_examples("--check", "--diff")
        self.assertEqual(self.files(), before)
        self.assertEqual([agent.tunnels[0].is_over for agent in self.agents], [False, False])
        fleet = check.named("Ask the edge").returned
        self.assertEqual(len(fleet["status"]["routes"]), 2)
        self.assertEqual(fleet["revoked"], [])
        tokens = fleet["tokens"]
        self.assertEqual(
            changed(check),
            {
                "Make a key, and a signing request if a certificate is due": True,
                "Look at the split": False,
                "List the agents": False,
                "Let it share hostnames with the agents whose join tokens have this word": True,
                "Revoke the first": True,
                "Make a join token": True,
                "Revoke it": False,  # no token was made
                "Let only the office use the administration": True,
                "Ask the edge": False,
                "Report the published applications": False,
                "Write two files": True,
                "Build the wheel of this checkout": True,
                "Name the release of a wheel that was built elsewhere": False,
                "Find the releases": False,
                "Report what the edge runs": False,
                "Run the name server": True,
                "Look at the host": False,
                "Note how the edge does": False,
                "Watch it": False,
            },
        )

        real = await self.run_examples("--diff")
        self.assertEqual(changed(real), changed(check) | {"Revoke it": True, "Report why a certificate is due": False})
        revoked = real.named("Revoke the first").returned
        name = revoked["agent"]["id"]
        self.assertEqual(revoked["diff"], {"before": f"agent {name}\n", "after": ""})
        self.assertIn(f"-agent {name}", real.output)
        (lost,) = (agent for agent in self.agents if agent.id == name)
        await until(lambda: lost.tunnels[0].is_over)
        fleet = real.named("Ask the edge").returned
        self.assertEqual((len(fleet["agents"]), fleet["tokens"]), (1, tokens))
        self.assertEqual(revoked["agent"]["group"], _ZONE)
        other = fleet["agents"][0]
        self.assertEqual(other["group"], other["token"])
        self.assertEqual([(each["id"], each["reason"]) for each in fleet["revoked"]], [(name, "its disk was lost")])
        request = real.named("Make a key, and a signing request if a certificate is due").returned
        self.assertEqual(request["reason"], "there is none")

        certificate = sign_edge(self.place / "secrets/ca", "edge1", request["request"], utc(time.time()), [_ZONE])
        (self.place / "intermediate/edge1.pem").write_text(to_pem(certificate))
        again = await self.run_examples(
            first=(
                {"name": "Revoke it once more", "warp_enrolled_agent": {"id": name, "state": "absent"}},
                {"name": "Want it", "warp_enrolled_agent": {"id": name}, "ignore_errors": True},
                {"name": "Want the other", "warp_enrolled_agent": {"id": fleet["agents"][0]["id"]}},
                {"name": "Let it share", "warp_enrolled_agent": {"id": other["id"], "share": "shop"}},
                {"name": "Let it share again", "warp_enrolled_agent": {"id": other["id"], "share": "else"}},
                {
                    "name": "Make one that shares",
                    "warp_join_token": {"hostnames": [f"one.{_ZONE}"], "share": "shop"},
                    "no_log": True,
                },
                {"name": "Apply nonsense", "warp_policy": {"text": "rules: [{nme: x}]"}, "ignore_errors": True},
                {"name": "Apply another", "warp_policy": {"text": "{}", "name": "open.yaml"}},
                {"name": "Apply it again", "warp_policy": {"text": "{}"}},
                {"name": "Ask nobody", "warp_status_info": {"socket": "/nonexistent"}, "ignore_errors": True},
                {"name": "Make nothing", "warp_join_token": {}, "ignore_errors": True},
            )
        )
        self.assertEqual(
            (again.named("Let it share").changed, again.named("Let it share again").changed), (True, False)
        )
        self.assertEqual(again.named("Revoke the first").returned["agent"]["group"], "shop")
        made = [each for each in again.named("Ask the edge").returned["tokens"] if each["group"] == "shop"]
        self.assertEqual([each["hostnames"] for each in made], [[f"one.{_ZONE}"]])
        for task in ("Revoke it once more", "Want the other"):
            self.assertEqual((again.named(task).failed, again.named(task).changed), (False, False))
        for task, said in (
            ("Want it", f"agent {name} is not enrolled; it enrolls itself, with a join token"),
            ("Apply nonsense", "policy: rules[0].nme: unknown key; did you mean name?"),
            ("Ask nobody", "no edge answers at /nonexistent: "),
            ("Make nothing", "state is present but all of the following are missing: hostnames"),
        ):
            self.assertTrue(again.named(task).failed)
            self.assertIn(said, again.named(task).returned["msg"])
        request = again.named("Make a key, and a signing request if a certificate is due").returned
        self.assertEqual((request["changed"], request["request"], request["reason"]), (False, "", ""))
        office = "Let only the office use the administration"
        self.assertEqual((real.named(office).returned["version"], real.named(office).returned["rules"]), (1, 1))
        self.assertIn("+  sources: {allow: [198.51.100.0/24]}", real.output.replace("    ", "  "))
        versions = [again.named(task).returned["version"] for task in ("Apply another", "Apply it again", office)]
        self.assertEqual(versions, [2, 2, 3])
        self.assertEqual([again.named(f"Apply {what}").changed for what in ("another", "it again")], [True, False])
        self.assertEqual(again.named("Apply another").returned["diff"]["after"], "{}")
        wheel = "Build the wheel of this checkout"
        self.assertFalse(again.named(wheel).changed)
        self.assertEqual(again.named(wheel).returned["path"], real.named(wheel).returned["path"])
        self.assertRegex(again.named(wheel).returned["release"], r"^0\.2-[0-9a-f]{12}$")

        for run in (check, real, again):
            self.assertIn("censored", run.named("Make a join token").returned)
            self.assertIsNone(_JOIN_TOKEN.search(run.output))


def changed(run: Run) -> dict[str, bool]:
    """Return whether each task said that it changed something; those that were left out are."""
    return {each.task: each.changed for each in run.results}
