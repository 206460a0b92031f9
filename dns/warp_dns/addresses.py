"""Addresses as an operator writes them: an IP address and a port."""

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
            raise InvalidSettings(f"{text!r}: [IPv6 address]:port is expected")
        port = rest[1:] if rest else port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidSettings(f"{text!r}: {port!r} is not a port")
    try:
        return str(ip_address(host)), int(port)
    except ValueError as error:
        raise InvalidSettings(f"{text!r}: {host!r} is not an IP address") from error


def show_address(host: str, port: int) -> str:
    """Return an address as `parse_address` reads it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
