"""Tests that a wrong variable is refused before anything changes, by its name and with what was expected."""

import re
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.roles.rendering import render, write_inventory
from tests.roles.tree import ROLES, options

_HELLO = {"hostname": "hello.warp.example", "service": "hello-world"}
_LAST = {"service": "http_status:404"}


def _agent(**changes: object) -> dict[str, object]:
    return {"name": "main", "ingress": [_HELLO, _LAST], **changes}


# Those whose variables check.yml has checked before they run; the others are entered after their own check.
CHECKED = tuple(role for role in ROLES if role != "warp_canary")
# Role, what its host sets, and what is said of each mistake.
REFUSED: list[tuple[str, dict[str, Any], list[str]]] = [
    ("warp_common", {"warp_common_keep_releases": 0}, ["warp_common_keep_releases: expected 1 or more, got 0"]),
    ("warp_common", {"warp_common_keep_releases": "two"}, ["warp_common_keep_releases.*cannot be converted to an int"]),
    ("warp_common", {"warp_common_try_bad": "perhaps"}, ["warp_common_try_bad.*convert to.* bool"]),
    (
        "warp_common",
        {
            "warp_common_root": "opt/warp",
            "warp_common_python": "python3",
            "warp_common_wheel": "dist/other-1.whl",
            "warp_common_wheelhouse": "wheels",
            "warp_common_constraints": "/nonexistent/constraints.txt",
        },
        [
            "warp_common_root: expected a directory of the host",
            "warp_common_python: expected an interpreter of the host",
            "warp_common_wheel: expected a wheel of Warp",
            "warp_common_wheelhouse: expected a directory of the host",
            "warp_common_constraints: expected a file on the controller",
        ],
    ),
    ("warp_ca", {"warp_ca_directory": "secrets/ca"}, ["warp_ca_directory: expected a directory of the controller"]),
    ("warp_ca", {"warp_ca_command": ["/nonexistent"]}, ["warp_ca_command: expected a command that runs Warp"]),
    ("warp_ca", {"warp_ca_renew_before_days": 0}, ["warp_ca_renew_before_days: expected 1 or more, got 0"]),
    (
        "warp_edge",
        {
            "warp_edge_weight": -1,
            "warp_edge_http_port": 443,
            "warp_edge_agent_lifetime": 59,
            "warp_edge_agent_absence": -1,
            "warp_edge_region": "europe",
            "warp_edge_coordinates": [50],
            "warp_edge_dns_listen": ["192.0.2.1"],
            "warp_edge_dns_ttl": 86401,
            "warp_edge_dns_negative_ttl": 86401,
            "warp_edge_dns_grace": 3601,
            "warp_edge_certificates": [{"name": "a"}],
            "warp_edge_key_name": "Not A Key",
            "warp_policy_files": [{"name": "../a", "src": "a"}, {"name": "b"}],
            "warp_edge_ready_seconds": 0,
        },
        [
            "warp_edge_weight: expected 0 to 65535, got -1",
            "warp_edge_http_port, .*: expected different ports",
            "warp_edge_agent_lifetime: expected 60 to 2678400 seconds",
            "warp_edge_agent_absence: expected 0 to 315360000 seconds",
            r"warp_edge_region: expected one of regions in warp_edge_places, \[\], got europe",
            r"warp_edge_coordinates: expected latitude and longitude, and no warp_edge_region beside them, got \[50",
            "warp_edge_dns_listen: expected addresses with a port",
            "warp_edge_dns_ttl: expected 0 to 86400",
            "warp_edge_dns_negative_ttl: expected 0 to 86400",
            "warp_edge_dns_grace: expected 0 to 3600",
            r"warp_edge_certificates: .*key for each, got \['a'\]",
            "warp_edge_key_name: expected a name",
            r"warp_policy_files: expected names such as lists/branches.txt, .*got \['../a'\]",
            r"warp_policy_files: expected src, .*got \['b'\]",
            "warp_edge_ready_seconds: expected 1 or more",
        ],
    ),
    ("warp_edge", {"warp_edge_https_port": "many"}, ["warp_edge_https_port.*convert to int"]),
    (
        "warp_edge",
        {"warp_edge_dns_browse": "some"},
        ["value of warp_edge_dns_browse must be one of: all, labels, none"],
    ),
    ("warp_edge", {"warp_edge_coordinates": [91, 0]}, ["^warp_edge_coordinates.*90"]),
    ("warp_edge", {"warp_edge_places": {"region": {}}}, ["^warp_edge_places.*region"]),
    ("warp_edge", {"warp_edge_registry_replace": "perhaps"}, ["warp_edge_registry_replace.*convert to.* bool"]),
    ("warp_edge", {"warp_edge_metrics": "9464"}, ["^warp_edge_metrics: expected"]),
    ("warp_edge", {"warp_edge_log": {"format": "xml"}}, ["^warp_edge_log.format: expected"]),
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
    (
        "warp_edge",
        {"warp_edge_responses": {"header_count": 7}},
        ["^warp_edge_responses.header_count: expected a whole number from 8"],
    ),
    ("warp_edge", {"warp_edge_responses": {"bare_fl": True}}, ["^warp_edge_responses.bare_fl: unknown key"]),
    (
        "warp_edge",
        {"warp_edge_upgrades": ["websocket", "h2c"]},
        [r"^warp_edge_upgrades\[1\]: expected text matching.*h2c"],
    ),
    ("warp_edge", {"warp_edge_upgrades": {"name": "tcp"}}, ["warp_edge_upgrades.*convert.*list"]),
    ("warp_edge", {"warp_edge_timeouts": {"drian": 1}}, ["^warp_edge_timeouts.*drian"]),
    ("warp_edge", {"warp_edge_timeouts": {"half_closed": 0}}, ["^warp_edge_timeouts.half_closed: expected"]),
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
    ("warp_firewall", {"warp_firewall_bans": "perhaps"}, ["warp_firewall_bans.*convert to.* bool"]),
    (
        "warp_registry",
        {
            "warp_registry_directory": "secrets/registry",
            "warp_registry_renew_before_days": 365,
            "warp_registry_port": 2380,
            "warp_registry_listen": ["eth0"],
            "warp_registry_history_hours": 0,
            "warp_registry_quota_bytes": 1048576,
            "warp_registry_ready_seconds": 0,
        },
        [
            "warp_registry_directory: expected a directory of the controller",
            "warp_registry_renew_before_days: expected 1 to 364, got 365",
            "warp_registry_port: expected a port from 1 to 65535 other than 2380, .* got 2380",
            r"warp_registry_listen: expected IPv4 and IPv6 addresses, got \['eth0'\]",
            "warp_registry_history_hours: expected 1 to 168, a week, got 0",
            "warp_registry_quota_bytes: expected 67108864 to 8589934592, .* got 1048576",
            "warp_registry_ready_seconds: expected 1 or more, got 0",
        ],
    ),
    ("warp_registry", {"warp_registry_command": ["/nonexistent"]}, ["warp_registry_command: expected a command that"]),
    (
        "warp_secondary",
        {
            "warp_secondary_key_name": "Not A Key",
            "warp_secondary_listen": ["192.0.2.1"],
            "warp_secondary_rate_limit": -1,
            "warp_secondary_timeout": 0,
        },
        [
            "warp_secondary_key_name: expected a name",
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
            "warp_agent_groups": ["Not A Group"],
            "warp_agent_admin_socket": "admin.sock",
            "warp_agent_start_seconds": 1,
            "warp_agent_instances": [_agent(name="../etc"), _agent(), _agent(ingress=[_LAST])],
        },
        [
            "warp_agent_share: expected lower case letters",
            "warp_agent_token_seconds: expected 60 or more",
            "warp_agent_groups: expected names of groups",
            "warp_agent_admin_socket: expected a socket",
            "warp_agent_start_seconds: expected 5 or more",
            "warp_agent_instances: expected names of lower case letters",
            "warp_agent_instances: expected names that differ",
            "warp_agent_instances: expected hostnames, or rules with a hostname, in each, got none in main",
        ],
    ),
    ("warp_agent", {"warp_agent_enroll_revoked": "perhaps"}, ["warp_agent_enroll_revoked.*convert to.* bool"]),
    (
        "warp_agent",
        {
            "warp_agent_instances": [
                _agent(name="open", ingress=[_HELLO]),
                _agent(name="none", tunnels=0),
                _agent(name="wide", spread=33),
                _agent(name="hasty", drain=0),
                _agent(name="labelled", labels={"Not A Label": "x"}),
            ]
        },
        [
            "warp_agent_instances, open: ingress",
            "warp_agent_instances, none: tunnels: expected a whole number from 1",
            "warp_agent_instances, wide: spread: expected a whole number from 1",
            "warp_agent_instances, hasty: drain: expected a number above 0",
            "warp_agent_instances, labelled: .*label",
        ],
    ),
    (
        "warp_canary",
        {
            "warp_canary_hostname": "App.warp.example",
            "warp_canary_hosts": ["edge1"],
            "warp_canary_selector": "release",
            "warp_canary_steps": [25, 10],
            "warp_canary_seconds": 0,
            "warp_canary_patience": -1,
            "warp_canary_admin_socket": "admin.sock",
        },
        [
            "warp_canary_hostname: expected a hostname such as app.warp.example, .* got App.warp.example",
            r"warp_canary_hosts: expected hosts of the group origins, got \['edge1'\]",
            "warp_canary_selector: expected one label such as release=canary, got release",
            r"warp_canary_steps: expected percentages from 1 to 100 that grow, .* got \[25, 10\]",
            "warp_canary_seconds: expected 10 or more, .* got 0",
            "warp_canary_patience: expected 0 or more, got -1",
            "warp_canary_admin_socket: expected a socket from the root of the edge on",
        ],
    ),
    ("warp_canary", {"warp_canary_steps": [0, 50]}, ["warp_canary_steps: expected percentages from 1 to 100"]),
    ("warp_canary", {"warp_canary_steps": [50, 101]}, ["warp_canary_steps: expected percentages from 1 to 100"]),
    ("warp_canary", {"warp_canary_steps": []}, ["warp_canary_steps: expected percentages from 1 to 100"]),
]
# Variables that the playbooks set, where somebody sets them by --extra-vars: what a run sets, and what is said.
FORCED: list[tuple[dict[str, Any], dict[str, list[str]]]] = [
    (
        {
            "warp_common_users": ["Not A User"],
            "warp_ca_edge": "root",
            "warp_ca_permit": ["warp.example."],
            "warp_registry_member": "ns1.example",
            "warp_registry_addresses": ["ns1"],
            "warp_registry_name": "two\nlines",
            "warp_edge_venv": "releases/1",
            "warp_edge_name": "edge1.example",
            "warp_edge_zone": "Warp.example",
            "warp_edge_addresses": ["edge1"],
            "warp_edge_registry": ["192.0.2.10:2379"],
            "warp_edge_nameservers": [{"name": "a.b", "addresses": ["c"]}],
            "warp_edge_secondaries": [{"name": "ns1", "addresses": ["ns1"]}],
            "warp_secondary_zone": "warp.example.",
            "warp_secondary_identity": 'a "name"',
            "warp_secondary_primaries": [{"name": "edge1", "addresses": ["edge1"]}],
            "warp_firewall_allow": [{"name": "x", "protocol": "tcp", "ports": [0]}],
            "warp_firewall_bans_ports": [22],
            "warp_agent_venv": "releases/1",
            "warp_agent_zone": "Warp.example",
            "warp_agent_roots": "none",
            "warp_agent_admin_host": "edge9",
            "warp_agent_probe_url": "edge1",
            "warp_agent_edges": ["192.0.2.1"],
            "warp_agent_labels": {"Not A Label": "x"},
        },
        {
            "warp_common": ["warp_common_users: expected names of users"],
            "warp_ca": [
                "warp_ca_edge: expected one DNS label other than root, got root",
                "warp_ca_permit: expected names such as warp.example",
            ],
            "warp_edge": [
                "warp_edge_venv: expected a release of the host",
                "warp_edge_name: expected one DNS label",
                "warp_edge_zone: expected a name such as warp.example",
                "warp_edge_addresses: expected at least one IPv4 or IPv6 address",
                "warp_edge_registry: expected URLs such as https://192.0.2.10:2379, got",
                r"warp_edge_nameservers: expected a label and IPv4 or IPv6 addresses for each, got \['a.b', 'c'\]",
                "warp_edge_secondaries: expected IPv4 or IPv6 addresses of each",
            ],
            "warp_registry": [
                "warp_registry_member: expected one DNS label, such as ns1, got ns1.example",
                "warp_registry_addresses: expected at least one IPv4 or IPv6 address",
                "warp_registry_name: expected at most 64 letters",
            ],
            "warp_secondary": [
                "warp_secondary_zone: expected a name such as warp.example",
                "warp_secondary_identity: expected letters",
                "warp_secondary_primaries: expected at least one, with addresses",
            ],
            "warp_firewall": [
                "warp_firewall_allow, .*expected ports",
                "warp_firewall_bans_ports: expected ports from 1 to 65535, and none of SSH",
            ],
            "warp_agent": [
                "warp_agent_venv: expected a release of the host",
                "warp_agent_zone: expected a name such as warp.example",
                "warp_agent_roots: expected certificates in PEM",
                "warp_agent_admin_host: expected a host of the inventory, got edge9",
                "warp_agent_probe_url: expected a URL",
                "warp_agent_edges: expected host:port of each edge",
                "warp_agent_labels: expected labels such as",
            ],
        },
    ),
    (
        {
            "warp_edge_policy": {"rules": [{"nme": "x"}]},
            "warp_edge_policy_file": {"rulez": []},
            "warp_edge_policy_files": [{"name": "a", "src": "a"}],
        },
        {"warp_edge": [r"^warp_policy: rules\[0\].nme: unknown key", "^warp_edge_policy_file: rulez: unknown key"]},
    ),
    ({"warp_edge_peer_addresses": ["edge2"]}, {"warp_edge": ["^warp_edge_peer_addresses.*edge2"]}),
    ({"warp_edge_placed": {"edge1": {"regoin": "x"}}}, {"warp_edge": ["^warp_edge_dns_server.places.edges.*regoin"]}),
    (
        {"warp_edge_firewall_bans": "perhaps"},
        {"warp_edge": ["warp_edge_firewall_bans.*convert to.* bool"]},
    ),
    (
        {f"{role}_checked": "perhaps" for role in CHECKED},
        {role: [f"{role}_checked.*convert to.* bool"] for role in CHECKED},
    ),
    (
        {"warp_edge_key_secret": "short", "warp_secondary_key_secret": "short"},
        {"warp_edge": ["no_log: true"], "warp_secondary": ["no_log: true"]},
    ),
]
_GROUPS = {"warp_registry": "registry", "warp_edge": "edges", "warp_secondary": "secondaries", "warp_agent": "origins"}


