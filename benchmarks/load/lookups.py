"""
Asking the edge's DNS for many names, with just enough of RFC 1035 to see whether each one has an address.

Own bytes instead of a resolver, because the question of 1,500 names must take milliseconds, not seconds; and over TCP,
because so many UDP queries at once would meet the limit on replies to one network.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence
from typing import BinaryIO

from benchmarks.errors import ProgramFailed

_HEADER = struct.Struct(">HHHHHH")
_TYPE_A_CLASS_IN = struct.pack(">HH", 1, 1)
_LENGTH = struct.Struct(">H")
_BATCH = 50


def question(number: int, name: str) -> bytes:
    """Write a query for a name's IPv4 address (RFC 1035 §4.1); `number` comes back as the id."""
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    return _HEADER.pack(number, 0, 1, 0, 0, 0) + labels + b"\0" + _TYPE_A_CLASS_IN


def answered(message: bytes) -> int | None:
    """Return the id of a response that has no error and holds an answer; None for any other message."""
    if len(message) < _HEADER.size:
        return None
    number, flags, _, answers, _, _ = _HEADER.unpack_from(message)
    is_response, code = flags >> 15, flags & 15
    return number if is_response and not code and answers else None


def wait_until_answered(port: int, names: Sequence[str], timeout: float) -> float:
    """
    Ask for all names, and again for those that have no address yet, until each has one.

    :param names: at most 65,536, without the trailing dot.
    :returns: when the last one was answered, on time.monotonic's clock.
    :raises ProgramFailed: if some have none in time.
    """
    deadline = time.monotonic() + timeout
    missing = dict(enumerate(names))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection,
        connection.makefile("rb") as file,
    ):
        while missing:
            if time.monotonic() > deadline:
                raise ProgramFailed(f"{len(missing)} of {len(names)} names have no address, as {missing.popitem()[1]}")
            numbers = list(missing)
            for at in range(0, len(numbers), _BATCH):
                batch = numbers[at : at + _BATCH]
                connection.sendall(b"".join(_framed(question(number, missing[number])) for number in batch))
                for _ in batch:
                    number_answered = answered(_read_framed(file))
                    if number_answered is not None:
                        missing.pop(number_answered, None)
    return time.monotonic()


def _framed(message: bytes) -> bytes:
    return _LENGTH.pack(len(message)) + message


def _read_framed(file: BinaryIO) -> bytes:
    size = file.read(_LENGTH.size)
    if len(size) < _LENGTH.size:
        raise ProgramFailed("the edge closed the DNS connection")
    return file.read(*_LENGTH.unpack(size))
