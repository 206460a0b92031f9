"""The firewall, looked at from the edge, from a visitor, and from another origin; and what protects its operator."""

import sys
import time
from pathlib import Path

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import EDGES, ORIGINS, SECONDARIES, deployment
from tests.fleet.place import FleetError, run

PROBE = Path(__file__).with_name("probe.py")
PORTS = (22, 25, 53, 80, 111, 443, 2222, 3306, 4000, 4001, 5300, 5432, 7844, 8080, 8443, 9464, 9465)
MANY = """
import socket, sys
held = [socket.create_connection((sys.argv[1], 80), 2) for _ in range(int(sys.argv[2]))]
print(len(held))
"""


class ProbeTests(FleetTestCase):
    """Which ports answer."""

    def setUp(self) -> None:
        self.fleet = deployment()

    def look(self, at: str, source: str | None) -> list[str]:
        """Return what answers at every address of a host: from another host, or from a visitor's place."""
        hosts = self.fleet.hosts
        found = set()
        for address in (hosts.address(at), hosts.address6(at)):
            if source is None:
                text = run(*hosts.beside(sys.executable, str(PROBE), address, *map(str, PORTS)))
            else:
                hosts.install(source, "/run/probe.py", PROBE.read_text())
                text = hosts.execute(source, "python3", "/run/probe.py", address, *map(str, PORTS))
            found |= set(text.splitlines())
        return sorted(found)

    def test_origins_answer_nobody(self) -> None:
        """No port of an origin but SSH answers: not to the edge, a visitor, or the other origin."""
        for origin in ORIGINS:
            listening = self.fleet.hosts.execute(origin, "ss", "-Hltn", "sport", "=", ":4000")
            self.assertIn("*:4000", listening, "the application listens on every address")
            for source in (None, *(host for host in (*EDGES, *SECONDARIES, *ORIGINS) if host != origin)):
                self.assertEqual(self.look(origin, source), ["22 open"], f"{origin} from {source}")

    def test_edge_answers_what_it_serves(self) -> None:
        """The edge's ports are those of DNS, visitors, agents and SSH."""
        for source in (None, "ns1", "origin1"):
            self.assertEqual(
                self.look("edge1", source), ["22 open", "443 open", "53 open", "7844 open", "80 open"], source
            )

    def test_secondary_answers_dns(self) -> None:
        """The secondary's ports are DNS and SSH."""
        for source in (None, "edge1", "origin1"):
            self.assertEqual(self.look("ns1", source), ["22 open", "53 open"], source)

    def test_agents_listen_on_nothing(self) -> None:
        """An agent has no listening socket at all."""
        for origin in ORIGINS:
            self.assertNotIn("twistd", self.fleet.hosts.execute(origin, "ss", "-Hlntup"))


class LimitTests(FleetTestCase):
    """Meters per source, and the way back."""

    def setUp(self) -> None:
        self.fleet = deployment()
        self.addCleanup(self.put_back, self.rules())

    def rules(self) -> str:
        """Return the rules that the edge's host boots with."""
        return self.fleet.hosts.execute("edge1", "cat", "/etc/warp/firewall.nft")

    def put_back(self, before: str) -> None:
        """Apply the inventory's rules again, where a test has left others, or none that are wanted."""
        wanted = "cat /etc/warp/firewall.wanted.nft 2>/dev/null || true"
        if {self.rules(), self.fleet.hosts.execute("edge1", "sh", "-c", wanted)} != {before}:
            self.play()

    def play(self, **variables: object) -> str:
        """Apply the firewall's rules at the edge, by default the inventory's."""
        run = self.fleet.play("site.yml", "--limit=edge1", "--tags=warp_firewall", variables=variables)
        return run.output

    def open_connections(self, source: str, count: int) -> int:
        """Open so many connections at once from a host, and say how many were accepted; -1 if one was not."""
        try:
            address = self.fleet.hosts.address("edge1")
            return int(self.fleet.hosts.execute(source, "python3", "-c", MANY, address, str(count)))
        except FleetError:
            return -1

    def test_connections_of_one_source(self) -> None:
        """A source that has as many connections as it may gets no more; another source is not concerned."""
        self.play(warp_firewall_connections_per_source=20)
        self.assertEqual(self.open_connections("ns1", 15), 15)
        self.assertEqual(self.open_connections("ns1", 40), -1)
        self.assertEqual(self.open_connections("origin2", 5), 5)
        self.assertIn("ready", self.fleet.hosts.execute("edge1", "warp", "status"))

    def test_arrivals_of_one_source(self) -> None:
        """A source that opens connections too fast is slowed down to what it may; another is not concerned."""
        self.play(warp_firewall_arrivals_per_source=5, warp_firewall_arrivals_burst=20)
        begun = time.monotonic()
        self.assertIn(self.open_connections("ns1", 40), (-1, 40))
        self.assertGreater(time.monotonic() - begun, 1.5)
        begun = time.monotonic()
        self.assertEqual(self.open_connections("origin2", 5), 5)
        self.assertLess(time.monotonic() - begun, 1.0)
        rules = self.fleet.hosts.execute("edge1", "nft", "list", "chain", "inet", "warp", "arrivals")
        self.assertRegex(rules, r'counter packets [1-9]\d* bytes \d+ drop comment "too-fast"')

    def test_rules_that_lock_out_are_taken_back(self) -> None:
        """Rules under which nobody can log in are undone by the host itself, and never boot."""
        before = self.rules()
        # As if the operator were on the host: then nothing tells beforehand.
        run = self.fleet.play(
            "site.yml",
            "--limit=edge1",
            "--tags=warp_firewall",
            variables={
                "warp_firewall_ssh_ports": [2222],
                "warp_firewall_confirm_seconds": 10,
                "__warp_firewall_connection": {"stdout": ""},
            },
        )
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("Nobody could log in under the new rules", run.output)
        ssh = ("ssh", "-F", str(self.fleet.hosts.ssh_config), "-o", "ConnectTimeout=2", "edge1", "echo", "here")
        self.fleet.wait("a login", lambda: run_quietly(*ssh) == "here\n", 20)
        self.assertEqual(self.rules(), before)

    def test_flush_by_others_is_repaired(self) -> None:
        """Starting, reloading and restarting nftables.service, which flushes every table, leave ours in place."""
        self.addCleanup(self.fleet.hosts.execute, "edge1", "systemctl", "start", "warp-firewall.service")
        self.addCleanup(self.fleet.hosts.execute, "edge1", "systemctl", "stop", "nftables.service")
        for what in ("start", "reload", "restart"):
            self.fleet.hosts.execute("edge1", "systemctl", what, "nftables.service")
            tables = self.fleet.hosts.execute("edge1", "nft", "list", "tables").splitlines()
            self.assertEqual(sorted(tables), ["table inet filter", "table inet warp"], what)


def run_quietly(*command: str) -> str:
    """Run a command, whatever comes of it."""
    return run(*command, quiet=True)
