"""Addresses as an operator writes them: an IP address and a port."""

from collections.abc import Sequence
from ipaddress import ip_address

from warp_base.host_port import join_host_port, split_host_port
from warp_dns.errors import InvalidSettings

DNS_PORT = 53


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
    :raises InvalidSettings: naming the first that is none, or is there twice.
    """
    seen: dict[tuple[str, int], str] = {}
    for index, text in enumerate(texts):
        place = f"{key}[{index}]"
        try:
            address = parse_address(text)
        except InvalidSettings as error:
            raise InvalidSettings(f"{place}: {error}") from error
        if address in seen and address[1]:
            raise InvalidSettings(f"{place}: {text} is {seen[address]} already")
        seen[address] = place


def show_address(host: str, port: int) -> str:
    """Return an address as `parse_address` reads it."""
    return join_host_port(host, port)
