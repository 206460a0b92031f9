"""
The socket on which systemd hears how a service is doing (sd_notify(3)): datagrams of `KEY=value` lines.

What is said, and when, is decided by each service. The environment is read by the program that starts it.
"""

import socket

from twisted.logger import Logger


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
