"""Filters of the role warp_edge: parts of edge.yaml and dns.yaml that follow from its variables."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def warp_notify(secondaries: Iterable[Mapping[str, Any]], key: str) -> list[dict[str, str]]:
    """Return whom to tell of each change, and with which key."""
    return [{"address": address, "key": key} for each in secondaries for address in each["addresses"]]


class FilterModule:
    """What Ansible asks for the filters."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {"warp_notify": warp_notify}
