"""The one-host inventory: edge, name server and applications on one machine."""

import shutil

import yaml

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import deployment

ZONE = "one.test"


class OneHostTests(FleetTestCase):
    """Tests for `inventory.example/one-host`."""

    def test_everything_on_one_machine(self) -> None:
        """One run serves an application, one more changes nothing."""
        fleet = deployment()
        fleet.hosts.up("warp1")
        inventory = fleet.checkout / "one-host"
        shutil.rmtree(inventory, ignore_errors=True)
        shutil.copytree(fleet.checkout / "inventory.example/one-host", inventory)
        every = inventory / "group_vars/all.yml"
        every.write_text(every.read_text().replace("warp_zone: warp.example", f"warp_zone: {ZONE}"))
        hosts = inventory / "hosts.yml"
        hosts.write_text(hosts.read_text().replace("192.0.2.1", fleet.hosts.address("warp1")))
        bench = {**fleet.hosts.connection("warp1"), "warp_common_wheelhouse": "/srv/wheels"}
        (inventory / "host_vars").mkdir()
        (inventory / "host_vars/warp1.yml").write_text(yaml.safe_dump(bench))

        fleet.play("site.yml", f"--inventory={inventory}").check()
        self.assertIn("Hello from Warp", fleet.visit(f"http://hello.{ZONE}/", edge="warp1"))
        address = fleet.hosts.address("warp1")
        self.assertEqual(fleet.dig(address, f"hello.{ZONE}", "A"), [address])
        self.assertEqual(fleet.dig(address, ZONE, "NS"), [f"warp1.{ZONE}."])
        again = fleet.play("site.yml", f"--inventory={inventory}").check()
        self.assertEqual(again.counts["warp1"]["changed"], 0, again.output)
