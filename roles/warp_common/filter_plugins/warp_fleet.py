"""Filters of the playbooks: what one host's roles must know of the others, from the inventory."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Addresses = Mapping[str, Sequence[str]]


def _label(host: str) -> str:
    return host.split(".")[0]


def warp_addresses(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the public addresses of each host: what it says itself, or else where Ansible finds it."""
    return {
        host: list(hostvars[host].get("warp_addresses") or [hostvars[host].get("ansible_host") or host])
        for host in hosts
    }


def warp_peers(hosts: Iterable[str], addresses: Addresses) -> list[dict[str, Any]]:
    """Return name and addresses of each host."""
    return [{"name": _label(host), "addresses": addresses[host]} for host in hosts]


def warp_nameservers(edges: Iterable[str], secondaries: Iterable[str], addresses: Addresses) -> list[dict[str, Any]]:
    """Return the zone's name servers. An edge has a second name for that; its own comes and goes with it."""
    own = [{"name": f"ns-{_label(host)}", "addresses": addresses[host]} for host in edges]
    return own + warp_peers(secondaries, addresses)


def warp_tunnel_ports(
    edges: Iterable[str], addresses: Addresses, hostvars: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return `host:port` for agents, one of each edge: two would pass for two edges."""
    found = []
    for edge in edges:
        address = addresses[edge][0]
        port = hostvars[edge].get("warp_edge_tunnel_port", 7844)
        found.append(f"[{address}]:{port}" if ":" in address else f"{address}:{port}")
    return found


class FilterModule:
    """What Ansible asks for the filters."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {
            "warp_addresses": warp_addresses,
            "warp_nameservers": warp_nameservers,
            "warp_peers": warp_peers,
            "warp_tunnel_ports": warp_tunnel_ports,
        }
