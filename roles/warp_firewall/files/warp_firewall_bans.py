#!/usr/bin/python3 -I
"""
Puts the addresses that an edge has banned into sets of nftables, takes them out again, and can do nothing else.

The edge connects to a unix socket that systemd made and sends records of 24 octets, big endian; nothing is answered:

    operation (1)  1: begin anew, with nothing banned; 2: ban; 3: let in
    family (1)     4 or 6; 0 where the operation is 1
    reserved (2)   0
    seconds (4)    for how long, of operation 2; else 0
    network (16)   an IPv4 address and 12 octets of 0, or an IPv6 /64; 0 where the operation is 1

The first record says to begin anew. Whatever else comes ends the connection, and whatever ends the connection takes all
bans out: they are the edge's, which sends all of them when it connects. One edge is heard at a time. All of it is one
table of its own, in which new connections to some TCP ports are dropped if their source is banned.
"""

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address

RECORD = struct.Struct("!BBHI16s")
BEGIN, BAN, LET_IN = 1, 2, 3
MOST = 65_536  # networks of a family; the edge itself turns away who finds no room here
PIECE = 1_024  # records in one run of nft, 10 ms
NFT_SECONDS = 30.0
LISTENING = 3  # systemd's first descriptor
TABLE = "inet warp-bans"

Nft = Callable[[str], None]


class BadRecord(Exception):
    """The edge sent something else than a record."""


class NftError(Exception):
    """The rules could not be changed."""


def read_record(record: bytes) -> tuple[int, str, int]:
    """
    Read one record.

    :returns: operation, network ("" of the first operation), seconds.
    :raises BadRecord: for everything that is not exactly as described.
    """
    operation, family, reserved, seconds, octets = RECORD.unpack(record)
    network = ""
    if family == 4 and not any(octets[4:]):
        network = str(IPv4Address(octets[:4]))
    elif family == 6 and not any(octets[8:]):
        network = str(IPv6Address(octets))
    elif family or any(octets):
        raise BadRecord("a network of no family")
    wanted = {BEGIN: (False, False), BAN: (True, True), LET_IN: (True, False)}.get(operation)
    if reserved or wanted != (bool(family), bool(seconds)):
        raise BadRecord("an operation that there is not")
    return operation, network, seconds


def table(ports: Sequence[int]) -> str:
    """Return the commands that make the table, without bans, whatever was there before."""
    sets = "".join(
        f"set banned{family} {{ type {kind}; size {2 * MOST}; flags timeout; }}\n"
        for family, kind in ((4, "ipv4_addr"), (6, "ipv6_addr"))
    )
    new = f"tcp dport {{ {', '.join(map(str, ports))} }} tcp flags & (fin | syn | rst | ack) == syn"
    return (
        f"table {TABLE}\ndelete table {TABLE}\ntable {TABLE} {{\n{sets}"
        "chain input {\ntype filter hook input priority filter - 10; policy accept;\n"
        f"{new} ip saddr @banned4 counter drop\n"
        f"{new} ip6 saddr & ffff:ffff:ffff:ffff:: @banned6 counter drop\n}}\n}}\n"
    )


class Bans:
    """
    What the sets hold, and the commands that change them.

    :param ports: on which the banned are not heard.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._has_begun = False
        self._until: dict[int, dict[str, float]] = {4: {}, 6: {}}

    def commands(self, records: Iterable[bytes], now: float) -> str:
        """
        Take records and return what nft is to do, in one transaction.

        :param now: of a clock that only goes forward.
        :raises BadRecord: if one is none, or comes before the first operation.
        """
        begins = False
        changes: dict[int, dict[str, int]] = {4: {}, 6: {}}
        for record in records:
            operation, network, seconds = read_record(record)
            if operation == BEGIN:
                begins = self._has_begun = True
                self._until, changes = {4: {}, 6: {}}, {4: {}, 6: {}}
            elif not self._has_begun:
                raise BadRecord("a ban before the beginning")
            else:
                changes[6 if ":" in network else 4][network] = seconds
        found = [table(self._ports)] if begins else []
        for family, of_family in changes.items():
            found += self._change(f"{TABLE} banned{family}", self._until[family], of_family, now)
        return "".join(found)

    def _change(self, name: str, held: dict[str, float], changes: dict[str, int], now: float) -> Iterator[str]:
        if len(held) + len(changes) > MOST:
            for network in [network for network, until in held.items() if until <= now]:
                del held[network]
        touched, timed = [], []
        for network, seconds in changes.items():
            was_held = held.pop(network, None) is not None
            if was_held:
                touched.append(network)
            if seconds and len(held) < MOST:
                held[network] = now + seconds
                timed.append(f"{network} timeout {seconds}s")
        if touched:  # one that is there would keep its time-out, and one that is not there any more cannot be deleted
            yield from (f"{verb} element {name} {{ {', '.join(touched)} }}\n" for verb in ("add", "delete"))
        if timed:
            yield f"add element {name} {{ {', '.join(timed)} }}\n"


def run_nft(commands: str) -> None:
    """
    Have nft do something, all of it or nothing.

    :raises NftError: with what it said.
    """
    try:
        done = subprocess.run(
            ["/usr/sbin/nft", "-f", "-"], input=commands, capture_output=True, text=True, timeout=NFT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NftError(str(error)) from error
    if done.returncode:
        raise NftError(done.stderr[:500])


def follow(connection: socket.socket, ports: Sequence[int], nft: Nft) -> None:
    """
    Do what one edge says, until it hangs up.

    :raises BadRecord: if it says something else.
    :raises NftError: if it cannot be done.
    """
    bans = Bans(ports)
    waiting = b""
    while received := connection.recv(RECORD.size * PIECE):
        waiting += received
        whole = len(waiting) // RECORD.size * RECORD.size
        records = [waiting[at : at + RECORD.size] for at in range(0, whole, RECORD.size)]
        commands = bans.commands(records, time.monotonic())
        waiting = waiting[whole:]
        if commands:
            nft(commands)


def serve(listening: socket.socket, ports: Sequence[int], nft: Nft) -> None:
    """Follow one edge after the other."""
    connection, _ = listening.accept()
    with connection:
        try:
            follow(connection, ports, nft)
            print("the edge hung up; nothing is banned here any more", file=sys.stderr)
        except (BadRecord, NftError, OSError) as error:
            print(f"nothing is banned here until the edge connects again: {error}", file=sys.stderr)
        finally:
            nft(f"table {TABLE}\ndelete table {TABLE}\n")


def main(arguments: Sequence[str]) -> None:
    """Serve for ever; each argument is a port."""
    ports = [int(argument) for argument in arguments]
    if not ports or not all(0 < port < 65_536 for port in ports):
        raise SystemExit("usage: warp_firewall_bans.py PORT...")
    with socket.socket(fileno=LISTENING) as listening:
        while True:
            serve(listening, ports, run_nft)


if __name__ == "__main__":
    main(sys.argv[1:])
