"""The policy of the inventory, as visitors meet it, and bans in the firewall."""

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import ZONE, Run, deployment
from tests.fleet.place import FleetError

APP = f"http://app.{ZONE}"
STATUS = ("--output", "/dev/null", "--write-out", "%{http_code}")
REACH = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()
    print("open")
except TimeoutError:
    print("silent")
"""
POLICY = {
    "rules": [
        {"name": "closed", "match": {"path": "/closed/*"}, "deny": True},
        {"name": "listed", "match": {"path": "/listed/*"}, "sources": {"allow": [{"file": "lists/visitors.txt"}]}},
    ]
}


class PolicyTests(FleetTestCase):
    """`warp_policy`, `warp_policy_files` and `warp_edge_policy_file`."""

    def setUp(self) -> None:
        self.fleet = deployment()
        self.list = self.fleet.inventory / "visitors.txt"
        # A long text: a process of its own reads it, under what the edge's unit permits.
        long = "{ echo '{}'; head -c 20000 /dev/zero | tr '\\0' '#'; } >/run/open.yaml"
        opened = f"{long} && warp policy apply /run/open.yaml"
        self.addCleanup(self.fleet.hosts.execute, "edge1", "sh", "-c", opened)

    def play(self, *arguments: str, **variables: object) -> Run:
        """Apply the policy at the edge."""
        files = [{"name": "lists/visitors.txt", "src": str(self.list)}]
        more = {"warp_policy_files": files} if self.list.exists() else {}
        tags = arguments or ("--tags=warp_policy",)
        return self.fleet.play("site.yml", "--limit=edge1", "--diff", *tags, variables={**more, **variables})

    def status(self, path: str) -> str:
        """Return what a visitor is answered."""
        return self.fleet.visit(APP + path, *STATUS)

    def test_of_the_inventory(self) -> None:
        """
        What the inventory says is in force, files included; a second run changes nothing, a change is a change.

        In check mode nothing is applied. A policy that is wrong is refused before anything changes. Without the
        variable a run leaves the policy alone.
        """
        self.assertEqual(self.status("/closed/x"), "200")
        self.list.write_text("192.0.2.0/24\n")
        check = self.play("--tags=warp_policy", "--check", warp_policy=POLICY).check()
        self.assertIn("+- name: closed", check.output.replace("  - name", "- name"))
        self.assertEqual(self.status("/closed/x"), "200")
        first = self.play(warp_policy=POLICY).check()
        self.assertGreater(first.counts["edge1"]["changed"], 0)
        self.assertEqual([self.status(path) for path in ("/closed/x", "/listed/x", "/")], ["403", "403", "200"])
        self.assertEqual(self.play(warp_policy=POLICY).check().counts["edge1"]["changed"], 0)
        shown = self.fleet.hosts.execute("edge1", "stat", "--format=%U:%G %a", "/etc/warp/policy/lists/visitors.txt")
        self.assertEqual(shown, "root:warp-edge 640\n")

        self.list.write_text("0.0.0.0/0\n::/0\n")
        self.assertEqual(self.play(warp_policy=POLICY).check().counts["edge1"]["changed"], 1)
        self.fleet.wait("the list is in force", lambda: self.status("/listed/x") == "200")
        wrong = self.play(warp_policy={"rules": [{"nme": "x"}]})
        self.assertNotEqual(wrong.returncode, 0)
        self.assertIn("warp_policy: rules[0].nme: unknown key", wrong.output)
        self.list.unlink()
        self.assertEqual(self.play().check().counts["edge1"]["changed"], 0)
        self.assertEqual(self.status("/closed/x"), "403")

    def test_of_one_edge(self) -> None:
        """An edge follows a file of its own; one that was put there by hand is not taken out, the run stops."""
        configured = ("--tags=warp_policy,warp_configure,warp_run",)
        own = {"rules": [POLICY["rules"][0]]}
        self.play(*configured, warp_edge_policy_file=own).check()
        self.assertEqual(self.status("/closed/x"), "403")
        self.assertEqual(self.play(*configured, warp_edge_policy_file=own).check().counts["edge1"]["changed"], 0)
        self.play(*configured).check()
        self.assertEqual(self.status("/closed/x"), "200")
        hosts = self.fleet.hosts
        before = hosts.execute("edge1", "cat", "/etc/warp/edge.yaml")
        hosts.execute("edge1", "cp", "-p", "/etc/warp/edge.yaml", "/etc/warp/edge.yaml.away")
        self.addCleanup(hosts.execute, "edge1", "mv", "/etc/warp/edge.yaml.away", "/etc/warp/edge.yaml")
        hosts.install("edge1", "/etc/warp/by-hand.yaml", "rules: []\n")
        hosts.install("edge1", "/etc/warp/edge.yaml", f"{before}policy: /etc/warp/by-hand.yaml\n")
        stopped = self.play(*configured)
        self.assertNotEqual(stopped.returncode, 0)
        self.assertIn("this edge follows /etc/warp/by-hand.yaml", stopped.output)
        self.assertIn("by-hand", hosts.execute("edge1", "cat", "/etc/warp/edge.yaml"))


class BansTests(FleetTestCase):
    """`warp_firewall_bans`."""

    def setUp(self) -> None:
        self.fleet = deployment()
        self.addCleanup(self.put_back)

    def put_back(self) -> None:
        """Take away what a test that failed has left."""
        if "warp-bans" in self.fleet.hosts.execute("edge1", "ls", "/etc/systemd/system"):
            self.play()

    def play(self, **variables: object) -> Run:
        """Apply the firewall and the edge."""
        tags = "--tags=warp_firewall,warp_configure"
        return self.fleet.play("site.yml", "--limit=edge1", tags, variables=variables).check()

    def reach(self, port: int) -> str:
        """Return what a name server's host meets at a port of the edge."""
        edge = self.fleet.hosts.address("edge1")
        return self.fleet.hosts.execute("ns1", "python3", "-c", REACH, edge, str(port)).strip()

    def test_bans_in_the_firewall(self) -> None:
        """
        Whom the edge bans is not heard on the ports of visitors, and on the tunnel port is; let in, at once.

        The helper has one right. A second run changes nothing; without the variable all of it is gone.
        """
        hosts = self.fleet.hosts
        self.play(warp_firewall_bans=True)
        self.fleet.wait("the edge tells", lambda: "warp-bans" in hosts.execute("edge1", "nft", "list", "tables"))
        banned = hosts.address("ns1")
        hosts.execute("edge1", "warp", "ban", "add", banned)
        self.fleet.wait("the kernel drops", lambda: self.reach(80) == "silent")
        self.assertEqual([self.reach(port) for port in (443, 7844, 22)], ["silent", "open", "open"])
        capabilities = hosts.execute(
            "edge1", "sh", "-c",
            "grep CapEff /proc/$(systemctl show -P MainPID warp-firewall-bans)/status; "
            "for pid in $(cat /sys/fs/cgroup$(systemctl show -P ControlGroup warp-edge)/cgroup.procs); do "
            "grep CapEff /proc/$pid/status; done",
        )  # fmt: skip
        helper, *keeper_and_edge = [int(word, 16) for word in capabilities.split()[1::2]]
        self.assertEqual((helper, set(keeper_and_edge)), (1 << 12, {0}))
        self.assertEqual(self.play(warp_firewall_bans=True).counts["edge1"]["changed"], 0)
        hosts.execute("edge1", "systemctl", "kill", "--signal=KILL", "warp-firewall-bans.service")
        self.fleet.wait(
            "it is back", lambda: banned in hosts.execute("edge1", "nft", "list", "table", "inet", "warp-bans")
        )
        hosts.execute("edge1", "warp", "ban", "remove", banned)
        self.fleet.wait("who is let in is heard", lambda: self.reach(80) == "open")
        self.play()
        self.assertNotIn("warp-bans", hosts.execute("edge1", "nft", "list", "tables"))
        with self.assertRaises(FleetError):
            hosts.execute("edge1", "systemctl", "cat", "warp-firewall-bans.socket")
        self.assertEqual(self.play().counts["edge1"]["changed"], 0)
