"""Filters of the playbooks: what one host's roles must know of the others, from the inventory."""

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

TUNNEL_PORT = 7844
REGISTRY_PORT = 2379
OK = 200
NAMESERVERS = 13  # of a zone, as many as an answer of 512 bytes holds
Addresses = Mapping[str, Sequence[str]]


def _label(host: str) -> str:
    return host.split(".")[0]


def warp_addresses(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the public addresses of each host: what it says itself, or else where Ansible finds it."""
    found = {}
    for host in hosts:
        own = hostvars[host].get("warp_addresses") or hostvars[host].get("ansible_host") or host
        found[host] = [own] if isinstance(own, str) else list(own)
    return found


def warp_private_addresses(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the addresses at which machines of the fleet find each host: those it says, or else the public ones."""
    found = warp_addresses(hosts, hostvars)
    for host in found:
        if own := hostvars[host].get("warp_private_addresses"):
            found[host] = [own] if isinstance(own, str) else list(own)
    return found


def warp_not_addresses(texts: Iterable[object]) -> list[object]:
    """Return what is no IP address, or one that means something on one link only (`fe80::1%eth0`)."""
    return [text for text in texts if not _is_address(str(text))]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def warp_peers(hosts: Iterable[str], addresses: Addresses) -> list[dict[str, Any]]:
    """Return name and addresses of each host."""
    return [{"name": _label(host), "addresses": addresses[host]} for host in hosts]


def warp_nameservers(edges: Iterable[str], secondaries: Iterable[str], addresses: Addresses) -> list[dict[str, Any]]:
    """
    Return the zone's name servers, as many as fit into an answer; edges beyond those answer, and are not named.

    An edge has a second name for that; its own comes and goes with it.
    """
    others = warp_peers(secondaries, addresses)
    own = [{"name": f"ns-{_label(host)}", "addresses": addresses[host]} for host in edges]
    return own[: max(1, NAMESERVERS - len(others))] + others


def warp_tunnel_ports(
    edges: Iterable[str], addresses: Addresses, hostvars: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return `host:port` for agents, one of each edge: two would pass for two edges."""
    return [_endpoint(addresses[edge][0], hostvars[edge].get("warp_edge_tunnel_port", TUNNEL_PORT)) for edge in edges]


def warp_peer_addresses(host: str, hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return `host:port` at which other edges find one that has private addresses; nothing if it has none."""
    own = hostvars[host]
    if not own.get("warp_private_addresses"):
        return []
    port = own.get("warp_edge_tunnel_port", TUNNEL_PORT)
    return [_endpoint(address, port) for address in warp_private_addresses([host], hostvars)[host]]


def warp_placed(edges: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return where each edge is that says so, by its name; what one says wrongly is its own mistake, and no other's."""
    found: dict[str, dict[str, Any]] = {}
    for edge in edges:
        own = hostvars[edge]
        region, coordinates = own.get("warp_edge_region"), own.get("warp_edge_coordinates")
        if region in (own.get("warp_edge_places") or {}).get("regions", {}):
            found[_label(edge)] = {"region": region}
        elif coordinates and len(coordinates) == 2 and abs(coordinates[0]) <= 90 and abs(coordinates[1]) <= 180:
            found[_label(edge)] = {"coordinates": coordinates}
    return found


def warp_registry_urls(
    hosts: Iterable[str], addresses: Addresses, hostvars: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return URLs of the registry, one of each member."""
    ports = {host: hostvars[host].get("warp_registry_port", REGISTRY_PORT) for host in hosts}
    return [f"https://{_endpoint(addresses[host][0], port)}" for host, port in ports.items()]


def _endpoint(address: str, port: object) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def warp_answering(edges: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the edges that answered; each has said so in `warp_revoke_live`."""
    return [each["inventory_hostname"] for each in edges if each.get("warp_revoke_live", {}).get("status") == OK]


def warp_file(path: str) -> str:
    """Return the text of a file on the controller."""
    return Path(path).read_text()


def warp_roots(directory: str) -> str:
    """
    Return the roots that are trusted, as PEM; nothing if there is none yet.

    While the root is changed there are two: the next one at first, later the previous one.

    :param directory: of the root, on the controller.
    """
    found = (Path(directory, place, "root.pem") for place in ("", "next", "previous"))
    return "".join(path.read_text() for path in found if path.is_file())


def _units(shown: str) -> Iterator[dict[str, str]]:
    """Yield what `systemctl show` said of each unit that is there."""
    for block in shown.split("\n\n"):
        unit = dict(line.partition("=")[::2] for line in block.splitlines())
        if unit.get("LoadState") == "loaded":
            yield unit


def warp_status_table(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> str:
    """
    Return a table of what runs where.

    :param hosts: those that were asked; each has the answers in `warp_status_units` and `warp_status_edge`.
    """
    rows = [("HOST", "UNIT", "STATE", "SINCE", "MEMORY", "RELEASE")]
    edges = []
    for host in hosts:
        answers = hostvars[host]
        shown = answers.get("warp_status_units", {}).get("stdout")
        if shown is None:
            rows.append((host, "-", "not reachable", "", "", ""))
            continue
        units = list(_units(shown))
        if not units:
            rows.append((host, "-", "has nothing of Warp", "", "", ""))
        for unit in units:
            memory = unit.get("MemoryCurrent", "")
            release = re.search(r"/releases/([^/]+)/", unit.get("ExecStart", ""))
            rows.append(
                (
                    host,
                    unit["Id"].removesuffix(".service"),
                    f"{unit['ActiveState']} ({unit['SubState']})",
                    unit.get("ActiveEnterTimestamp", ""),
                    f"{int(memory) >> 20} MiB" if memory.isdigit() else "-",
                    release[1] if release else "-",
                )
            )
        if status := answers.get("warp_status_edge", {}).get("status"):
            edges.append(_edge(status))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, "", *edges])


def _edge(status: Mapping[str, Any]) -> str:
    edge = status["edge"]
    lines = [f"{edge['name']}: {'ready' if edge['ready'] else 'not ready'}, {edge['tunnels']} tunnels"]
    lines += [f"  {route['url']}{route['path']} on {route['tunnels']} tunnels" for route in status["routes"]]
    return "\n".join(lines)


class FilterModule:
    """What Ansible asks for the filters."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {
            "warp_addresses": warp_addresses,
            "warp_answering": warp_answering,
            "warp_file": warp_file,
            "warp_nameservers": warp_nameservers,
            "warp_peer_addresses": warp_peer_addresses,
            "warp_not_addresses": warp_not_addresses,
            "warp_peers": warp_peers,
            "warp_placed": warp_placed,
            "warp_private_addresses": warp_private_addresses,
            "warp_registry_urls": warp_registry_urls,
            "warp_roots": warp_roots,
            "warp_status_table": warp_status_table,
            "warp_tunnel_ports": warp_tunnel_ports,
        }
