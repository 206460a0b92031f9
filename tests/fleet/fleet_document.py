"""docs/deploy.md followed to the letter: two fresh machines, with what the document says to write and to run."""

import re
import shutil

import yaml

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import ROOT, Deployment, deployment
from tests.fleet.figures import note
from tests.fleet.place import run

ZONE = "warp.example"
MACHINES = {"edge1": ("doc-edge", "192.0.2.1"), "origin1": ("doc-origin", "198.51.100.1")}


class DocumentTests(FleetTestCase):
    """The steps of docs/deploy.md, in order."""

    def setUp(self) -> None:
        self.fleet: Deployment = deployment()
        self.fleet.hosts.up(*(machine for machine, _ in MACHINES.values()))
        self.edge = self.fleet.hosts.address("doc-edge")
        self.inventory = self.fleet.checkout / "document"
        shutil.rmtree(self.inventory, ignore_errors=True)
        shutil.copytree(self.fleet.checkout / "inventory.example", self.inventory)
        self.text = (ROOT / "docs/deploy.md").read_text()
        for machine, address in MACHINES.values():
            self.text = self.text.replace(address, self.fleet.hosts.address(machine))
        self.blocks = re.findall(r"^```(\w+)\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)

    def block(self, language: str, start: str) -> str:
        """Return the document's first block in a language that starts so."""
        return str(next(body for kind, body in self.blocks if kind == language and body.startswith(start)))

    def play(self, command: str) -> float:
        """Run a playbook as the document says, and return how long it took."""
        self.assertIn(command, self.text)
        _program, *arguments = command.split()
        return self.fleet.play(*arguments, f"--inventory={self.inventory}").check().seconds

    def shell(self, start: str) -> str:
        """Run the one line of the document's shell that starts so, in the hosts' network."""
        lines = [line for kind, body in self.blocks if kind == "sh" for line in body.splitlines()]
        (found,) = [line for line in lines if line.startswith(start)]
        return run(*self.fleet.hosts.beside("sh", "-c", found))

    def write(self, name: str, content: str) -> None:
        """Write a file of the inventory."""
        path = self.inventory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)

    def test_from_two_machines_to_an_application(self) -> None:
        """What the document shows is what comes of it."""
        self.write("hosts.yml", self.block("yaml", "all:"))
        self.assertIn(self.block("yaml", "warp_zone:"), (self.inventory / "group_vars/all.yml").read_text())
        bench = {"warp_common_wheelhouse": "/srv/wheels"}
        for name, (machine, _) in MACHINES.items():
            self.write(f"host_vars/{name}.yml", yaml.safe_dump({**self.fleet.hosts.connection(machine), **bench}))
        note("fresh deployment of two hosts", self.play("ansible-playbook site.yml"))
        self.assertIn("Hello from Warp", self.shell("curl --resolve hello."))
        self.assertIn(self.edge, self.shell(f"dig @{self.edge} hello"))
        delegation = self.shell(f"dig @{self.edge} +noall")
        self.assertEqual(delegation.split(), self.block("text", f"{ZONE}.  ").split())

        self.fleet.start_application("doc-origin")
        self.write("group_vars/origins.yml", self.block("yaml", "warp_agent_instances:"))
        self.play("ansible-playbook site.yml --limit origins")
        self.assertEqual(self.fleet.visit(f"http://app.{ZONE}/?n=7", edge="doc-edge"), "doc-origin n=7\n")

        self.write("group_vars/edges.yml", self.block("yaml", "warp_edge_dns_records:"))
        self.play("ansible-playbook site.yml --limit edges --tags warp_configure")
        answers = self.fleet.dig(self.edge, f"_acme-challenge.{ZONE}", "TXT")
        self.assertEqual(answers, ['"the first value"', '"the second value"'])
