"""Tests that a wrong variable is refused before anything changes, by its name and with what was expected."""

import re
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.roles.rendering import render, write_inventory

_HELLO = {"hostname": "hello.warp.example", "service": "hello-world"}
_LAST = {"service": "http_status:404"}


def _agent(**changes: object) -> dict[str, object]:
    return {"name": "main", "ingress": [_HELLO, _LAST], **changes}


# Role, what its host sets, and what is said of each mistake.
REFUSED: list[tuple[str, dict[str, Any], list[str]]] = [
    ("warp_common", {"warp_common_keep_releases": 0}, ["warp_common_keep_releases: expected 1 or more, got 0"]),
    ("warp_common", {"warp_common_keep_releases": "two"}, ["warp_common_keep_releases.*cannot be converted to an int"]),
    ("warp_ca", {"warp_ca_renew_before_days": 0}, ["warp_ca_renew_before_days: expected 1 or more, got 0"]),
    (
        "warp_edge",
        {
            "warp_edge_weight": -1,
            "warp_edge_http_port": 443,
            "warp_edge_agent_lifetime": 59,
            "warp_edge_agent_absence": -1,
            "warp_edge_dns_listen": ["192.0.2.1"],
            "warp_edge_dns_ttl": 86401,
            "warp_edge_dns_negative_ttl": 86401,
            "warp_edge_dns_grace": 3601,
            "warp_edge_certificates": [{"name": "a"}],
            "warp_edge_ready_seconds": 0,
        },
        [
            "warp_edge_weight: expected 0 to 65535, got -1",
            "warp_edge_http_port, .*: expected different ports",
            "warp_edge_agent_lifetime: expected 60 to 2678400 seconds",
            "warp_edge_agent_absence: expected 0 to 315360000 seconds",
            "warp_edge_dns_listen: expected addresses with a port",
            "warp_edge_dns_ttl: expected 0 to 86400",
            "warp_edge_dns_negative_ttl: expected 0 to 86400",
            "warp_edge_dns_grace: expected 0 to 3600",
            r"warp_edge_certificates: .*key for each, got \['a'\]",
            "warp_edge_ready_seconds: expected 1 or more",
        ],
    ),
    ("warp_edge", {"warp_edge_tunnel_port": 0}, ["warp_edge_tunnel_port: expected different ports"]),
    (
        "warp_edge",
        {"warp_edge_limits": {"head_bytes": 1}},
        ["^warp_edge_limits.head_bytes: expected a whole number from 1024"],
    ),
    (
        "warp_edge",
        {"warp_edge_forwarding": {"strip": ["Host"]}},
        [r"^warp_edge_forwarding.strip\[0\]: expected a field"],
    ),
    ("warp_edge", {"warp_edge_timeouts": {"drian": 1}}, ["^warp_edge_timeouts.*drian"]),
    ("warp_edge", {"warp_edge_dns_server": {"ports": 1}}, ["^warp_edge_dns_server.*ports"]),
    ("warp_edge", {"warp_edge_dns_records": "@ IN MX 10 mail\nmail IN A 192.0.2\n"}, ["^warp_edge_dns_records:2: "]),
    (
        "warp_firewall",
        {
            "warp_firewall_ssh_ports": [22, 65536],
            "warp_firewall_ssh_sources": ["home"],
            "warp_firewall_arrivals_burst": 0,
            "warp_firewall_arrivals_per_source": 0,
            "warp_firewall_connections_per_source": 0,
            "warp_firewall_confirm_seconds": 1,
            "warp_firewall_allow_more": [
                {"name": 'x" accept comment "y', "protocol": "tcp", "ports": [0], "sources": ["::1/129"]}
            ],
        },
        [
            "warp_firewall_ssh_ports: expected at least one port from 1 to 65535",
            "warp_firewall_ssh_sources: expected addresses or networks",
            "warp_firewall_arrivals_burst: expected 1 or more",
            "warp_firewall_arrivals_per_source: expected 1",
            "warp_firewall_connections_per_source: expected 1",
            "warp_firewall_confirm_seconds: expected 10 or more",
            "warp_firewall_allow_more: expected names of letters",
            "warp_firewall_allow_more: expected ports from 1 to 65535",
            "warp_firewall_allow_more: expected sources that are addresses",
        ],
    ),
    (
        "warp_firewall",
        {"warp_firewall_allow_more": [{"name": "ping", "protocol": "icmp", "ports": [1]}]},
        ["value of protocol must be one of: tcp, udp, got: icmp found in warp_firewall_allow_more"],
    ),
    (
        "warp_secondary",
        {"warp_secondary_listen": ["192.0.2.1"], "warp_secondary_rate_limit": -1, "warp_secondary_timeout": 0},
        [
            "warp_secondary_listen: expected addresses with a port",
            "warp_secondary_rate_limit: expected 0 or more",
            "warp_secondary_timeout: expected 1 or more",
        ],
    ),
    (
        "warp_agent",
        {
            "warp_agent_share": "Two Words",
            "warp_agent_token_seconds": 1,
            "warp_agent_start_seconds": 1,
            "warp_agent_instances": [_agent(name="../etc"), _agent(), _agent(ingress=[_LAST])],
        },
        [
            "warp_agent_share: expected lower case letters",
            "warp_agent_token_seconds: expected 60 or more",
            "warp_agent_start_seconds: expected 5 or more",
            "warp_agent_instances: expected names of lower case letters",
            "warp_agent_instances: expected names that differ",
            "warp_agent_instances: expected hostnames, or rules with a hostname, in each, got none in main",
        ],
    ),
    (
        "warp_agent",
        {
            "warp_agent_instances": [
                _agent(name="open", ingress=[_HELLO]),
                _agent(name="none", tunnels=0),
                _agent(name="hasty", drain=0),
                _agent(name="labelled", labels={"Not A Label": "x"}),
            ]
        },
        [
            "warp_agent_instances, open: ingress",
            "warp_agent_instances, none: tunnels: expected a whole number from 1",
            "warp_agent_instances, hasty: drain: expected a number above 0",
            "warp_agent_instances, labelled: .*label",
        ],
    ),
]
_GROUPS = {"warp_edge": "edges", "warp_ca": "edges", "warp_secondary": "secondaries", "warp_agent": "origins"}


class RefusalTests(SynchronousTestCase):
    """One run for all: a host for mistakes that are seen together."""

    def test_each_is_refused(self) -> None:
        """Each host stops at its own mistake, and the reasons name the variables."""
        groups: dict[str, dict[str, dict[str, Any]]] = {}
        for number, (role, variables, _) in enumerate(REFUSED):
            host = {"ansible_host": "192.0.2.1", "only": [role], **variables}
            groups.setdefault(_GROUPS.get(role, "others"), {})[f"host{number}"] = host
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        found = render(directory, write_inventory(directory / "hosts.yml", groups))
        self.assertEqual(found.files, {})
        for number, (_, variables, said) in enumerate(REFUSED):
            for sentence in said:
                self.assertRegex(found.refusals[f"host{number}"], re.compile(sentence, re.MULTILINE), f"{variables}")
