"""
What a service says to systemd: how it is doing, and how severe each line of its log is.

The former are datagrams of `KEY=value` lines (sd_notify(3)); the latter stands in front of each line as `<3>`
(sd-daemon(3)), where standard output leads to the journal, which takes it away again. What is said, and when, is
decided by each service. The environment is read by the program that starts it.
"""

import os
import socket
from collections.abc import Mapping
from typing import TextIO

from twisted.logger import Logger

# Of syslog, by the names of Twisted's levels.
PRIORITIES: Mapping[str, bytes] = {
    "debug": b"<7>", "info": b"<6>", "warn": b"<4>", "error": b"<3>", "critical": b"<2>",
}  # fmt: skip


def leads_to_journal(stream: TextIO, directory: str = "/run/systemd/") -> bool:
    """
    Say whether a stream is a connection to the journal, as systemd makes it for standard output.

    `JOURNAL_STREAM` says the same, to those who may read the environment.

    :param directory: where the journal's socket is, in a directory of its own for each namespace.
    """
    try:
        with socket.socket(fileno=os.dup(stream.fileno())) as connection:
            name = connection.getpeername()
    except (OSError, ValueError):
        return False
    return isinstance(name, str) and name.startswith(f"{directory}journal") and name.endswith("/stdout")


def with_priority(lines: bytes, level: str) -> bytes:
    """
    Put the priority in front of each line of a record.

    :param lines: with its line breaks.
    :param level: the name of a level of Twisted's.
    """
    priority = PRIORITIES[level]
    return b"".join([priority + line for line in lines.splitlines(keepends=True)])


class SystemdSocket:
    """
    The service's line to systemd; without an address nothing is sent.

    :param address: the value of `NOTIFY_SOCKET`.
    """

    _log = Logger()

    def __init__(self, address: str | None) -> None:
        # A leading @ is systemd's way to write an address in the abstract namespace (unix(7)).
        self._address = "\0" + address[1:] if address and address.startswith("@") else address or ""

    @property
    def is_there(self) -> bool:
        """Whether systemd named a socket."""
        return bool(self._address)

    def send(self, *lines: str) -> None:
        """Send one message; that systemd cannot be told is logged, and nothing to fail for."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as line:
                line.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            self._log.warn("systemd was not told {state}: {error}", state=lines[0], error=error)


def watchdog_seconds(usec: str | None) -> float:
    """Return the watchdog's interval, from the value of `WATCHDOG_USEC`; 0: there is none."""
    return int(usec) / 1e6 if usec and usec.isdigit() else 0.0
