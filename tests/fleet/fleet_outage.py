"""An edge that was off for longer than its agents' certificates live: the origins come back without anybody's hand."""

import time

import yaml

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import ZONE, deployment
from tests.fleet.figures import note

LIFETIME_SECONDS = 20
AWAY_SECONDS = 45.0
BACK_SECONDS = 40.0  # of which up to 30 are the longest wait between two attempts
UNITS = ("warp-edge-http.socket", "warp-edge-https.socket", "warp-edge-tunnel.socket", "warp-edge.service")
EDGE_FILE = "/etc/warp/edge.yaml"
AGENT_FILE, TOKEN_FILE = "/etc/warp/agents/outage.yaml", "/etc/warp/agents/outage.token"
AGENT = "warp-agent@outage"


class OutageTests(FleetTestCase):
    """An instance of an agent whose certificates live for seconds, beside those of the deployment."""

    def setUp(self) -> None:
        self.fleet = deployment()
        self.hosts = self.fleet.hosts

    def serves(self) -> bool:
        """Whether the instance's hostname is served, and the deployment's."""
        return all(self.fleet.visit(f"https://{name}.{ZONE}/").startswith("origin") for name in ("outage", "app"))

    def shorten(self, seconds: int) -> None:
        """Let certificates that the edge issues live for so long, and have them back as they were when all is done."""
        settings = yaml.safe_load(self.hosts.execute("edge1", "cat", EDGE_FILE))
        settings["ca"]["agent_lifetime"] = seconds
        self.addCleanup(self.hosts.execute, "edge1", "systemctl", "restart", "warp-edge")
        self.hosts.execute("edge1", "cp", "-p", EDGE_FILE, f"{EDGE_FILE}.away")
        self.addCleanup(self.hosts.execute, "edge1", "mv", f"{EDGE_FILE}.away", EDGE_FILE)
        self.hosts.install("edge1", EDGE_FILE, yaml.safe_dump(settings))
        self.hosts.execute("edge1", "systemctl", "restart", "warp-edge")

    def begin_agent(self) -> None:
        """Start the instance, with a token of its own."""
        settings = yaml.safe_load(self.hosts.execute("origin1", "cat", "/etc/warp/agents/main.yaml"))
        settings |= {
            "state": "/var/lib/warp-agent/outage",
            "token_file": TOKEN_FILE,
            "ingress": [
                {"hostname": f"outage.{ZONE}", "service": "http://localhost:4000"},
                {"service": "http_status:404"},
            ],
        }
        settings.pop("metrics", None)
        token = self.hosts.execute("edge1", "warp", "token", "create", "--hostname", f"outage.{ZONE}")
        self.addCleanup(self.hosts.execute, "origin1", "rm", "-rf", AGENT_FILE, TOKEN_FILE, settings["state"])
        self.addCleanup(self.hosts.execute, "origin1", "systemctl", "stop", AGENT)
        self.hosts.install("origin1", AGENT_FILE, yaml.safe_dump(settings))
        self.hosts.install("origin1", TOKEN_FILE, token)
        self.hosts.execute("origin1", "systemctl", "start", AGENT)

    def test_certificates_ended_meanwhile(self) -> None:
        """The edge is off for twice as long as the certificate lives: it is served again, with the same identity."""
        self.shorten(LIFETIME_SECONDS)
        self.begin_agent()
        self.fleet.wait("the instance serves", self.serves)
        before = self.identity()
        self.hosts.execute("edge1", "systemctl", "stop", *UNITS)
        self.addCleanup(self.hosts.execute, "edge1", "systemctl", "start", *UNITS)
        time.sleep(AWAY_SECONDS)
        self.hosts.execute("edge1", "systemctl", "start", *UNITS)
        begun = time.monotonic()
        self.fleet.wait("service after the outage", self.serves, BACK_SECONDS)
        note(f"service after an outage of {AWAY_SECONDS:.0f} s, certificates ended", time.monotonic() - begun)
        self.assertEqual(self.identity(), before)
        journal = self.hosts.execute("origin1", "journalctl", "--quiet", "--unit", AGENT)
        self.assertIn("lets this agent return", journal)

    def identity(self) -> str:
        """Return who the instance is."""
        [agent] = {tunnel["agent"] for tunnel in self.fleet.status()["tunnels"] if f"outage.{ZONE}" in str(tunnel)}
        return str(agent)
