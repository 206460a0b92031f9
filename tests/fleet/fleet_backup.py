"""An edge that burned down, restored on a fresh host from a backup."""

import re
import shutil

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import ORIGINS, ZONE, deployment
from tests.fleet.figures import note


class BackupTests(FleetTestCase):
    """Tests for `backup.yml` and `restore.yml`."""

    def test_edge_restored_on_a_fresh_host(self) -> None:
        """With the registry back, agents return by themselves, and the zone's serial does not fall."""
        fleet = deployment()
        hosts = fleet.hosts
        fleet.play("playbooks/backup.yml").check()
        (backup,) = sorted((fleet.inventory / "backups/edge1").iterdir())[-1:]
        self.assertEqual([oct(path.stat().st_mode & 0o777) for path in backup.iterdir()], ["0o600", "0o600"])
        agents = {agent["id"] for agent in fleet.status()["agents"] if agent.get("tunnels")}
        serial = int(fleet.dig(hosts.address("edge1"), ZONE, "SOA")[0].split()[2])

        hosts.halt("edge1")
        shutil.rmtree(hosts.place.host("edge1"))
        hosts.up("edge1")
        refused = fleet.play("playbooks/restore.yml", "--limit=edge1", variables={"backup": "inventory/nowhere"})
        self.assertIn("backup: expected the directory of a backup", re.sub(r"\s+", " ", refused.output))
        restored = fleet.play(
            "playbooks/restore.yml", "--limit=edge1", variables={"backup": str(backup.relative_to(fleet.checkout))}
        ).check()
        note("restore of an edge on a fresh host", restored.seconds)

        fleet.wait("agents are back", lambda: len(fleet.status()["tunnels"]) == 4 * len(ORIGINS))
        self.assertEqual({agent["id"] for agent in fleet.status()["agents"] if agent.get("tunnels")}, agents)
        self.assertIn("app", fleet.visit(f"https://app.{ZONE}/?app"))
        now = int(fleet.dig(hosts.address("edge1"), ZONE, "SOA")[0].split()[2])
        self.assertGreater(now, serial)
        fleet.wait("the secondary follows", lambda: fleet.dig(hosts.address("ns1"), f"app.{ZONE}", "A") != [], 10)
        again = fleet.play("site.yml").check()
        self.assertEqual(again.changes, [])
