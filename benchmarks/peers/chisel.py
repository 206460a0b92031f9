"""
chisel in front of the origins: a tunnel over one WebSocket with SSH inside, as `chisel client R:…` sets it up.

It reads no HTTP: a visitor's connection becomes a channel, and nothing is known about what is said on it.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from benchmarks.load.visitors import Address
from benchmarks.peers.peer import Peer
from benchmarks.processes import free_port, running


@contextlib.contextmanager
def open_chisel(origins: Peer, directory: Path, program: Path) -> Iterator[Peer]:
    """Run a chisel server and a chisel client."""
    port, web, tools = free_port(), free_port(), free_port()
    # From the environment, where other users of the machine cannot read it.
    account = {"AUTH": f"bench:{secrets.token_hex(16)}"}
    command = [str(program), "server", "--reverse", "--host", "127.0.0.1", "--port", str(port)]
    with running("chisel-server", command, directory, account) as server:
        server.wait_for_port(port)
        forwards = [
            f"R:127.0.0.1:{ours}:127.0.0.1:{theirs.port}"
            for ours, theirs in ((web, origins.web), (tools, origins.tools))
        ]
        command = [str(program), "client", f"http://127.0.0.1:{port}", *forwards]
        with running("chisel-client", command, directory, account) as client:
            for listening in (web, tools):
                client.wait_for_port(listening)
            yield Peer(
                name="chisel",
                web=Address(port=web, hostname=origins.web.hostname),
                tools=Address(port=tools, hostname=origins.tools.hostname),
                programs={"server": server, "client": client},
            )
