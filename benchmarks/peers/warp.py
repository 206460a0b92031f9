"""
Warp in front of the origins, as an operator runs it: `twistd warp-edge` and `twistd warp-agent`.

Two processes, an enrolled agent with its four tunnels over TLS 1.3, the access log written to a file, metrics
served and the default limits on, save those that a crowd on one machine would meet. Other checkouts of Warp are run
the same way, by their own twistd in their own environment: nothing of them is imported here.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from twisted.internet.task import Clock

from benchmarks.errors import BenchmarkError, ProgramFailed, ProgramMissing, UnexpectedAnswer
from benchmarks.load import visitors
from benchmarks.load.visitors import Address
from benchmarks.peers.peer import OTHER_HOSTNAME, TOOLS_HOSTNAME, WEB_HOSTNAME, Peer
from benchmarks.processes import READY_SECONDS, Process, free_port, running
from warp_twisted.ca import issue
from warp_twisted.ca.edge_identity import authority_key
from warp_twisted.registry.edge_records import EdgeRecord
from warp_twisted.registry.model import encode
from warp_twisted.registry.sqlite import SqliteStore

ZONE = "bench.example"
_MOST_TUNNELS = 20_000
KEEPER = "keeper.sock"  # where a keeper is asked, in the edge's directory
# As systemd does: the sockets from descriptor 3 on, and the process's own number.
_HANDED = """
import fcntl, json, os, sys
descriptors, names = json.loads(sys.argv[1])
for number, each in enumerate([fcntl.fcntl(each, fcntl.F_DUPFD, 50) for each in descriptors], 3):
    os.dup2(each, number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(descriptors)), LISTEN_FDNAMES=names)
os.execv(sys.argv[2], sys.argv[2:])
"""
_TURNS = re.compile(r'^warp_edge_turn_seconds_bucket\{le="([^"]+)"\} (\S+)$', re.MULTILINE)
_LONGEST_TURN = re.compile(r"^warp_edge_turn_longest_seconds\{[^}]*\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """
    A tree of Warp to measure.

    :param root: its directory.
    :param programs: the directory with its environment's twistd.
    """

    root: Path
    programs: Path

    @classmethod
    def at(cls, root: Path) -> Checkout:
        """
        Take a tree whose environment lies in .venv, as make puts it.

        :raises ProgramMissing: if there is none.
        """
        programs = root.resolve() / ".venv" / "bin"
        if not (programs / "twistd").exists():
            raise ProgramMissing(f"{programs / 'twistd'}: try `make -C {root} .venv/.benchmark`")
        return cls(root=root.resolve(), programs=programs)

    @property
    def environment(self) -> dict[str, str]:
        """What the tree's programs need in their environment: the tree wins over what is installed."""
        return {"PYTHONPATH": ":".join(str(self.root / part) for part in ("", "dns", "warp_twisted/_dropins"))}

    def known_limits(self, limits: Mapping[str, float]) -> dict[str, float]:
        """Return those limits of edge.yaml that the tree's settings have: an older tree refuses what is newer."""
        settings = (self.root / "warp_twisted" / "edge" / "settings.py").read_text()
        return {name: value for name, value in limits.items() if f" {name}:" in settings}

    def twistd(self, service: str, configuration: Path, options: Sequence[str]) -> list[str]:
        """Put together the command that runs a service in the foreground."""
        twistd = str(self.programs / "twistd")
        return [twistd, "--nodaemon", "--pidfile=", *options, service, "--config", str(configuration)]


