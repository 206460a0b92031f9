"""Tests of what the roles write for the example inventories: configurations, and units as systemd reads them."""

import functools
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import yaml
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.roles.playing import PATIENCE
from tests.roles.rendering import Rendering, copy_example, render, uncomment
from warp_dns.program.configuration import read_configuration
from warp_twisted.agent.settings import read_agent_settings
from warp_twisted.edge.settings import read_edge_settings

_EDGE2 = """
        edge2:
          ansible_host: "2001:db8::2"
          warp_edge_http_port: 0
          warp_edge_https_port: "8443"
          warp_edge_region: america
          warp_firewall_bans: true
"""
_REGISTRY_HOST = """
        ns1: {warp_private_addresses: [192.0.2.2, "2001:db8::2"]}
"""
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@functools.cache
def rendered(*, one_host: bool) -> Rendering:
    """
    Render an example inventory, once in a process.

    :param one_host: as it is; else the other one, with all its variables set, and an edge with other ports.
    """
    directory = Path(tempfile.mkdtemp(prefix="rendered-", dir=Path.cwd()))
    inventory = copy_example(directory / "inventory", one_host=one_host)
    if not one_host:
        uncomment(inventory)
        hosts = inventory / "hosts.yml"
        text = hosts.read_text()
        for pattern, line in ((r"^ +edge2:.*\n", _EDGE2), (r"^ +ns1:\n", _REGISTRY_HOST)):
            text, count = re.subn(pattern, line.lstrip("\n"), text, flags=re.MULTILINE)
            assert count == 1
        hosts.write_text(text)
    return render(directory, inventory)


