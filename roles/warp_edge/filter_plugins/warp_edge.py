"""Filters of the role warp_edge: parts of edge.yaml and dns.yaml that follow from its variables."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any


def warp_notify(secondaries: Iterable[Mapping[str, Any]], key: str) -> list[dict[str, str]]:
    """Return whom to tell of each change, and with which key."""
    return [{"address": address, "key": key} for each in secondaries for address in each["addresses"]]


def warp_edge_listeners(sockets: Iterable[Mapping[str, Any]], dns: Iterable[str]) -> list[dict[str, Any]]:
    """
    Return what the edge and its DNS listen on, as `warp_host_check` takes it.

    :param sockets: those that systemd holds, each with name and port. A port may go from one of them to another.
    :param dns: addresses of the DNS server.
    """
    names = ("warp-edge.service", *(f"warp-edge-{name}.socket" for name in ("http", "https", "tunnel")))
    found = [
        {
            "variable": f"warp_edge_{each['name']}_port",
            "protocols": ["tcp"],
            "listen": [f"0.0.0.0:{each['port']}", f"[::]:{each['port']}"],
            "units": list(names),
        }
        for each in sockets
    ]
    own = {"variable": "warp_edge_dns_listen", "protocols": ["tcp", "udp"], "units": ["warp-dns.service"]}
    return [*found, {**own, "listen": list(dns)}]


def warp_directories(names: Iterable[str]) -> list[str]:
    """Return the directories in which files lie, each after the one that it is in."""
    found = {str(parent) for name in names for parent in PurePosixPath(name).parents} - {"."}
    return sorted(found)


class FilterModule:
    """What Ansible asks for the filters."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {
            "warp_directories": warp_directories,
            "warp_edge_listeners": warp_edge_listeners,
            "warp_notify": warp_notify,
        }
