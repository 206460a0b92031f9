"""
Telling systemd how the server is doing (sd_notify(3)): ready when every zone is answered from, and alive.

systemd ends a service whose start takes too long. So it is told after a while in any case: a server without its edge
answers what it knows.

It knows no zones: it is handed a question to ask.
"""

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from warp_base.systemd_socket import SystemdSocket, watchdog_seconds

LOOK_SECONDS = 0.1  # how soon systemd hears that the server became ready
PATIENCE_SECONDS = 10.0  # a start behind an edge that restarts waits for its records, and one without an edge no longer


class SystemdNotifier:
    """
    The server's line to systemd.

    :param address: the value of `NOTIFY_SOCKET`; empty: nothing is sent.
    :param watchdog_usec: the value of `WATCHDOG_USEC`; systemd ends a service that is silent for so long.
    :param is_ready: whether the server answers for every zone.
    """

    def __init__(self, reactor: IReactorTime, address: str, watchdog_usec: str, is_ready: Callable[[], bool]) -> None:
        self._socket = SystemdSocket(address)
        self._is_ready = is_ready
        self._seconds = reactor.seconds
        self._said_by = 0.0
        self._watchdog_seconds = watchdog_seconds(watchdog_usec)
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        self._beating = LoopingCall(self._socket.send, "WATCHDOG=1")
        self._beating.clock = reactor

    def start(self) -> None:
        """Say so as soon as the server is ready, or `PATIENCE_SECONDS` are over, and that the reactor turns."""
        if not self._socket.is_there:
            return
        self._said_by = self._seconds() + PATIENCE_SECONDS
        self._looking.start(LOOK_SECONDS)
        if self._watchdog_seconds:
            self._beating.start(self._watchdog_seconds / 2)

    def stop(self) -> None:
        """Say that the server stops."""
        for call in (self._looking, self._beating):
            if call.running:
                call.stop()
        self._socket.send("STOPPING=1")

    def _look(self) -> None:
        if self._is_ready() or self._seconds() >= self._said_by:
            self._looking.stop()
            self._socket.send("READY=1")
