"""Fleets of several edges, beside the one that other tests look at: hosts and an inventory of their own."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.fleet.deployment import MANY, Deployment, Run
from tests.fleet.place import FleetError, Place

ZONE = "edges.test"
REGIONS = ("europe", "america")
LOAD = Path(__file__).with_name("load.py")
_APP = '- {hostname: "app.{{ warp_zone }}", service: "http://localhost:4000"}'


class Several(Deployment):
    """
    Hosts, the checkout, and an inventory in which edges come and go.

    :param name: of the inventory's directory in the checkout.
    """

    def __init__(self, place: Place, name: str) -> None:
        super().__init__(place)
        self.inventory = self.checkout / name

    def prepare(self, hosts: Sequence[str], origins: Sequence[str]) -> None:
        """Bring the hosts up, and have the example inventory for them; none of them is in a group yet."""
        self.hosts.up(*hosts)
        if not self.checkout.exists():
            self.copy_checkout()
        shutil.rmtree(self.inventory, ignore_errors=True)
        left_out = shutil.ignore_patterns("one-host")
        shutil.copytree(self.checkout / "inventory.example", self.inventory, ignore=left_out)
        bench = {
            "warp_common_wheelhouse": "/srv/wheels",
            # All visitors come from one address, see `tests.fleet.deployment`.
            "warp_edge_limits": {"connections_per_address": MANY},
            "warp_firewall_connections_per_source": MANY,
            "warp_firewall_arrivals_per_source": MANY,
            "warp_firewall_arrivals_burst": MANY,
        }
        every = self.inventory / "group_vars/all.yml"
        text = every.read_text().replace("warp_zone: warp.example", f"warp_zone: {ZONE}")
        every.write_text(text + "\n" + yaml.safe_dump(bench))
        rules = self.inventory / "group_vars/origins.yml"
        if f"# {_APP}" not in rules.read_text():
            raise FleetError(f"{rules} has no example any more that reads {_APP}")
        rules.write_text(rules.read_text().replace(f"# {_APP}", _APP))
        for name in hosts:
            own: dict[str, object] = dict(self.hosts.connection(name))
            own["warp_addresses"] = [self.hosts.address(name), self.hosts.address6(name)]
            path = self.inventory / f"host_vars/{name}.yml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(yaml.safe_dump(own))
        for name in origins:
            self.start_application(name)

    def set_groups(self, **groups: Sequence[str]) -> None:
        """Say which hosts are what; edges are in the regions of the example, one after the other."""
        children: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}
        for group, names in groups.items():
            children[group] = {"hosts": {name: {"ansible_host": self.hosts.address(name)} for name in names}}
        for name, region in zip(groups["edges"], REGIONS, strict=False):
            children["edges"]["hosts"][name]["warp_edge_region"] = region
        (self.inventory / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": children}}))

    def run(self, playbook: str, *arguments: str, **variables: object) -> Run:
        """Run a playbook for this inventory."""
        return self.play(playbook, f"--inventory={self.inventory}", *arguments, variables=variables)

    def peers(self, edge: str) -> dict[str, bool]:
        """Return whether an edge has each other one alive."""
        text = self.hosts.execute(edge, "python3", "-c", _PEERS)
        return {each["edge"]: each["alive"] for each in json.loads(text)}

    def agents(self, edge: str) -> set[str]:
        """Return the ids of the agents that an edge knows."""
        found = json.loads(self.hosts.execute(edge, "warp", "agent", "list", "--json"))
        return {each["id"] for each in found if not each.get("revoked_at")}

    def begin_load(self, *server: str, rate: int) -> "subprocess.Popen[str]":
        """
        Let visitors come to the application.

        :param server: an edge's address, or `--nameserver` and one, as `load.py` takes it.
        """
        command = (sys.executable, str(LOAD), *server, f"app.{ZONE}", str(rate))
        return subprocess.Popen(self.hosts.beside(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def end_load(load: "subprocess.Popen[str]") -> Mapping[str, Any]:
    """Let no more visitors come, and return what became of them."""
    found: Mapping[str, Any] = json.loads(load.communicate(timeout=120)[0])
    return found


_PEERS = """
import http.client, socket
line = http.client.HTTPConnection("localhost")
line.sock = socket.socket(socket.AF_UNIX)
line.sock.connect("/run/warp-edge/admin.sock")
line.request("GET", "/v1/peers")
print(line.getresponse().read().decode())
"""
