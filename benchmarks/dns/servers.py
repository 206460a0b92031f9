"""
The servers, each with one worker and its defaults otherwise: how it is configured, started, and known to answer.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dns.zones import ZONE
from benchmarks.errors import ProgramFailed
from benchmarks.processes import Process, free_port, running

WARP = "Warp"
KNOT = "Knot"
NSD = "NSD"

_READY_SECONDS = 20.0
_SOA_QUESTION = b"\0\1\0\0\0\1\0\0\0\0\0\0" + b"\4warp\7example\0" + b"\0\6\0\1"

_KNOT = """
server:
  listen: 127.0.0.1@{port}
  rundir: {directory}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: {directory}
zone:
  - domain: {zone}
    file: {zone_file}
    zonefile-sync: -1
"""
_NSD = """
server:
  ip-address: 127.0.0.1@{port}
  server-count: 1
  username: ""
  zonesdir: "{directory}"
  pidfile: "{directory}/nsd.pid"
  xfrdir: "{directory}"
  xfrdfile: "{directory}/xfrd.state"
  zonelistfile: "{directory}/zone.list"
  database: ""
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: {zone}
  zonefile: {zone_file}
"""
_POWERDNS = """
launch=bind
bind-config={directory}/named.conf
local-address=127.0.0.1
local-port={port}
receiver-threads=1
socket-dir={directory}
daemon=no
guardian=no
disable-syslog=yes
loglevel=3
"""
_WARP = """
listen: ["127.0.0.1:{port}"]
zones: [{{name: {zone}, master_file: {zone_file}}}]
"""
# As for strangers: loopback is not exempt from the limit on replies to one network, which has its default.
_WARP_LIMITED = _WARP + "rate_limit: {{exempt: []}}\n"
_NSD_LIMITED = _NSD.replace("  rrl-ratelimit: 0\n", "")


@dataclass(frozen=True, slots=True)
class Server:
    """
    How a server is run.

    :param configuration: its text, with port, directory, zone and zone_file to fill in.
    :param command: the command, given the path of the configuration.
    """

    name: str
    configuration: str
    command: Callable[[Path], list[str]]


def _run_nsd(path: Path) -> list[str]:
    return ["nsd", "-d", "-c", str(path)]


def _run_warp(path: Path) -> list[str]:
    twistd = str(Path(sys.executable).with_name("twistd"))
    return [sys.executable, twistd, "-n", "--pidfile=", "warp-dns", "--config", str(path)]


SERVERS = (
    Server(KNOT, _KNOT, lambda path: ["knotd", "-c", str(path)]),
    Server(NSD, _NSD, _run_nsd),
    Server("PowerDNS", _POWERDNS, lambda path: ["pdns_server", f"--config-dir={path.parent}"]),
    Server(WARP, _WARP, _run_warp),
)
LIMITED = (Server(NSD, _NSD_LIMITED, _run_nsd), Server(WARP, _WARP_LIMITED, _run_warp))
"""With their limits on replies to one network, as on the open internet."""


@contextlib.contextmanager
def serving(server: Server, directory: Path, zone_file: Path) -> Iterator[tuple[Process, int]]:
    """Run a server for the length of a `with` block; yields it and its port once it answers."""
    directory.mkdir(exist_ok=True)
    port = free_port(socket.SOCK_DGRAM)
    values = {"port": port, "directory": directory, "zone": ZONE, "zone_file": zone_file}
    configuration = directory / "pdns.conf"  # the one name that PowerDNS takes; the others take any
    configuration.write_text(server.configuration.format(**values))
    (directory / "named.conf").write_text(f'zone "{ZONE}" {{ type master; file "{zone_file}"; }};\n')
    with running(server.name, server.command(configuration), directory) as process:
        wait_until_answering(process, port)
        yield process, port


def wait_until_answering(process: Process, port: int) -> None:
    """
    Wait until a server answers for the zone.

    :raises ProgramFailed: if it does not.
    """
    for _ in range(int(_READY_SECONDS / 0.1)):
        process.check_alive()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.1)
            sock.connect(("127.0.0.1", port))
            with contextlib.suppress(OSError):
                sock.send(_SOA_QUESTION)
                if sock.recv(512)[3] & 15 == 0:
                    return
        time.sleep(0.1)
    raise ProgramFailed(f"{process.name} does not answer; its log ends:\n{process.log_tail()}")
