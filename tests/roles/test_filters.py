"""Tests of the filters that the roles and the playbooks compute with, hostile values included."""

from pathlib import Path

import yaml
from twisted.trial.unittest import SynchronousTestCase

from tests.roles.tree import filters
from warp_twisted.agent.settings import parse_settings

_FLEET = filters("warp_common")
_AGENT = filters("warp_agent")
_EDGE = filters("warp_edge")
_FIREWALL = filters("warp_firewall")


class FleetTests(SynchronousTestCase):
    """roles/warp_common/filter_plugins/warp_fleet.py."""

    def test_addresses(self) -> None:
        """A host's addresses are those it says itself, one or a list, or else where Ansible finds it."""
        hosts = {
            "own": {"warp_addresses": ["192.0.2.1", "2001:db8::1"], "ansible_host": "10.0.0.1"},
            "one": {"warp_addresses": "192.0.2.2"},
            "found": {"warp_addresses": [], "ansible_host": "192.0.2.3"},
            "192.0.2.4": {},
        }
        self.assertEqual(
            _FLEET["warp_addresses"](hosts, hosts),
            {
                "own": ["192.0.2.1", "2001:db8::1"],
                "one": ["192.0.2.2"],
                "found": ["192.0.2.3"],
                "192.0.2.4": ["192.0.2.4"],
            },
        )

    def test_not_addresses(self) -> None:
        """Names, networks, numbers out of range and other types are no addresses."""
        wrong = ["edge1.example", "192.0.2.0/24", "192.0.2.256", "[::1]", "fe80::1%eth0", "", None, 7, "192.0.2.1\n"]
        self.assertEqual(_FLEET["warp_not_addresses"](["192.0.2.1", *wrong, "::1"]), wrong)

    def test_nameservers(self) -> None:
        """An edge is a name server under a second name, a secondary under its own; both by their first label."""
        addresses = {"edge1.dc.example": ["192.0.2.1"], "ns1": ["192.0.2.2", "2001:db8::2"]}
        self.assertEqual(
            _FLEET["warp_nameservers"](["edge1.dc.example"], ["ns1"], addresses),
            [
                {"name": "ns-edge1", "addresses": ["192.0.2.1"]},
                {"name": "ns1", "addresses": ["192.0.2.2", "2001:db8::2"]},
            ],
        )
        self.assertEqual(
            _FLEET["warp_peers"](["edge1.dc.example"], addresses), [{"name": "edge1", "addresses": ["192.0.2.1"]}]
        )

    def test_no_more_nameservers_than_fit(self) -> None:
        """Of many edges as many are named as name servers as an answer holds, beside all secondaries."""
        edges = [f"edge{number}" for number in range(20)]
        addresses = {host: ["192.0.2.1"] for host in [*edges, "ns1", "ns2"]}
        found = _FLEET["warp_nameservers"](edges, ["ns1", "ns2"], addresses)
        self.assertEqual([each["name"] for each in found][-3:], ["ns-edge10", "ns1", "ns2"])
        self.assertEqual(len(found), 13)

    def test_private_addresses(self) -> None:
        """The fleet finds a host at its private addresses, or else at the public ones; edges are told of the former."""
        hostvars = {
            "edge1": {"ansible_host": "192.0.2.1", "warp_private_addresses": "10.0.0.5", "warp_edge_tunnel_port": 7845},
            "ns1": {"warp_addresses": ["2001:db8::2"], "warp_registry_port": 2400},
        }
        found = _FLEET["warp_private_addresses"](["edge1", "ns1"], hostvars)
        self.assertEqual(found, {"edge1": ["10.0.0.5"], "ns1": ["2001:db8::2"]})
        self.assertEqual(_FLEET["warp_peer_addresses"]("edge1", hostvars), ["10.0.0.5:7845"])
        self.assertEqual(_FLEET["warp_peer_addresses"]("ns1", hostvars), [])
        urls = _FLEET["warp_registry_urls"](["edge1", "ns1"], found, hostvars)
        self.assertEqual(urls, ["https://10.0.0.5:2379", "https://[2001:db8::2]:2400"])

    def test_placed(self) -> None:
        """Where each edge is, if it says so; a mistake of one edge is not told of by all."""
        hostvars = {
            "edge1.dc.example": {
                "warp_edge_region": "europe",
                "warp_edge_coordinates": [],
                "warp_edge_places": {"regions": {"europe": {}}},
            },
            "edge2": {"warp_edge_coordinates": [1.5, 120]},
            "edge3": {},
            "edge4": {"warp_edge_coordinates": [91, 0]},
            "edge5": {"warp_edge_region": "africa"},
        }
        found = _FLEET["warp_placed"](hostvars, hostvars)
        self.assertEqual(found, {"edge1": {"region": "europe"}, "edge2": {"coordinates": [1.5, 120]}})

    def test_answering(self) -> None:
        """Edges that were asked and said that they live."""
        asked = [
            {"inventory_hostname": "edge1", "warp_revoke_live": {"unreachable": True}},
            {"inventory_hostname": "edge2", "warp_revoke_live": {"status": 200}},
            {"inventory_hostname": "edge3"},
        ]
        self.assertEqual(_FLEET["warp_answering"](asked), ["edge2"])

    def test_tunnel_ports(self) -> None:
        """Each edge is dialed at its first address and its own port; IPv6 is bracketed."""
        addresses = {"edge1": ["192.0.2.1", "2001:db8::1"], "edge2": ["2001:db8::2"]}
        hostvars = {"edge1": {}, "edge2": {"warp_edge_tunnel_port": 7845}}
        found = _FLEET["warp_tunnel_ports"](["edge1", "edge2"], addresses, hostvars)
        self.assertEqual(found, ["192.0.2.1:7844", "[2001:db8::2]:7845"])

    def test_roots(self) -> None:
        """One root is trusted, none before there is one, and two in order while it is changed."""
        directory = Path(self.mktemp())
        self.assertEqual(_FLEET["warp_roots"](str(directory)), "")
        for place in ("previous", "", "next"):
            (directory / place).mkdir(parents=True, exist_ok=True)
            (directory / place / "root.pem").write_text(f"[{place}]")
        self.assertEqual(_FLEET["warp_roots"](str(directory)), "[][next][previous]")
        self.assertEqual(_FLEET["warp_file"](str(directory / "next/root.pem")), "[next]")

    def test_status_table(self) -> None:
        """A row for each unit, and for each host that has none or did not answer; then what each edge serves."""
        shown = (
            "Id=warp-edge.service\nLoadState=loaded\nActiveState=active\nSubState=running\nMemoryCurrent=52428800\n"
            "ActiveEnterTimestamp=Sun 2026-11-22\n"
            "ExecStart={ path=/opt/warp/releases/1.0-abc/bin/twistd ; argv[]=x=y }\n"
            "\n"
            "Id=knot.service\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n"
            "\n"
            "Id=warp-agent@main.service\nLoadState=loaded\nActiveState=failed\nSubState=failed\n"
            "MemoryCurrent=[not set]\n"
        )
        routes = [{"url": "https://app.warp.example", "path": "/", "tunnels": 4}]
        status = {"edge": {"name": "edge1", "ready": False, "tunnels": 4}, "routes": routes}
        hostvars = {
            "edge1": {"warp_status_units": {"stdout": shown}, "warp_status_edge": {"status": status}},
            "fresh": {"warp_status_units": {"stdout": "Id=knot.service\nLoadState=not-found\n"}},
            "lost": {"warp_status_units": {"unreachable": True}},
            "never": {},
        }
        self.assertEqual(
            _FLEET["warp_status_table"](hostvars, hostvars).splitlines(),
            [
                "HOST   UNIT             STATE                SINCE           MEMORY  RELEASE",
                "edge1  warp-edge        active (running)     Sun 2026-11-22  50 MiB  1.0-abc",
                "edge1  warp-agent@main  failed (failed)                      -       -",
                "fresh  -                has nothing of Warp",
                "lost   -                not reachable",
                "never  -                not reachable",
                "",
                "edge1: not ready, 4 tunnels",
                "  https://app.warp.example/ on 4 tunnels",
            ],
        )


