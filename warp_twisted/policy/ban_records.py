"""
What an edge tells the firewall's helper of its bans: records of 24 octets.

Big endian: operation (1: begin anew with nothing banned, 2: ban, 3: let in), family (4 or 6), 2 octets of 0, seconds
(4 octets), network (16 octets: an IPv4 address and zeros, or an IPv6 /64). Pure.
"""

import struct
from ipaddress import ip_address
from math import ceil

RECORD = struct.Struct("!BBHI16s")
BEGIN, BAN, LET_IN = 1, 2, 3
MAX_SECONDS = 366 * 86400  # of nftables it is much more
BEGINNING = RECORD.pack(BEGIN, 0, 0, 0, bytes(16))


def ban_record(network: str, seconds: float) -> bytes:
    """
    Return the record of a ban.

    :param network: as `bans` names them: an IPv4 address, or an IPv6 /64 without its length.
    :param seconds: more than 0; a part of one counts as one.
    """
    return _record(BAN, network, min(MAX_SECONDS, ceil(seconds)))


def let_in_record(network: str) -> bytes:
    """Return the record that ends a ban; it may never have begun."""
    return _record(LET_IN, network, 0)


def _record(operation: int, network: str, seconds: int) -> bytes:
    address = ip_address(network)
    return RECORD.pack(operation, address.version, 0, seconds, address.packed.ljust(16, b"\0"))
