"""Tests of the firewall's rules, as the kernel takes them in a network namespace of their own."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.roles.playing import PATIENCE
from tests.roles.rendering import render, write_inventory

_ONLY: dict[str, Any] = {"only": ["warp_firewall"]}
_GUARDED: dict[str, Any] = {
    "warp_firewall_ssh_ports": [22, 2222],
    "warp_firewall_ssh_sources": ["192.0.2.0/24", "192.0.2.7", "2001:db8::/32"],
    "warp_firewall_allow_more": [
        {"name": "metrics", "protocol": "tcp", "ports": [9464], "sources": ["203.0.113.5"]},
        {"name": "time", "protocol": "udp", "ports": [123], "sources": ["2001:db8::7/64"]},
    ],
}
_METERS: dict[str, Any] = {
    "warp_firewall_connections_per_source": 7,
    "warp_firewall_arrivals_per_source": 8,
    "warp_firewall_arrivals_burst": 9,
}
_FLEET: dict[str, dict[str, dict[str, Any]]] = {
    "edges": {
        "edge1": _ONLY | _METERS,
        "closed": {**_ONLY, "warp_edge_http_port": 0, "warp_edge_https_port": 0},
    },
    "secondaries": {"ns1": _ONLY},
    "origins": {"origin1": _ONLY, "guarded": _ONLY | _GUARDED},
}
# What a link needs, and replies: let in everywhere, and of no port that something listens on.
_OF_THE_LINK = (
    'iif "lo" ',
    "ct state established,related ",
    "icmp type ",
    "icmpv6 type ",
    "ip6 saddr fe80::/10 udp sport 547 ",
)
_SSH = 'tcp dport 22 ct state new accept comment "ssh"'
_AGENTS = 'tcp dport 7844 ct state new jump arrivals comment "agents"'
_DNS = ['udp dport 53 accept comment "dns"', 'tcp dport 53 ct state new jump arrivals comment "dns"']
LET_IN = {
    "edge1": [_SSH, 'tcp dport { 80, 443 } ct state new jump arrivals comment "visitors"', _AGENTS, *_DNS],
    "closed": [_SSH, _AGENTS, *_DNS],
    "ns1": [_SSH, *_DNS],
    "origin1": [_SSH],
    "guarded": [
        'ip saddr { 192.0.2.0/24 } tcp dport { 22, 2222 } ct state new accept comment "ssh"',
        'ip6 saddr 2001:db8::/32 tcp dport { 22, 2222 } ct state new accept comment "ssh"',
        'ip saddr 203.0.113.5 tcp dport 9464 ct state new jump arrivals comment "metrics"',
        'ip6 saddr 2001:db8::/64 udp dport 123 accept comment "time"',
    ],
}


class RulesTests(SynchronousTestCase):
    """The rules of edges, a secondary and origins."""

    maxDiff = None

    def setUp(self) -> None:
        missing = [name for name in ("nft", "unshare") if shutil.which(name, path="/usr/sbin:/usr/bin") is None]
        if missing:
            raise SkipTest(f"{' and '.join(missing)} is not installed")
        if self.in_namespace("true").returncode:
            raise SkipTest("network namespaces cannot be made here")

    def in_namespace(self, *command: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a command as root of a new network namespace, for which nobody needs to be root here."""
        return subprocess.run(
            ["unshare", "--map-root-user", "--net", *command],
            input=given,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def load(self, rules: Path) -> list[str]:
        """Load rules twice beside a table of somebody else's, and return all lines that the kernel then has."""
        script = f"nft add table inet foreign && nft -f {rules} && nft -f {rules} && nft list ruleset"
        done = self.in_namespace("sh", given=script)
        self.assertEqual((done.returncode, done.stderr), (0, ""), rules.read_text())
        return [line.strip() for line in done.stdout.splitlines()]

    def test_rules(self) -> None:
        """
        Each host lets in what is listed here and drops the rest; loading anew leaves others' tables alone.

        SSH is accepted everywhere, from named networks only if some are named, in both IP versions. Origins accept
        nothing else. TCP of services goes through the meters. A service without a port opens none.
        """
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        found = render(directory, write_inventory(directory / "hosts.yml", _FLEET))
        self.assertEqual((found.refusals, found.files.keys()), ({}, LET_IN.keys()), found.output)
        for host, files in found.files.items():
            rules = directory / f"{host}.nft"
            rules.write_text(files["firewall.nft"])
            lines = self.load(rules)
            self.assertIn("table inet foreign {", lines)
            self.assertEqual(lines.count("type filter hook input priority filter; policy drop;"), 1)
            self.assertEqual(lines.count("chain input {"), 1)
            at = lines.index("chain input {")
            chain = lines[at : lines.index("}", at)]
            doors = [line for line in chain if {"accept", "jump", "goto"} & set(line.split())]
            self.assertEqual([line for line in doors if not line.startswith(_OF_THE_LINK)], LET_IN[host], host)
            if host == "edge1":
                self.check_meters(lines)

    def check_meters(self, lines: list[str]) -> None:
        """Assert that each IP version has both meters, an IPv6 /64 being one source, with the numbers that were set."""
        for version, source in (("4", "ip saddr"), ("6", "ip6 saddr & ffff:ffff:ffff:ffff::")):
            for meter in (
                f"add @arrivals{version} {{ {source} limit rate over 8/second burst 9 packets }}",
                f"add @connections{version} {{ {source} ct count over 7 }}",
            ):
                self.assertEqual(sum(meter in line for line in lines), 1, (meter, lines))