class AgentTests(SynchronousTestCase):
    """roles/warp_agent/filter_plugins/warp_agent.py."""

    def test_hostnames(self) -> None:
        """An instance serves the hostnames it names, else those of its rules, each once; no rule, none."""
        rules = [{"hostname": "b.example"}, {"hostname": "a.example", "path": "/x"}, {"hostname": "b.example"}, {}]
        self.assertEqual(_AGENT["warp_hostnames"]({"ingress": rules}), ["b.example", "a.example"])
        self.assertEqual(_AGENT["warp_hostnames"]({"ingress": rules, "hostnames": ["*.example"]}), ["*.example"])
        for nothing in ({}, {"ingress": None}, {"ingress": [{"hostname": ""}, {"hostname": None}]}):
            self.assertEqual(_AGENT["warp_hostnames"](nothing), [])

    def test_not_allowed(self) -> None:
        """`*.` stands for one label or more: not for none, not for the end of a label, not within a name."""
        names = ["a.team.example", "b.a.team.example", "*.team.example", "*.a.team.example"]
        self.assertEqual(_AGENT["warp_not_allowed"](names, ["*.team.example"]), [])
        others = ["team.example", "evilteam.example", "a.team.example.evil", "*.example", "*"]
        self.assertEqual(_AGENT["warp_not_allowed"](others, ["*.team.example", "a*.example", ""]), others)
        self.assertEqual(_AGENT["warp_not_allowed"](["a.example"], []), ["a.example"])

    def test_probe(self) -> None:
        """A hostname to ask for is one whose `/` is answered over HTTP: no pattern, no path, no bytes as they come."""
        for rule in (
            {"hostname": "*.example", "service": "http://localhost:1"},
            {"hostname": "a.example", "path": "^/api", "service": "http://localhost:1"},
            {"hostname": "b.example", "service": "tcp://localhost:22"},
            {"service": "http_status:404"},
        ):
            self.assertEqual(_AGENT["warp_probe_hostname"]({"ingress": [rule]}), "", rule)
        good = {"hostname": "c.example", "service": "https://localhost:1"}
        self.assertEqual(_AGENT["warp_probe_hostname"]({"ingress": [rule, good]}), "c.example")
        self.assertEqual(_AGENT["warp_probe_hostname"]({}), "")

    def test_ready_url(self) -> None:
        """An instance is asked where it listens, at loopback if it listens everywhere; other endpoints are left out."""
        for metrics, url in (
            ("tcp:9464", "http://127.0.0.1:9464/ready"),
            ("tcp:port=9464:interface=192.0.2.1", "http://192.0.2.1:9464/ready"),
            ("unix:/run/x", ""),
            (None, ""),
        ):
            self.assertEqual(_AGENT["warp_ready_url"]({"metrics": metrics}), url)

    def test_configuration(self) -> None:
        """What an instance leaves out has its default; what it sets to nothing is passed on, to be refused."""
        least = {"name": "main", "ingress": []}
        found = _AGENT["warp_agent_config"](least, ["192.0.2.1:7844"])
        self.assertEqual(
            {key: found[key] for key in ("state", "token_file", "edges", "tunnels", "drain", "metrics")},
            {
                "state": "/var/lib/warp-agent/main",
                "token_file": "/etc/warp/agents/main.token",
                "edges": ["192.0.2.1:7844"],
                "tunnels": 4,
                "drain": 30,
                "metrics": None,
            },
        )
        found = _AGENT["warp_agent_config"](least | {"tunnels": 0, "drain": 0}, [])
        self.assertEqual((found["tunnels"], found["drain"]), (0, 0))

    def test_labels(self) -> None:
        """Labels of the host are those of each instance, and win over its own."""
        instance = {"name": "main", "ingress": [], "labels": {"release": "stable", "tier": "web"}}
        found = _AGENT["warp_agent_config"](instance, [], {"release": "canary"})
        self.assertEqual(found["labels"], {"release": "canary", "tier": "web"})
        self.assertEqual(_AGENT["warp_agent_config"](instance, [])["labels"], instance["labels"])

    def test_policy_of_an_instance(self) -> None:
        """What an instance's rules ask of edges reaches the agent as it is written."""
        policy = {
            "sources": {"allow": ["198.51.100.0/24"]},
            "limits": [{"name": "rate", "rate": "50/s"}],
            "authenticate": {"any_of": [{"basic": {"users_file": "/etc/warp/users.argon2"}}]},
        }
        rules = [{"hostname": "app.warp.example", "service": "http://localhost:4000", "policy": policy}]
        instance = {"name": "main", "ingress": [*rules, {"service": "http_status:404"}]}
        settings = parse_settings(yaml.safe_dump(_AGENT["warp_agent_config"](instance, [])))
        ((_, hostnames, found),) = settings.ingress.policies
        self.assertEqual(hostnames, ["app.warp.example"])
        self.assertEqual(
            found.words(), ["only from 198.51.100.0/24", "50/s for each visitor", "users of /etc/warp/users.argon2"]
        )

    def test_files(self) -> None:
        """The unit, and what marks a change of it, are read at a start; the configuration and the roots at a reload."""
        self.assertEqual(
            _AGENT["warp_agent_starts_with"]("main"),
            [
                "/etc/systemd/system/warp-agent@.service",
                "/etc/systemd/system/warp-agent@main.service.d/starts-with.conf",
            ],
        )
        self.assertEqual(
            _AGENT["warp_agent_reads"]("main"),
            ["/etc/warp/agents/main.yaml", "/var/lib/warp-agent/main/root.pem"],
        )