THIS = Checkout(root=Path(__file__).resolve().parents[2], programs=Path(sys.executable).parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """
    A running edge.

    :param issuer: its intermediate, for whoever makes agents' certificates without enrolling.
    :param configuration: its edge.yaml.
    """

    process: Process
    configuration: Path
    web: Address
    tls: Address
    tunnel_port: int
    dns_port: int
    metrics_port: int
    admin: Path
    issuer: issue.Issuer
    root_pem: str

    def follow_policy(self, policy: Path | None) -> None:
        """
        Put a policy in force; the files that it names lie beside it.

        :param policy: its file; None for no policy.
        """
        settings = yaml.safe_load(self.configuration.read_text())
        for key in ("policy", "policy_files"):
            settings.pop(key, None)
        if policy is not None:
            settings |= {"policy": str(policy), "policy_files": str(policy.parent)}
        self.configuration.write_text(yaml.safe_dump(settings))
        ask_admin(self.admin, "POST", "/v1/reload")

    def longest_turn_seconds(self) -> float | None:
        """Tell how long its event loop was held at the longest; None from an edge that does not say."""
        found = _LONGEST_TURN.search(self._metrics())
        return float(found[1]) if found is not None else None

    def turns(self) -> dict[float, int]:
        """Count the turns of its event loop, by the seconds that they took at most; empty from one that does not."""
        return {float(bound): round(float(count)) for bound, count in _TURNS.findall(self._metrics())}

    def _metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30) as answer:
            text: str = answer.read().decode()
        return text


class _UnixConnection(http.client.HTTPConnection):
    """HTTP to a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
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
    return json.loads(fetch_admin(socket_path, target, method, body))


def fetch_admin(socket_path: Path, target: str, method: str = "GET", body: object = None) -> bytes:
    """
    Call the edge's admin interface.

    :returns: the answer as it came.
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
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who an edge is: its name, its intermediate, the fleet's root, and where others dial it."""

    name: str
    issuer: issue.Issuer
    root: issue.Issuer
    tunnel_port: int

    @property
    def record(self) -> EdgeRecord:
        """What the registry keeps of it."""
        key = authority_key(self.issuer.certificate)
        return EdgeRecord(name=self.name, addresses=(f"127.0.0.1:{self.tunnel_port}",), authority_key=key)


def new_identities(*names: str) -> list[Identity]:
    """Make edges of one fleet."""
    now = datetime.now(UTC)
    root_key = issue.new_key()
    root = issue.Issuer(issue.issue_root(root_key, ZONE, now), root_key)
    made = []
    for name in names:
        key = issue.new_key()
        intermediate = issue.issue_intermediate(root, key.public_key(), name, now, [ZONE])
        made.append(Identity(name=name, issuer=issue.Issuer(intermediate, key), root=root, tunnel_port=free_port()))
    return made


@contextlib.contextmanager
def open_edge(
    directory: Path,
    certificate: Path,
    checkout: Checkout = THIS,
    twistd_options: Sequence[str] = (),
    *,
    is_kept: bool = False,
    identity: Identity | None = None,
    others: Sequence[Identity] = (),
) -> Iterator[Edge]:
    """
    Run an edge with a certificate authority made for it.

    :param certificate: as for HAProxy; the key and the certificate lie beside it.
    :param twistd_options: options of twistd itself, such as those of its profiler.
    :param is_kept: whether it runs below a keeper, which has the sockets, as a deployed one does.
    :param identity: of one of several edges, and `others`, that its registry knows.
    """
    identity = identity or new_identities("edge1")[0]
    intermediate, edge_key = identity.issuer.certificate, identity.issuer.key
    root = identity.root
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
    ports = {"http": free_port(), "https": free_port(), "tunnel": identity.tunnel_port}
    metrics_port = free_port()
    if others:
        store = SqliteStore(directory / "edge-state", Clock())
        for other in others:
            store.put(other.record.key, encode(other.record))
        store.close()
    dns_port = free_port(socket.SOCK_DGRAM)
    admin = directory / "admin.sock"
    configuration = directory / "edge.yaml"
    configuration.write_text(
        yaml.safe_dump(
            {
                "zone": ZONE,
                "edge": {"name": identity.name, "addresses": ["127.0.0.1"], "tunnel_port": ports["tunnel"]},
                "listen": {
                    name: [f"systemd:name={name}" if is_kept else f"tcp:{port}:interface=127.0.0.1:backlog=4096"]
                    for name, port in ports.items()
                }
                | {
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
                "limits": {"tunnels": _MOST_TUNNELS, **checkout.known_limits({"visitor_handshakes_per_second": 0})},
                "log": {"format": "json", "access": str(directory / "access.log")},
            }
        )
    )
    command = checkout.twistd("warp-edge", configuration, twistd_options)
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(_listen(port)) for port in ports.values()] if is_kept else []
        descriptors = [listener.fileno() for listener in listeners]
        if is_kept:
            keeper = [sys.executable, "-m", "warp_twisted.keeper", "run", "--control", str(directory / KEEPER), "--"]
            command = [sys.executable, "-c", _HANDED, json.dumps([descriptors, ":".join(ports)]), *keeper, *command]
        process = stack.enter_context(running("warp-edge", command, directory, checkout.environment, descriptors))
        process.wait_for_port(ports["tunnel"])
        process.wait_for_socket(admin)
        yield Edge(
            process=process,
            configuration=configuration,
            web=Address(port=ports["http"], hostname=WEB_HOSTNAME),
            tls=Address(port=ports["https"], hostname=WEB_HOSTNAME),
            tunnel_port=ports["tunnel"],
            dns_port=dns_port,
            metrics_port=metrics_port,
            admin=admin,
            issuer=issue.Issuer(intermediate, edge_key),
            root_pem=root_pem,
        )


