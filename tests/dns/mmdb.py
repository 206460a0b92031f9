"""A small writer of MaxMind-format databases (format 2.0), for tests of the reader's use."""

import struct
from collections.abc import Mapping
from ipaddress import ip_network

METADATA_MARK = b"\xab\xcd\xefMaxMind.com"
_SEPARATOR = bytes(16)

Value = str | float | bytes | Mapping[str, "Value"]  # bytes are as they stand in the file


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


def database(networks: Mapping[str, Value], ip_version: int = 4) -> bytes:
    """
    Return a database of networks that do not overlap.

    :param ip_version: of 4 it knows IPv4 only; of 6 it knows both, IPv4 as ::/96.
    """
    length = 32 if ip_version == 4 else 128
    nodes: list[list[int | None]] = [[None, None]]
    data = b""
    leaves: dict[tuple[int, int], int] = {}
    for text, value in networks.items():
        network = ip_network(text)
        bits = int(network.network_address)
        prefix = length - network.max_prefixlen + network.prefixlen
        at = 0
        for depth in range(prefix):
            side = bits >> length - 1 - depth & 1
            if depth == prefix - 1:
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
        "ip_version": number(ip_version, 2),
        "database_type": "Test",
        "languages": bytes([0, 11 - 7]),
        "binary_format_major_version": number(2, 2),
        "binary_format_minor_version": number(0, 2),
        "build_epoch": number(1, 8),
        "description": {"en": "test"},
    }
    return tree + _SEPARATOR + data + METADATA_MARK + encode(metadata)
