"""Filters of the role warp_edge: parts of edge.yaml and dns.yaml that follow from its variables."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any


def warp_sockets(ports: Sequence[int], port: int) -> list[str]:
    """
    Return the endpoints of one port among those that systemd holds: each port for IPv4, then for IPv6.

    :param ports: all, in the order of the socket unit.
    """
    if port not in ports:
        return []
    first = ports.index(port) * 2
    return [f"systemd:domain=INET:index={first}", f"systemd:domain=INET6:index={first + 1}"]


def warp_notify(secondaries: Iterable[Mapping[str, Any]], key: str) -> list[dict[str, str]]:
    """Return whom to tell of each change, and with which key."""
    return [{"address": address, "key": key} for each in secondaries for address in each["addresses"]]


class FilterModule:
    """What Ansible asks for the filters."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {"warp_notify": warp_notify, "warp_sockets": warp_sockets}
