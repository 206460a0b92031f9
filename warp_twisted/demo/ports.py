"""Which ports the demo takes: those that its documents name, or others when they are taken."""

import socket
from dataclasses import dataclass

ADDRESS = "127.0.0.1"
_ATTEMPTS = 100  # at a port that is free for both TCP and UDP


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The demo's ports on loopback."""

    http: int = 8080
    https: int = 8443
    dns: int = 5300
    tunnel: int = 7844


WANTED = Ports()


def choose_ports(wanted: Ports = WANTED) -> Ports:
    """Return the wanted ports, each replaced by a free one if it is taken."""
    return Ports(
        http=_choose(wanted.http),
        https=_choose(wanted.https),
        dns=_choose(wanted.dns, with_udp=True),
        tunnel=_choose(wanted.tunnel),
    )


def moved(chosen: Ports, wanted: Ports = WANTED) -> list[str]:
    """Say of each port that is not the wanted one where it went: `HTTP port 8080 is taken: using 40001`."""
    names = {"http": "HTTP", "https": "HTTPS", "dns": "DNS", "tunnel": "tunnel"}
    return [
        f"{name} port {getattr(wanted, field)} is taken: using {getattr(chosen, field)}"
        for field, name in names.items()
        if getattr(wanted, field) != getattr(chosen, field)
    ]


def _choose(wanted: int, *, with_udp: bool = False) -> int:
    port = wanted
    for _ in range(_ATTEMPTS):
        taken = _bind(port, socket.SOCK_STREAM)
        if taken and (not with_udp or _bind(taken, socket.SOCK_DGRAM)):
            return taken
        port = 0
    raise OSError("no port of the loopback address is free")


def _bind(port: int, kind: socket.SocketKind) -> int:
    """Return the port that could be bound (any, for 0), or 0; it is free again afterwards."""
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as listeners do; TIME_WAIT is not "taken"
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return 0
        return int(probe.getsockname()[1])
