"""
Telling systemd how the service is doing (`sd_notify`): ready, reloading, stopping, alive; and the sockets that it hands
over (sd_listen_fds(3)).

Without a socket that systemd named nothing is sent, so a service says the same things wherever it runs. The environment
is read by the taps.
"""

import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from warp_base.systemd_socket import SystemdSocket, watchdog_seconds

MAX_STATUS = 200
FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START
STOP_MARGIN_SECONDS = 15.0  # systemd is asked for so much more than a drain may take


class Systemd:
    """
    The service's line to systemd.

    :param address: the value of `NOTIFY_SOCKET`; None or empty: nobody listens.
    :param watchdog_usec: the value of `WATCHDOG_USEC`; systemd kills a service that is silent for so long.
    """

    def __init__(self, address: str | None, watchdog_usec: str | None = None) -> None:
        self._socket = SystemdSocket(address)
        self._watchdog_seconds = watchdog_seconds(watchdog_usec)
        self._watchdog: LoopingCall | None = None

    def ready(self, status: str = "") -> None:
        """The service serves; after a reload, it serves again."""
        self._send("READY=1", status)

    def reloading(self) -> None:
        """The configuration is being read; `ready` must follow."""
        self._send("RELOADING=1", "reloading", f"MONOTONIC_USEC={int(time.monotonic() * 1e6)}")

    def stopping(self, status: str = "stopping") -> None:
        """The service finishes what it has and ends."""
        self._send("STOPPING=1", status)

    def status(self, status: str) -> None:
        """Say in a few words how it goes; `systemctl status` shows it."""
        self._send("", status)

    def extend_timeout(self, seconds: float) -> None:
        """Ask for so much more time before the start or stop is given up."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def start_watchdog(self, clock: IReactorTime, is_well: Callable[[], bool] = lambda: True) -> None:
        """
        Say at half the watchdog's interval that the reactor turns, for as long as the service is well.

        :param is_well: when it says False, nothing is sent and systemd restarts the service.
        """
        if not self._watchdog_seconds or not self._socket.is_there:
            return

        def beat() -> None:
            if is_well():
                self._send("WATCHDOG=1")

        self._watchdog = LoopingCall(beat)
        self._watchdog.clock = clock
        self._watchdog.start(self._watchdog_seconds / 2)

    def stop_watchdog(self) -> None:
        """Send no more signs of life."""
        if self._watchdog is not None and self._watchdog.running:
            self._watchdog.stop()

    def _send(self, state: str, status: str = "", *others: str) -> None:
        self._socket.send(*(line for line in (state, f"STATUS={_one_line(status)}" if status else "", *others) if line))


def _one_line(text: str) -> str:
    return " ".join(text.split())[:MAX_STATUS]


def handed_sockets(environment: Mapping[str, str], pid: int) -> Mapping[str, Sequence[int]]:
    """
    Return the sockets that systemd handed to a process, by the name that their unit gives them.

    A unit's sockets have one name (`FileDescriptorName=`), whichever of them there are: without IPv6 in the kernel one
    is missing, and what is counted by numbers is off by one from there on.

    :param environment: with `LISTEN_FDNAMES`, or without. Twisted takes `LISTEN_PID` and `LISTEN_FDS` out of it as soon
        as it is imported, if they are for this process, and leaves the names.
    :returns: name → descriptors.
    """
    found: dict[str, list[int]] = {}
    names = environment.get("LISTEN_FDNAMES", "")
    if names and environment.get("LISTEN_PID", str(pid)) == str(pid):
        for descriptor, name in enumerate(names.split(":"), FIRST_DESCRIPTOR):
            if _is_socket(descriptor):
                found.setdefault(name, []).append(descriptor)
    return found


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:  # the names were left by a process before this one, and the sockets were not
        return False