def _listen(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), backlog=4096)


@contextlib.contextmanager
def open_warp(
    origins: Peer,
    directory: Path,
    certificate: Path,
    *,
    name: str = "Warp",
    checkout: Checkout = THIS,
    edge_options: Sequence[str] = (),
    agent_options: Sequence[str] = (),
) -> Iterator[Peer]:
    """Run an edge and an enrolled agent that leads to the origins."""
    with (
        open_edge(directory, certificate, checkout, edge_options) as edge,
        open_agent(edge, origins, directory, name=name, checkout=checkout, twistd_options=agent_options) as peer,
    ):
        yield peer


@contextlib.contextmanager
def open_agent(
    edge: Edge,
    origins: Peer,
    directory: Path,
    *,
    name: str = "Warp",
    checkout: Checkout = THIS,
    twistd_options: Sequence[str] = (),
) -> Iterator[Peer]:
    """Enroll an agent that leads to the origins, and run it."""
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
                    *(
                        {"hostname": hostname, "service": f"http://127.0.0.1:{origins.web.port}"}
                        for hostname in (WEB_HOSTNAME, OTHER_HOSTNAME)
                    ),
                    {"hostname": TOOLS_HOSTNAME, "service": f"http://127.0.0.1:{origins.tools.port}"},
                    {"service": "http_status:404"},
                ],
            }
        )
    )
    command = checkout.twistd("warp-agent", configuration, twistd_options)
    with running("warp-agent", command, directory, checkout.environment) as agent:
        peer = Peer(
            name=name,
            web=edge.web,
            tools=Address(port=edge.web.port, hostname=TOOLS_HOSTNAME),
            tls=edge.tls,
            programs={"edge": edge.process, "agent": agent},
        )
        _wait_until_served(peer)
        yield peer


@contextlib.contextmanager
def open_two_edges(directory: Path, certificate: Path, *, is_kept: bool = False) -> Iterator[list[Edge]]:
    """Run two edges, `edge1` and `edge2`, that know each other, in directories of their names."""
    identities = new_identities("edge1", "edge2")
    with contextlib.ExitStack() as stack:
        edges = []
        for identity, other in zip(identities, reversed(identities), strict=True):
            place = directory / identity.name
            place.mkdir()
            opened = open_edge(place, certificate, is_kept=is_kept, identity=identity, others=[other])
            edges.append(stack.enter_context(opened))
        yield edges


@contextlib.contextmanager
def open_relay(
    origins: Peer, directory: Path, certificate: Path, *, names: Sequence[str]
) -> Iterator[tuple[Peer, Peer]]:
    """
    Run two edges, and an agent whose tunnels are all at the first.

    :param names: of the peers.
    :returns: a peer whose visitors come to the first, and one whose visitors come to the second, which relays.
    """
    with (
        open_two_edges(directory, certificate) as edges,
        open_agent(edges[0], origins, directory, name=names[0]) as direct,
    ):
        relayed = Peer(
            name=names[1],
            web=edges[1].web,
            tools=Address(port=edges[1].web.port, hostname=TOOLS_HOSTNAME),
            tls=edges[1].tls,
            programs={**direct.programs, "relay": edges[1].process},
        )
        _wait_until_served(relayed)
        yield direct, relayed


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
