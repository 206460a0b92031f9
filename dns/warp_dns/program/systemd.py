"""
Telling systemd how the server is doing (sd_notify(3)): ready when every zone is answered from, and alive.

One datagram of `KEY=value` lines to the socket that systemd names; without one nothing is sent. It knows no zones:
it is handed a question to ask.
"""

import socket
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

LOOK_SECONDS = 0.1  # how soon systemd hears that the server became ready


class SystemdNotifier:
    """
    The server's line to systemd.

    :param address: the value of `NOTIFY_SOCKET`; empty: nobody listens.
    :param watchdog_usec: the value of `WATCHDOG_USEC`; systemd ends a service that is silent for so long.
    :param is_ready: whether the server answers for every zone.
    """

    _log = Logger()

    def __init__(self, reactor: IReactorTime, address: str, watchdog_usec: str, is_ready: Callable[[], bool]) -> None:
        # A leading @ is systemd's way to write an address in the abstract namespace (unix(7)).
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._is_ready = is_ready
        self._watchdog_seconds = int(watchdog_usec) / 1e6 if watchdog_usec.isdigit() else 0.0
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        self._beating = LoopingCall(self._send, "WATCHDOG=1")
        self._beating.clock = reactor

    def start(self) -> None:
        """Say so as soon as the server is ready, and from now on that the reactor turns."""
        if not self._address:
            return
        self._looking.start(LOOK_SECONDS)
        if self._watchdog_seconds:
            self._beating.start(self._watchdog_seconds / 2)

    def stop(self) -> None:
        """Say that the server stops."""
        for call in (self._looking, self._beating):
            if call.running:
                call.stop()
        if self._address:
            self._send("STOPPING=1")

    def _look(self) -> None:
        if self._is_ready():
            self._looking.stop()
            self._send("READY=1")

    def _send(self, state: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as line:
                line.sendto(state.encode(), self._address)
        except OSError as error:
            self._log.warn("systemd was not told {state}: {error}", state=state, error=error)