class ExampleTestCase(SynchronousTestCase):
    """A directory for files of hosts."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()

    def write(self, host: str, name: str, *, one_host: bool = False) -> Path:
        """Write a file of a host, and return where."""
        path = self.directory / name
        path.write_text(rendered(one_host=one_host).files[host][name])
        return path


class ExampleTests(ExampleTestCase):
    """Both inventories."""

    def test_taken(self) -> None:
        """The roles take each inventory, and Ansible warns of nothing."""
        for one_host in (True, False):
            found = rendered(one_host=one_host)
            self.assertEqual(found.refusals, {})
            self.assertNotIn("[WARNING]", found.output)
            self.assertNotIn("[DEPRECATION", found.output)

    def test_share_word(self) -> None:
        """All agents of an inventory have one share word: the zone, unless it says another."""
        for one_host, word in ((True, "warp.example"), (False, "shop")):
            files = rendered(one_host=one_host).files.values()
            self.assertEqual({each["share"] for each in files if "share" in each}, {word})

    def test_settings(self) -> None:
        """Warp takes each configuration, and finds in it what the inventory says."""
        edge = read_edge_settings(str(self.write("edge1", "edge.yaml")))
        self.assertEqual((edge.zone, edge.edge.name, edge.limits.connections), ("warp.example", "edge1", 20000))
        self.assertEqual(edge.edge.addresses, ("192.0.2.1", "2001:db8::1"))
        dns = read_configuration(str(self.write("edge1", "dns.yaml")))
        self.assertEqual(dns.server.rate_limit.responses_per_second, 500)
        agent = read_agent_settings(str(self.write("origin1", "main.yaml")))
        self.assertEqual(agent.labels, {"release": "stable"})
        for name, reader in (
            ("edge.yaml", read_edge_settings),
            ("dns.yaml", read_configuration),
            ("main.yaml", read_agent_settings),
        ):
            reader(str(self.write("warp1", name, one_host=True)))

    def test_name_server_reads_records_only(self) -> None:
        """DNS follows the socket of the records, in its own group; certificates are for a group that the edge is in."""
        for one_host, host in ((False, "edge1"), (True, "warp1")):
            files = rendered(one_host=one_host).files[host]
            listen = yaml.safe_load(files["edge.yaml"])["listen"]
            (zone,) = yaml.safe_load(files["dns.yaml"])["zones"]
            self.assertEqual(zone["follow"], listen["records"])
            self.assertNotEqual(zone["follow"], listen["admin"])
            self.assertNotIn("SupplementaryGroups", files["warp-dns.service"])
            self.assertIn("\nGroup=warp-dns\n", files["warp-dns.service"])
            directory = str(Path(listen["records"]).parent)
            self.assertIn(f"-o warp-edge -g warp-dns -m 2750 {directory}\n", files["warp-edge.service"])
            self.assertIn(f"\nReadWritePaths=-{directory}\n", files["warp-edge.service"])
            self.assertNotIn("SupplementaryGroups", files["warp-edge.service"])
            self.assertIn("\nSupplementaryGroups=warp-certificates\n", files["certificates.conf"])

    def test_bans_in_the_firewall(self) -> None:
        """Where they are wanted, the edge tells the helper, by a group that may; its ports are those of visitors."""
        files = rendered(one_host=False).files["edge2"]
        path = yaml.safe_load(files["edge.yaml"])["firewall_bans"]
        self.assertIn(
            f"\nListenStream={path}\nSocketUser=root\nSocketGroup=warp-bans\n", files["warp-firewall-bans.socket"]
        )
        self.assertIn("warp_firewall_bans.py 8443\n", files["warp-firewall-bans.service"])
        self.assertIn("\nSupplementaryGroups=warp-bans\n", files["warp-edge.service"])
        self.assertNotIn("firewall_bans", yaml.safe_load(rendered(one_host=False).files["edge1"]["edge.yaml"]))

    def test_registry(self) -> None:
        """The registry listens where edges find it, and its firewall lets nobody else in."""
        files = rendered(one_host=False).files["ns1"]
        urls = "https://127.0.0.1:2379,https://10.0.0.5:2379"
        self.assertIn(f"\nETCD_LISTEN_CLIENT_URLS={urls}\n", files["etcd.conf"])
        self.assertIn(
            "\nETCD_ADVERTISE_CLIENT_URLS=https://192.0.2.2:2379,https://[2001:db8::2]:2379\n", files["etcd.conf"]
        )
        rules = [line for line in files["firewall.nft"].splitlines() if "2379" in line]
        self.assertEqual(len(rules), 2, rules)
        self.assertIn("ip saddr { 10.0.0.5/32, 192.0.2.1/32, 192.0.2.2/32 } tcp dport { 2379 }", rules[0])
        self.assertNotIn("2379", rendered(one_host=False).files["edge1"]["firewall.nft"])

    def test_edges_share_it(self) -> None:
        """Edges follow the registry, and say where they are; agents know all of them, secondaries ask all of them."""
        for name, region in (("edge1", "europe"), ("edge2", "america")):
            files = rendered(one_host=False).files[name]
            edge = yaml.safe_load(files["edge.yaml"])
            self.assertEqual(edge["registry"]["etcd"]["endpoints"], ["https://192.0.2.2:2379"])
            self.assertEqual(edge["edge"]["region"], region)
            self.assertEqual(edge["edge"]["peer_addresses"], ["10.0.0.5:7844"])
            placed = {"edge1": {"region": "europe"}, "edge2": {"region": "america"}}
            self.assertEqual(yaml.safe_load(files["dns.yaml"])["places"]["edges"], placed)
        hosts = rendered(one_host=False).files
        self.assertEqual(yaml.safe_load(hosts["origin1"]["main.yaml"])["spread"], 2)
        self.assertIn("master: [ edge1, edge2 ]", hosts["ns1"]["knot.conf"])
        alone = rendered(one_host=True).files["warp1"]
        self.assertNotIn("registry", yaml.safe_load(alone["edge.yaml"]))
        self.assertNotIn("spread", yaml.safe_load(alone["main.yaml"]))

    def test_sockets(self) -> None:
        """Each listener of edge.yaml is the name of a socket unit with its port, whichever ports there are."""
        for host, ports in (
            ("edge1", {"http": 80, "https": 443, "tunnel": 7844}),
            ("edge2", {"https": 8443, "tunnel": 7844}),
        ):
            files = rendered(one_host=False).files[host]
            held = {name: text.splitlines() for name, text in files.items() if name.startswith("warp-edge-")}
            self.assertEqual(set(held), {f"warp-edge-{what}.socket" for what in ports})
            listen = yaml.safe_load(files["edge.yaml"])["listen"]
            for what in ("http", "https", "tunnel"):
                self.assertEqual(listen[what], [f"systemd:name={what}"] if what in ports else [], (host, what))
            for what, port in ports.items():
                unit = held[f"warp-edge-{what}.socket"]
                found = [line.partition("=")[2] for line in unit if line.startswith("ListenStream=")]
                self.assertEqual(found, [f"0.0.0.0:{port}", f"[::]:{port}"])
                self.assertIn(f"FileDescriptorName={what}", unit)
            needed = re.search(r"^Requires=(.*)$", files["warp-edge.service"], re.MULTILINE)
            assert needed is not None
            self.assertEqual(set(needed[1].split()), set(held))


class UnitTests(ExampleTestCase):
    """The units, and Knot, as the programs that read them do."""

    def run_program(self, *command: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run a program that must be there; what it prints comes as one text."""
        if shutil.which(command[0], path=_PATH) is None:
            raise SkipTest(f"{command[0]} is not installed")
        return subprocess.run(
            command,
            env={"PATH": _PATH, "SYSTEMD_COLORS": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )

    def check_unit(self, unit: Path) -> None:
        """Assert that systemd finds nothing wrong with a unit, and that it is hardened."""
        verified = self.run_program("systemd-analyze", "verify", "--man=no", unit)
        # Nothing at all is said of it; of what else this machine has, something may be.
        complaints = [line for line in verified.stdout.splitlines() if unit.parent.name in line or unit.name in line]
        self.assertEqual((verified.returncode, complaints), (0, []))
        if unit.suffix == ".service":
            assessed = self.run_program("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)
            self.assertEqual(assessed.returncode, 0, assessed.stdout)

    def test_own_units(self) -> None:
        """systemd takes each unit, and its exposure is 2.0 at most, as `systemd-analyze security` counts."""
        sockets = [self.write("edge1", f"warp-edge-{what}.socket") for what in ("http", "https", "tunnel")]
        unit = self.write("edge1", "warp-edge.service")
        (self.directory / "warp-edge.service.d").mkdir()
        self.write("edge1", "certificates.conf").rename(self.directory / "warp-edge.service.d/certificates.conf")
        self.check_unit(unit)
        for socket in sockets:
            self.check_unit(socket)
        self.check_unit(self.write("edge1", "warp-dns.service"))
        self.check_unit(self.write("edge1", "warp-firewall.service"))
        bans = self.write("edge1", "warp-firewall-bans.socket")
        self.check_unit(self.write("edge1", "warp-firewall-bans.service"))
        self.check_unit(bans)
        self.check_unit(self.write("origin1", "warp-agent@.service").rename(self.directory / "warp-agent@main.service"))

    def test_no_unit_gives_up(self) -> None:
        """systemd tries for ever: no unit that runs or listens has a limit of starts, and each program is restarted."""
        for host, name in (
            *(("edge1", name) for name in ("warp-edge.service", "warp-edge-http.socket", "warp-dns.service")),
            ("origin1", "warp-agent@.service"),
            ("ns1", "hardening.conf"),
            ("ns1", "etcd-unit.conf"),
        ):
            unit = rendered(one_host=False).files[host][name].splitlines()
            self.assertIn("StartLimitIntervalSec=0", unit, name)
            self.assertIn("TriggerLimitIntervalSec=0" if name.endswith(".socket") else "Restart=always", unit, name)

    def test_no_core_file(self) -> None:
        """What the watchdog ends leaves no core file, which would hold keys."""
        for host, name in (
            ("edge1", "warp-edge.service"),
            ("edge1", "warp-dns.service"),
            ("origin1", "warp-agent@.service"),
        ):
            self.assertIn("LimitCORE=0", rendered(one_host=False).files[host][name].splitlines(), name)

    def test_order_of_a_stop(self) -> None:
        """The firewall outlasts the services, DNS its edge, and a service that is silent for 10 s is killed."""
        for host, name in (
            ("edge1", "warp-edge.service"),
            ("edge1", "warp-dns.service"),
            ("origin1", "warp-agent@.service"),
        ):
            unit = rendered(one_host=False).files[host][name]
            after = re.search(r"^After=(.*)$", unit, re.MULTILINE)
            assert after is not None
            self.assertIn("warp-firewall.service", after[1].split(), name)
            # The edge's keeper replaces a process that is silent for half of it.
            seconds_of_silence = 20 if name == "warp-edge.service" else 10
            self.assertIn(f"\nWatchdogSec={seconds_of_silence}\n", unit, name)
        seconds = {
            name: int(rendered(one_host=False).files["edge1"][name].partition("\nTimeoutStopSec=")[2].split()[0])
            for name in ("warp-edge.service", "warp-dns.service")
        }
        self.assertGreater(seconds["warp-dns.service"], seconds["warp-edge.service"])

    def test_etcd(self) -> None:
        """etcd has its options from the file that names the certificates, and its unit is hardened like the others."""
        options = rendered(one_host=False).files["ns1"]["etcd.conf"]
        self.assertIn("\nETCD_CLIENT_CERT_AUTH=true\n", options)
        self.assertIn("\nETCD_PEER_CERT_ALLOWED_CN=warp-registry-peer\n", options)
        unit = Path(shutil.copy("/lib/systemd/system/etcd.service", self.directory))
        (self.directory / "etcd.service.d").mkdir()
        self.write("ns1", "etcd-unit.conf").rename(self.directory / "etcd.service.d/warp.conf")
        self.check_unit(unit)

    def test_knot(self) -> None:
        """Knot takes its configuration, and is hardened no less by what is added to Debian's unit."""
        key = self.directory / "warp-key.conf"
        key.write_text(f'key:\n  - id: warp-transfer\n    algorithm: hmac-sha256\n    secret: "{"A" * 43}="\n')
        configuration = self.write("ns1", "knot.conf")
        configuration.write_text(configuration.read_text().replace("/etc/knot/warp-key.conf", str(key)))
        checked = self.run_program("knotc", "--config", configuration, "conf-check")
        self.assertEqual(checked.returncode, 0, checked.stdout)
        unit = Path(shutil.copy("/lib/systemd/system/knot.service", self.directory))
        (self.directory / "knot.service.d").mkdir()
        self.write("ns1", "hardening.conf").rename(self.directory / "knot.service.d/warp.conf")
        self.check_unit(unit)
