"""A small writer of MaxMind-format databases (format 2.0), for tests of the reader's use."""

import struct
from ipaddress import IPv4Network, ip_network

METADATA_MARK = b"\xab\xcd\xefMaxMind.com"
_SEPARATOR = bytes(16)

Value = str | float | bytes | dict[str, "Value"]


def encode(value: Value) -> bytes:
    """Return a value in the format's data section."""
    if isinstance(value, str):
        content = value.encode()
        return bytes([2 << 5 | len(content)]) + content
    if isinstance(value, float):
        return bytes([3 << 5 | 8]) + struct.pack(">d", value)
    if isinstance(value, bytes):
        return value
    pairs = b"".join(encode(key) + encode(item) for key, item in value.items())
    return bytes([7 << 5 | len(value)]) + pairs


def number(value: int, size: int) -> bytes:
    """Return an unsigned integer of 2, 4 or 8 octets."""
    kind = {2: bytes([5 << 5 | 2]), 4: bytes([6 << 5 | 4]), 8: bytes([8, 9 - 7])}[size]
    return kind + value.to_bytes(size, "big")


def database(networks: dict[str, Value]) -> bytes:
    """Return a database of IPv4 networks that do not overlap."""
    nodes: list[list[int | None]] = [[None, None]]
    data = b""
    leaves: dict[tuple[int, int], int] = {}
    for text, value in networks.items():
        network = ip_network(text)
        assert isinstance(network, IPv4Network)
        bits = int(network.network_address)
        at = 0
        for depth in range(network.prefixlen):
            side = bits >> 31 - depth & 1
            if depth == network.prefixlen - 1:
                leaves[at, side] = len(data)
                break
            following = nodes[at][side]
            if following is None:
                nodes.append([None, None])
                following = nodes[at][side] = len(nodes) - 1
            at = following
        data += encode(value)
    count = len(nodes)
    tree = b""
    for index, node in enumerate(nodes):
        for side in (0, 1):
            child = node[side]
            offset = leaves.get((index, side))
            record = child if child is not None else count if offset is None else count + 16 + offset
            tree += record.to_bytes(3, "big")
    metadata: dict[str, Value] = {
        "node_count": number(count, 4),
        "record_size": number(24, 2),
        "ip_version": number(4, 2),
        "database_type": "Test",
        "languages": bytes([0, 11 - 7]),
        "binary_format_major_version": number(2, 2),
        "binary_format_minor_version": number(0, 2),
        "build_epoch": number(1, 8),
        "description": {"en": "test"},
    }
    return tree + _SEPARATOR + data + METADATA_MARK + encode(metadata)
