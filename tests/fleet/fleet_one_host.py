"""The one-host inventory: edge, name server and applications on one machine, of each Debian that is promised."""

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import deployment
from tests.fleet.single import ZONE, Single


class OneHostTests(FleetTestCase):
    """Tests for `inventory.example/one-host`."""

    def deploy(self, name: str, suite: str) -> None:
        """Have one run serve an application on a fresh machine, and one more change nothing."""
        fleet = Single(deployment().hosts.place, name, suite)
        fleet.prepare()
        self.assertIn(f"VERSION_CODENAME={suite}\n", fleet.hosts.execute(name, "cat", "/etc/os-release"))
        inventory = f"--inventory={fleet.inventory}"

        fleet.play("site.yml", inventory).check()
        self.assertIn("Hello from Warp", fleet.visit(f"http://hello.{ZONE}/", edge=name))
        address = fleet.hosts.address(name)
        self.assertEqual(fleet.dig(address, f"hello.{ZONE}", "A"), [address])
        self.assertEqual(fleet.dig(address, ZONE, "NS"), [f"{name}.{ZONE}."])
        self.assertEqual(fleet.hosts.execute(name, "systemctl", "--failed", "--plain", "--no-legend"), "")
        again = fleet.play("site.yml", inventory).check()
        self.assertEqual(again.counts[name]["changed"], 0, again.output)

    def test_debian_12(self) -> None:
        """Everything on one machine with Debian 12."""
        self.deploy("warp1", "bookworm")

    def test_debian_13(self) -> None:
        """The same with Debian 13, its Python 3.13 and its systemd."""
        self.deploy("trixie1", "trixie")
