"""Ports for programs that are told where to listen."""

import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_COUNT = 12_000


def free_port() -> int:
    """
    Return a port of 127.0.0.1 that is free for UDP and TCP now.

    The kernel gives it to nobody who asks for any port, nor to a connection that goes out, until a program has begun to
    listen there.
    """
    least = int(_RANGE.read_text().split()[0])  # of those that the kernel gives
    while True:
        port = random.randrange(max(1024, least - _COUNT), least)  # nobody has to guess it
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                udp.bind(("127.0.0.1", port))
                tcp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