class VariableTests(SynchronousTestCase):
    """roles/warp_common/filter_plugins/warp_variables.py."""

    def test_known(self) -> None:
        """What a role, a playbook or a fact of a run has is known, and so nothing is said of it."""
        names = ["warp_zone", "warp_edge_limits", "warp_fleet_edges", "warp_common_services", "warp_agent_instances"]
        self.assertEqual(_FLEET["warp_unknown"](names), [])

    def test_unknown(self) -> None:
        """A name that nothing reads is told, with the nearest one if there is one that is near."""
        self.assertEqual(
            _FLEET["warp_unknown"](["warp_edge_limit", "warp_zone", "warp_qqqqqqqqqqqqqqqq"]),
            [
                "warp_edge_limit: no role reads it; did you mean warp_edge_limits?",
                "warp_qqqqqqqqqqqqqqqq: no role reads it",
            ],
        )


class EdgeTests(SynchronousTestCase):
    """roles/warp_edge/filter_plugins/warp_edge.py."""

    def test_notify(self) -> None:
        """Each address of each secondary is told, with the key."""
        peers = [{"name": "ns1", "addresses": ["192.0.2.2", "2001:db8::2"]}, {"name": "ns2", "addresses": []}]
        self.assertEqual(
            _EDGE["warp_notify"](peers, "k"),
            [{"address": "192.0.2.2", "key": "k"}, {"address": "2001:db8::2", "key": "k"}],
        )


