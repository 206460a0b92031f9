"""Agents of the fleet: revoked, refused a way back, let in again, and given other things to serve."""

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import ORIGINS, ZONE, Run, deployment


class RevokeTests(FleetTestCase):
    """Tests for `revoke.yml`."""

    def setUp(self) -> None:
        self.fleet = deployment()

    def serving(self) -> set[str]:
        """Return the origins that have tunnels."""
        addresses = {tunnel["address"] for tunnel in self.fleet.status()["tunnels"]}
        return {origin for origin in ORIGINS if self.fleet.hosts.address(origin) in addresses}

    def test_revoked_and_let_in_again(self) -> None:
        """A revoked agent is off at once and stays off, until its operator says that it may enroll anew."""
        revoke = ("playbooks/revoke.yml",)
        variables = {"host": "origin2", "reason": "a test"}
        self.addCleanup(self.put_back)
        run = self.fleet.play(*revoke, "--check", variables=variables).check()
        self.assertEqual(run.counts["edge1"]["changed"], 1)
        self.assertEqual(self.serving(), set(ORIGINS), "a check revokes nobody")

        self.assertEqual(self.fleet.play(*revoke, variables=variables).check().counts["edge1"]["changed"], 1)
        self.assertEqual(self.serving(), {"origin1"})
        self.assertEqual({self.fleet.visit(f"http://app.{ZONE}/").split()[0] for _ in range(10)}, {"origin1"})
        self.assertEqual(self.fleet.play(*revoke, variables=variables).check().counts["edge1"]["changed"], 0)
        revoked = [agent for agent in self.fleet.status()["agents"] if "revoked_at" in agent]
        self.assertEqual(max(revoked, key=lambda agent: agent["revoked_at"])["reason"], "a test")

        self.hosts_restart("origin2")
        refused = self.fleet.play("site.yml", "--limit=origin2")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("warp_agent_enroll_revoked", refused.output)
        self.assertEqual(self.serving(), {"origin1"})

        self.let_in_again("origin2").check()
        self.fleet.wait("both serve", lambda: self.serving() == set(ORIGINS))
        again = self.fleet.play("site.yml", "--limit=origin2").check()
        self.assertEqual(again.counts["origin2"]["changed"], 0)

    def put_back(self) -> None:
        """Let in again whom a test that failed has left outside."""
        if self.serving() != set(ORIGINS):
            self.let_in_again("origin2")

    def let_in_again(self, origin: str) -> Run:
        """Enroll an origin's revoked agent anew."""
        return self.fleet.play("site.yml", f"--limit={origin}", variables={"warp_agent_enroll_revoked": True})

    def hosts_restart(self, origin: str) -> None:
        """Start a revoked agent by hand; it is refused."""
        self.fleet.hosts.execute(origin, "systemctl", "restart", "--no-block", "warp-agent@main")

    def test_another_instance_and_hostname(self) -> None:
        """An instance more on one host, with a hostname of its own, is served after a run, and gone after the next."""
        instances = [
            {"name": "main", "ingress": [{"hostname": f"app.{ZONE}", "service": "http://localhost:4000"}, NOT_FOUND]},
            {"name": "second", "ingress": [{"hostname": f"two.{ZONE}", "service": "hello-world"}, NOT_FOUND]},
        ]
        main = self.fleet.hosts.execute("origin1", "systemctl", "show", "--value", "-p", "MainPID", "warp-agent@main")
        self.fleet.play("site.yml", "--limit=origin1", variables={"warp_agent_instances": instances}).check()
        self.assertIn("Hello from Warp", self.fleet.visit(f"https://two.{ZONE}/"))
        after = self.fleet.hosts.execute("origin1", "systemctl", "show", "--value", "-p", "MainPID", "warp-agent@main")
        self.assertEqual(after, main, "the first instance was reloaded, not restarted")

        self.fleet.play("site.yml", "--limit=origin1").check()
        self.assertEqual(self.fleet.dig(self.fleet.hosts.address("edge1"), f"two.{ZONE}", "A"), [])
        self.assertIn("reason: no-tunnel", self.fleet.visit(f"https://two.{ZONE}/"))
        self.assertEqual(self.fleet.hosts.execute("origin1", "ls", "/var/lib/warp-agent"), "main\n")


NOT_FOUND = {"service": "http_status:404"}
