"""Filters of the role warp_firewall: addresses and networks, with nothing but the standard library."""

import ipaddress
from collections.abc import Callable, Iterable


def _network(given: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    text = str(given)  # a number would be taken for the address of that number
    if "%" in text:
        raise ValueError("a zone of an address may be any text")
    return ipaddress.ip_network(text, strict=False)


def warp_networks(texts: Iterable[str], version: int) -> list[str]:
    """Return the networks of one IP version, in normal form."""
    return [str(network) for network in map(_network, texts) if network.version == version]


def warp_not_networks(texts: Iterable[str]) -> list[str]:
    """Return what is neither an address nor a network."""
    wrong = []
    for text in texts:
        try:
            _network(text)
        except ValueError:
            wrong.append(text)
    return wrong


def warp_covers(texts: Iterable[str], address: str) -> bool:
    """Say whether an address is in one of these networks."""
    seeker = ipaddress.ip_address(address)
    if isinstance(seeker, ipaddress.IPv6Address) and seeker.ipv4_mapped:
        seeker = seeker.ipv4_mapped
    return any(seeker in network for network in map(_network, texts) if network.version == seeker.version)


class FilterModule:
    """What Ansible asks for the filters."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {
            "warp_covers": warp_covers,
            "warp_networks": warp_networks,
            "warp_not_networks": warp_not_networks,
        }
