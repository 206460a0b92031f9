"""
The address of one edge, as settings, join tokens and edges themselves write it.

Pure: nothing is looked up here.
"""

import re
from dataclasses import dataclass

from warp_base.host_port import join_host_port, split_host_port
from warp_twisted.errors import InvalidSettings

TUNNEL_PORT = 7844  # where edges listen unless told otherwise; cloudflared's port


@dataclass(frozen=True, slots=True, order=True)
class EdgeAddress:
    """Where one edge listens for tunnels; `host` is also the name that its certificate must be for."""

    host: str
    port: int

    def __str__(self) -> str:
        return join_host_port(self.host, self.port)


def parse_edge(text: str, key: str) -> EdgeAddress:
    """
    Read `host`, `host:port` or `[address]:port`; the port is 7844 unless given.

    :raises InvalidSettings: naming the key.
    """
    try:
        host, port = split_host_port(text)
    except ValueError as error:
        raise InvalidSettings(f"{key}: expected host:port, got {text!r}") from error
    if not re.fullmatch(r"[\w.:-]+", host) or port == 0:
        raise InvalidSettings(f"{key}: expected host:port, got {text!r}")
    return EdgeAddress(host.lower(), TUNNEL_PORT if port is None else port)