class FirewallTests(SynchronousTestCase):
    """roles/warp_firewall/filter_plugins/warp_firewall.py."""

    def test_networks(self) -> None:
        """Those of one IP version, in normal form: bits of the host fall away."""
        texts = ["192.0.2.7/24", "2001:DB8::7/64", "203.0.113.5"]
        self.assertEqual(_FIREWALL["warp_networks"](texts, 4), ["192.0.2.0/24", "203.0.113.5/32"])
        self.assertEqual(_FIREWALL["warp_networks"](texts, 6), ["2001:db8::/64"])

    def test_not_networks(self) -> None:
        """What nft could take for something else is no network."""
        wrong = [
            "home",
            "192.0.2.0/33",
            "192.0.2.1-192.0.2.9",
            "@connections4",
            "::1 } accept #",
            "fe80::1%eth0",
            "",
            "1.2.3",
            10,
        ]
        self.assertEqual(_FIREWALL["warp_not_networks"](["192.0.2.0/24", *wrong, "::/0"]), wrong)

    def test_covers(self) -> None:
        """An address is looked for among networks of its version; an IPv4 login on an IPv6 socket is IPv4."""
        networks = ["192.0.2.0/24", "2001:db8::/32"]
        for address in ("192.0.2.9", "::ffff:192.0.2.9", "2001:db8:1::1"):
            self.assertTrue(_FIREWALL["warp_covers"](networks, address))
        for address in ("192.0.3.1", "::ffff:192.0.3.1", "2001:db9::1", "::1"):
            self.assertFalse(_FIREWALL["warp_covers"](networks, address))
        self.assertFalse(_FIREWALL["warp_covers"]([], "192.0.2.1"))
        self.assertRaises(ValueError, _FIREWALL["warp_covers"], networks, "unknown")

    def test_listeners(self) -> None:
        """Each socket in both families, for any of the edge's own units, and the addresses of DNS for its own."""
        http, dns = _EDGE["warp_edge_listeners"]([{"name": "http", "port": 80}], ["192.0.2.1"])
        self.assertEqual((http["variable"], http["listen"]), ("warp_edge_http_port", ["0.0.0.0:80", "[::]:80"]))
        self.assertIn("warp-edge-https.socket", http["units"])
        self.assertEqual(
            dns,
            {
                "variable": "warp_edge_dns_listen",
                "protocols": ["tcp", "udp"],
                "units": ["warp-dns.service"],
                "listen": ["192.0.2.1"],
            },
        )
