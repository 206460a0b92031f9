"""Addresses and networks as an operator writes them."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from warp_base.host_port import join_host_port, split_host_port
from warp_dns.errors import InvalidSettings

DNS_PORT = 53

Network = IPv4Network | IPv6Network


def parse_address(text: str) -> tuple[str, int]:
    """
    Read `192.0.2.1`, `192.0.2.1:53`, `2001:db8::1` or `[2001:db8::1]:53`.

    :raises InvalidSettings: if it is not an IP address with an optional port.
    """
    try:
        host, port = split_host_port(text)
    except ValueError as error:
        raise InvalidSettings(str(error)) from error
    try:
        return str(ip_address(host)), DNS_PORT if port is None else port
    except ValueError as error:
        raise InvalidSettings(
            f"expected an IP address with or without a port, got {text!r}; names are not looked up"
        ) from error


def check_addresses(texts: Sequence[str], key: str) -> None:
    """
    Look at addresses to listen on, as `parse_address` reads them.

    :param key: the path of the list, such as `listen`.
    :raises InvalidSettings: naming the first that is invalid, or is given twice.
    """
    seen: dict[tuple[str, int], str] = {}
    for index, text in enumerate(texts):
        path = f"{key}[{index}]"
        try:
            address = parse_address(text)
        except InvalidSettings as error:
            raise InvalidSettings(f"{path}: {error}") from error
        if address in seen and address[1]:
            raise InvalidSettings(f"{path}: {text} is {seen[address]} already")
        seen[address] = path


def show_address(host: str, port: int) -> str:
    """Return an address as `parse_address` reads it."""
    return join_host_port(host, port)


def parse_networks(texts: Iterable[str], key: str) -> list[Network]:
    """
    Read networks such as `192.0.2.0/24`.

    :param key: the path of the list, such as `transfer.networks`.
    :raises InvalidSettings: naming the first that is invalid.
    """
    found: list[Network] = []
    for index, text in enumerate(texts):
        try:
            found.append(ip_network(text))
        except ValueError as error:
            raise InvalidSettings(
                f"{key}[{index}]: expected a network such as 192.0.2.0/24, got {text!r} ({error})"
            ) from error
    return found


def is_within(host: str, networks: Iterable[Network]) -> bool:
    """
    Whether an address is in one of the networks.

    :param host: as a socket tells it: IPv6 may have a zone index.
    """
    address = ip_address(host.partition("%")[0])
    return any(address in network for network in networks)
