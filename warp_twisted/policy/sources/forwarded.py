"""
X-Forwarded-For from a trusted proxy: who the visitor is.

The last address of the field was written by the proxy that speaks to us. Reading goes from the end towards the front
for as long as the addresses are trusted proxies themselves; the first one that is not is the visitor. What stands
before it was said by that visitor and proves nothing.

Pure.
"""

from ipaddress import IPv6Address, ip_address

from warp_twisted.policy.sources.prefixes import Addresses

MAX_PROXIES = 16  # addresses read; a longer chain is none that anybody runs


def visitor_of(fields: list[bytes], peer: str, trusted: Addresses) -> str | None:
    """
    Return the address of the visitor that a trusted proxy speaks for.

    :param fields: the values of all X-Forwarded-For fields of a request, in their order.
    :param peer: address of the proxy.
    :param trusted: the addresses of trusted proxies.
    :returns: canonical text; `peer` if there is no field; None if what the trusted ones wrote is no address: refuse the
        request then, as nobody knows who asks.
    """
    visitor = peer
    words = b",".join(fields).rsplit(b",", MAX_PROXIES)[-MAX_PROXIES:] if fields else []
    for word in reversed(words):
        address = _address(word)
        if address is None:
            return None
        visitor = address
        if address not in trusted:
            return visitor
    return visitor


def _address(word: bytes) -> str | None:
    """Read an address, with or without a port: proxies of some makers add it."""
    try:
        text = word.strip(b" \t").decode("ascii")
    except UnicodeDecodeError:
        return None
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or (port and not _is_port(port)):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(":" + port):
            return None
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address):
        if parsed.scope_id is not None:
            return None
        return str(parsed.ipv4_mapped or parsed)
    return text


def _is_port(text: str) -> bool:
    return text[:1] == ":" and text[1:].isascii() and text[1:].isdigit() and len(text) <= 6
