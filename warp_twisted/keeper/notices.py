"""
What serving processes tell systemd (sd_notify(3)) passes the keeper, which is the one that systemd listens to.

Each datagram carries the number of the process that sent it, from the kernel, so nobody else can speak for a child.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

MAX_DATAGRAM = 4096
MAX_STATUS = 200
NOTICES_AT_ONCE = 64  # then whatever else is to be done has its turn
MODE = 0o600
_CREDENTIALS = struct.Struct("3i")  # struct ucred: process, user, group
# What systemd may hear of the process that serves; all else, such as MAINPID=, is between keeper and systemd.
RELAYED = ("READY", "RELOADING", "MONOTONIC_USEC", "EXTEND_TIMEOUT_USEC")


class Notices:
    """
    The socket that children take for systemd's.

    :param descriptor: one that an earlier keeper of this process had; None: a new one.
    :param path: where a new one is, for the keeper's own user alone: in the abstract namespace, anybody on the machine
        could fill its queue, so that no sign of life of a child came through. Empty: there all the same.
    """

    def __init__(self, descriptor: int | None = None, path: str = "") -> None:
        if descriptor is None:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            if path:
                Path(path).unlink(missing_ok=True)  # of a keeper that was killed
                self.socket.bind(path)
                Path(path).chmod(MODE)
            else:
                self.socket.bind("")  # the kernel chooses a name (unix(7), autobind)
        else:
            self.socket = socket.socket(fileno=descriptor)
        self.socket.setblocking(False)

    @property
    def address(self) -> str:
        """What `NOTIFY_SOCKET` says."""
        name: str | bytes = self.socket.getsockname()
        return name if isinstance(name, str) else f"@{name[1:].decode('ascii')}"

    def heard(self) -> Iterator[tuple[int, Mapping[str, str]]]:
        """Yield process and fields of each notice since, of so many at once; the socket stays readable for the rest."""
        for _ in range(NOTICES_AT_ONCE):
            try:
                content, control, _, _ = self.socket.recvmsg(MAX_DATAGRAM, socket.CMSG_SPACE(_CREDENTIALS.size))
            except OSError:
                return
            for level, kind, data in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    yield _CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0], read_notice(content)


def read_notice(content: bytes) -> dict[str, str]:
    """Return the fields of one datagram; lines that are none are left out."""
    lines = content.decode("utf-8", "replace").split("\n")
    return {name: value for name, equals, value in (line.partition("=") for line in lines) if equals}


class Systemd:
    """
    The keeper's own line to systemd; nothing is sent without an address.

    :param address: the value of `NOTIFY_SOCKET`.
    """

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def send(self, **fields: str) -> None:
        """Send one notice; systemd that does not read, or is not there, holds up nobody."""
        if not self._address:
            return
        if "STATUS" in fields:
            fields["STATUS"] = " ".join(fields["STATUS"].split())[:MAX_STATUS]
        with contextlib.suppress(OSError):
            self._socket.sendto("\n".join(f"{name}={value}" for name, value in fields.items()).encode(), self._address)


def watchdog_usec(environment: Mapping[str, str]) -> int:
    """Return the interval at which systemd wants to hear from this process; 0: never."""
    value = environment.get("WATCHDOG_USEC", "")
    is_ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(value) if value.isdigit() and is_ours else 0


def what_is_left(status: str) -> str:
    """Return what an old process says that it finishes; what it said as it served is not true any more."""
    return status if status.startswith("finishes ") else "finishes what is open"


def whole_status(serving: str, old: Sequence[str]) -> str:
    """Say how a service is, from what the process that serves and the old ones said of themselves."""
    return "; ".join([serving, *(f"an old process {what_is_left(each)}" for each in old)])
