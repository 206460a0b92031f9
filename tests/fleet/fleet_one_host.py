"""The one-host inventory: edge, name server and applications on one machine, of each Debian that is promised."""

import shutil

import yaml

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import deployment

ZONE = "one.test"


class OneHostTests(FleetTestCase):
    """Tests for `inventory.example/one-host`."""

    def deploy(self, name: str, suite: str) -> None:
        """Have one run serve an application on a fresh machine, and one more change nothing."""
        fleet = deployment()
        fleet.hosts.up(name, suite=suite)
        self.assertIn(f"VERSION_CODENAME={suite}\n", fleet.hosts.execute(name, "cat", "/etc/os-release"))
        inventory = fleet.checkout / "one-host"
        shutil.rmtree(inventory, ignore_errors=True)
        shutil.copytree(fleet.checkout / "inventory.example/one-host", inventory)
        every = inventory / "group_vars/all.yml"
        every.write_text(every.read_text().replace("warp_zone: warp.example", f"warp_zone: {ZONE}"))
        hosts = inventory / "hosts.yml"
        hosts.write_text(hosts.read_text().replace("192.0.2.1", fleet.hosts.address(name)).replace("warp1", name))
        bench = {**fleet.hosts.connection(name), "warp_common_wheelhouse": "/srv/wheels"}
        (inventory / "host_vars").mkdir()
        (inventory / f"host_vars/{name}.yml").write_text(yaml.safe_dump(bench))

        fleet.play("site.yml", f"--inventory={inventory}").check()
        self.assertIn("Hello from Warp", fleet.visit(f"http://hello.{ZONE}/", edge=name))
        address = fleet.hosts.address(name)
        self.assertEqual(fleet.dig(address, f"hello.{ZONE}", "A"), [address])
        self.assertEqual(fleet.dig(address, ZONE, "NS"), [f"{name}.{ZONE}."])
        self.assertEqual(fleet.hosts.execute(name, "systemctl", "--failed", "--plain", "--no-legend"), "")
        again = fleet.play("site.yml", f"--inventory={inventory}").check()
        self.assertEqual(again.counts[name]["changed"], 0, again.output)

    def test_debian_12(self) -> None:
        """Everything on one machine with Debian 12."""
        self.deploy("warp1", "bookworm")

    def test_debian_13(self) -> None:
        """The same with Debian 13, its Python 3.13 and its systemd."""
        self.deploy("trixie1", "trixie")
