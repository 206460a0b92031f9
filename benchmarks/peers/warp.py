"""
Warp in front of the origins, as an operator runs it: `twistd warp-edge` and `twistd warp-agent`.

Two processes, an enrolled agent with its four tunnels over TLS 1.3, the access log written to a file, metrics
served and the default limits on, save those that a crowd on one machine would meet.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks.errors import BenchmarkError, ProgramFailed, UnexpectedAnswer
from benchmarks.load import visitors
from benchmarks.load.visitors import Address
from benchmarks.peers.peer import TOOLS_HOSTNAME, WEB_HOSTNAME, Peer
from benchmarks.processes import READY_SECONDS, Process, free_port, running
from warp_twisted.ca import issue

ZONE = "bench.example"
_ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"PYTHONPATH": ":".join(str(_ROOT / part) for part in ("", "dns", "warp_twisted/_dropins"))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """
    A running edge.

    :param issuer: its intermediate, for whoever makes agents' certificates without enrolling.
    """

    process: Process
    web: Address
    tls: Address
    tunnel_port: int
    dns_port: int
    admin: Path
    issuer: issue.Issuer
    root_pem: str


class _UnixConnection(http.client.HTTPConnection):
    """HTTP to a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask_admin(socket_path: Path, method: str, target: str, body: object = None) -> Any:
    """
    Call the edge's admin interface.

    :returns: the decoded JSON answer.
    :raises UnexpectedAnswer: if the status is not 2xx.
    """
    connection = _UnixConnection(socket_path)
    with contextlib.closing(connection):
        headers = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, target, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
    if not 200 <= answer.status < 300:
        raise UnexpectedAnswer(f"{method} {target}: {answer.status} {text[:300]!r}")
    return json.loads(text)


def _twistd(service: str, configuration: Path, options: Sequence[str]) -> list[str]:
    program = Path(sys.executable).parent / "twistd"
    return [str(program), "--nodaemon", "--pidfile=", *options, service, "--config", str(configuration)]


@contextlib.contextmanager
def open_edge(directory: Path, certificate: Path, twistd_options: Sequence[str] = ()) -> Iterator[Edge]:
    """
    Run an edge with a certificate authority made for it.

    :param certificate: as for HAProxy; the key and the certificate lie beside it.
    :param twistd_options: options of twistd itself, such as those of its profiler.
    """
    now = datetime.now(UTC)
    root_key, edge_key = issue.new_key(), issue.new_key()
    root = issue.Issuer(issue.issue_root(root_key, ZONE, now), root_key)
    intermediate = issue.issue_intermediate(root, edge_key.public_key(), "edge1", now, [ZONE])
    certificates = directory / "certificates"
    certificates.mkdir()
    for suffix in (".pem", ".key"):
        shutil.copy2(certificate.with_suffix(suffix), certificates)
    root_pem = issue.to_pem(root.certificate)
    (directory / "root.pem").write_text(root_pem)
    (directory / "edge1.pem").write_text(issue.to_pem(intermediate))
    (directory / "edge1.key").touch(mode=0o600)
    (directory / "edge1.key").write_bytes(issue.key_to_pem(edge_key))
    (directory / "edge-state").mkdir(mode=0o700)
    http_port, https_port, tunnel_port, metrics_port = (free_port() for _ in range(4))
    dns_port = free_port(socket.SOCK_DGRAM)
    admin = directory / "admin.sock"
    configuration = directory / "edge.yaml"
    configuration.write_text(
        yaml.safe_dump(
            {
                "zone": ZONE,
                "edge": {"name": "edge1", "addresses": ["127.0.0.1"], "tunnel_port": tunnel_port},
                "listen": {
                    "http": [f"tcp:{http_port}:interface=127.0.0.1:backlog=4096"],
                    "https": [f"tcp:{https_port}:interface=127.0.0.1:backlog=4096"],
                    "tunnel": [f"tcp:{tunnel_port}:interface=127.0.0.1:backlog=4096"],
                    "dns": [f"127.0.0.1:{dns_port}"],
                    "admin": str(admin),
                    "metrics": f"tcp:{metrics_port}:interface=127.0.0.1",
                },
                "state": str(directory / "edge-state"),
                "ca": {
                    "root": str(directory / "root.pem"),
                    "certificate": str(directory / "edge1.pem"),
                    "key": str(directory / "edge1.key"),
                },
                "certificates": str(certificates),
                # Idle visitors may have to stay longer than the default of 75 seconds; nobody waits for a drain.
                "timeouts": {"idle": 300, "drain": 1},
                "log": {"format": "json", "access": str(directory / "access.log")},
            }
        )
    )
    command = _twistd("warp-edge", configuration, twistd_options)
    with running("warp-edge", command, directory, ENVIRONMENT) as process:
        process.wait_for_port(tunnel_port)
        process.wait_for_socket(admin)
        yield Edge(
            process=process,
            web=Address(port=http_port, hostname=WEB_HOSTNAME),
            tls=Address(port=https_port, hostname=WEB_HOSTNAME),
            tunnel_port=tunnel_port,
            dns_port=dns_port,
            admin=admin,
            issuer=issue.Issuer(intermediate, edge_key),
            root_pem=root_pem,
        )


@contextlib.contextmanager
def open_warp(
    origins: Peer,
    directory: Path,
    certificate: Path,
    edge_options: Sequence[str] = (),
    agent_options: Sequence[str] = (),
) -> Iterator[Peer]:
    """Run an edge and an enrolled agent that leads to the origins."""
    with open_edge(directory, certificate, edge_options) as edge:
        token = ask_admin(edge.admin, "POST", "/v1/tokens", {"hostnames": [f"*.{ZONE}"], "uses": 1})
        token_file = directory / "join-token"
        token_file.touch(mode=0o600)
        token_file.write_text(token["token"])
        (directory / "agent-state").mkdir(mode=0o700)
        configuration = directory / "agent.yaml"
        configuration.write_text(
            yaml.safe_dump(
                {
                    "state": str(directory / "agent-state"),
                    "token_file": str(token_file),
                    "edges": [f"127.0.0.1:{edge.tunnel_port}"],
                    "tunnels": 4,
                    "drain": 1,
                    "ingress": [
                        {"hostname": WEB_HOSTNAME, "service": f"http://127.0.0.1:{origins.web.port}"},
                        {"hostname": TOOLS_HOSTNAME, "service": f"http://127.0.0.1:{origins.tools.port}"},
                        {"service": "http_status:404"},
                    ],
                }
            )
        )
        command = _twistd("warp-agent", configuration, agent_options)
        with running("warp-agent", command, directory, ENVIRONMENT) as agent:
            peer = Peer(
                name="Warp",
                web=edge.web,
                tools=Address(port=edge.web.port, hostname=TOOLS_HOSTNAME),
                tls=edge.tls,
                programs={"edge": edge.process, "agent": agent},
            )
            _wait_until_served(peer)
            yield peer


def _wait_until_served(peer: Peer) -> None:
    """Wait until a visitor reaches both origins."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            visitors.fetch(peer.web, "/1k")
            visitors.fetch(peer.tools, "/sent")
        except (BenchmarkError, OSError) as error:
            for program in peer.programs.values():
                program.check_alive()
            if time.monotonic() > deadline:
                tails = "\n".join(f"{program.name}:\n{program.log_tail()}" for program in peer.programs.values())
                raise ProgramFailed(f"Warp does not serve: {error}; the logs end:\n{tails}") from error
            time.sleep(0.05)
        else:
            return
