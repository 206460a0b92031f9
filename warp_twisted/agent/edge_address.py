"""
The address of one edge, as settings, join tokens and edges themselves write it.

Pure: nothing is looked up here.
"""

import re
from dataclasses import dataclass

from warp_twisted.errors import InvalidSettings

TUNNEL_PORT = 7844  # where edges listen unless told otherwise; cloudflared's port


@dataclass(frozen=True, slots=True, order=True)
class EdgeAddress:
    """Where one edge listens for tunnels; `host` is also the name that its certificate must be for."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_edge(text: str, key: str) -> EdgeAddress:
    """
    Read `host`, `host:port` or `[address]:port`; the port is 7844 unless given.

    :raises InvalidSettings: naming the key.
    """
    host, colon, port = text, "", ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        colon, port = rest[:1] or (":" if not bracket else ""), rest[1:]
    elif text.count(":") == 1:
        host, colon, port = text.partition(":")
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536
    if not re.fullmatch(r"[\w.:-]+", host) or colon not in ("", ":") or (colon and not is_port):
        raise InvalidSettings(f"{key}: expected host:port, got {text!r}")
    return EdgeAddress(host.lower(), int(port) if colon else TUNNEL_PORT)
