"""Certificates of the fleet: the CA's root changed while it serves, agents' renewed, visitors' replaced."""

import re

from tests.fleet.case import FleetTestCase
from tests.fleet.certificates import make_authority, make_certificate
from tests.fleet.deployment import EDGES, ORIGINS, ZONE, deployment
from tests.fleet.figures import note
from tests.fleet.place import run

CHAIN = "/var/lib/warp-agent/main/chain.pem"
LIFETIME_SECONDS = 60


class AuthorityTests(FleetTestCase):
    """Tests for `rotate-ca.yml`, and for renewal."""

    def setUp(self) -> None:
        self.fleet = deployment()
        self.hosts = self.fleet.hosts

    def roots(self, host: str, path: str) -> int:
        """Count the certificates of a file."""
        return self.hosts.execute(host, "cat", path).count("BEGIN CERTIFICATE")

    def test_root_is_changed_and_certificates_are_renewed(self) -> None:
        """After the change nobody trusts the old root, no agent had to enroll again, and certificates are renewed."""
        directory = self.fleet.inventory / "secrets/ca"
        before = (directory / "root.pem").read_text()
        agents = {agent["id"] for agent in self.fleet.status()["agents"] if "revoked_at" not in agent}
        rotated = self.fleet.play(
            "playbooks/rotate-ca.yml", variables={"warp_edge_agent_lifetime": LIFETIME_SECONDS}
        ).check()
        note("change of the CA's root", rotated.seconds)
        root = (directory / "root.pem").read_text()
        self.assertNotEqual(root, before)
        self.assertEqual([path.name for path in directory.glob("retired-*/root.pem")], ["root.pem"])
        for host, path in [(edge, "/etc/warp/ca/root.pem") for edge in EDGES] + [
            (origin, "/var/lib/warp-agent/main/root.pem") for origin in ORIGINS
        ]:
            self.assertEqual(self.hosts.execute(host, "cat", path), root, host)
        found = {agent["id"] for agent in self.fleet.status()["agents"] if agent.get("tunnels")}
        self.assertEqual(found, agents)
        self.assertIn("app", self.fleet.visit(f"https://app.{ZONE}/?app"))

        chain = self.hosts.execute("origin1", "cat", CHAIN)
        renewed = self.fleet.wait(
            "a certificate that lives a minute is renewed",
            lambda: self.hosts.execute("origin1", "cat", CHAIN) != chain,
            LIFETIME_SECONDS,
        )
        self.assertLess(renewed, LIFETIME_SECONDS)
        self.assertEqual(len(self.fleet.status()["tunnels"]), 4 * len(ORIGINS))
        self.fleet.play("site.yml").check()
        again = self.fleet.play("site.yml").check()
        self.assertEqual(again.changes, [])

    def test_visitors_certificate_is_replaced(self) -> None:
        """A renewed certificate in the inventory is served after a run, by the same process."""
        pid = self.hosts.execute("edge1", "systemctl", "show", "--value", "-p", "MainPID", "warp-edge")
        served = self.serial()
        directory = self.fleet.inventory / "secrets/certificates"
        signer = make_authority(self.fleet.authority)
        make_certificate(signer, [ZONE, f"*.{ZONE}"], directory / f"{ZONE}.pem", directory / f"{ZONE}.key")
        self.fleet.play("site.yml", "--limit=edges", "--tags=warp_certificates").check()
        self.fleet.wait("the new certificate", lambda: self.serial() != served, 10)
        self.assertIn("app", self.fleet.visit(f"https://app.{ZONE}/?app"), "verified by the new authority")
        after = self.hosts.execute("edge1", "systemctl", "show", "--value", "-p", "MainPID", "warp-edge")
        self.assertEqual(after, pid)

    def serial(self) -> str:
        """Return the serial number of the certificate that visitors are shown."""
        address = self.hosts.address("edge1")
        command = f"openssl s_client -connect $0:443 -servername app.{ZONE} </dev/null 2>/dev/null"
        text = run(*self.hosts.beside("sh", "-c", f"{command} | openssl x509 -noout -serial", address))
        found = re.fullmatch(r"serial=(\w+)\n", text)
        assert found is not None, text
        return found[1]
