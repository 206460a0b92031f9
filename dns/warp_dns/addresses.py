"""Addresses as an operator writes them: an IP address and a port."""

from collections.abc import Sequence
from ipaddress import ip_address

from warp_dns.errors import InvalidSettings

DNS_PORT = 53


def parse_address(text: str) -> tuple[str, int]:
    """
    Read `192.0.2.1`, `192.0.2.1:53`, `2001:db8::1` or `[2001:db8::1]:53`.

    :raises InvalidSettings: if it is not an IP address with an optional port.
    """
    host, port = text, str(DNS_PORT)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise InvalidSettings(f"expected [IPv6 address]:port, got {text!r}")
        port = rest[1:] if rest else port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidSettings(f"expected a port from 0 to 65535, got {port!r} in {text!r}")
    try:
        return str(ip_address(host)), int(port)
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
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