class RefusalTests(SynchronousTestCase):
    """One run for all: a host for mistakes that are seen together."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()

    def test_each_is_refused(self) -> None:
        """Each host stops at its own mistake, and the reasons name the variables."""
        groups: dict[str, dict[str, dict[str, Any]]] = {}
        for number, (role, variables, _) in enumerate(REFUSED):
            host = {"ansible_host": "192.0.2.1", "only": [role], **variables}
            groups.setdefault(_GROUPS.get(role, "others"), {})[f"host{number}"] = host
        found = render(self.directory, write_inventory(self.directory / "hosts.yml", groups))
        self.assertEqual(found.files, {})
        for number, (_, variables, said) in enumerate(REFUSED):
            for sentence in said:
                self.assertRegex(found.refusals[f"host{number}"], re.compile(sentence, re.MULTILINE), f"{variables}")

    def test_each_that_is_forced_is_refused(self) -> None:
        """What the playbooks set is looked at as well; of a secret nothing is shown."""
        groups = {
            _GROUPS.get(role, role): {role.replace("_", "-"): {"ansible_host": "192.0.2.1", "only": [role]}}
            for role in ROLES
        }
        inventory = write_inventory(self.directory / "hosts.yml", groups)
        for variables, said in FORCED:
            found = render(self.directory, inventory, variables)
            for role, sentences in said.items():
                for sentence in sentences:
                    self.assertRegex(found.refusals[role.replace("_", "-")], re.compile(sentence, re.MULTILINE), role)

    def test_each_variable_has_a_mistake(self) -> None:
        """Every variable of every role is refused here with one value at least: a new one needs its own."""
        tried = {name for _, variables, _ in REFUSED for name in variables}
        tried |= {name for variables, _ in FORCED for name in variables}
        self.assertEqual({name for role in ROLES for name in options(role)} - tried, set())
