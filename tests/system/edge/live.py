"""An edge on loopback with real files, and agents that dial it over real TLS."""

import time
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.endpoints import TCP4ClientEndpoint

from tests.case import reactor, until
from warp_twisted.ca.issue import key_to_pem, new_key, new_request, utc
from warp_twisted.ca.store import add_edge, init_root
from warp_twisted.ca.tokens import JoinTokenText, parse_token
from warp_twisted.configuration import convert
from warp_twisted.edge.node import EdgeNode
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.testing import RecordingDelegate
from warp_twisted.tunnel import TunnelProtocol, Turn
from warp_twisted.tunnel.contexts import agent_context
from warp_twisted.tunnel.endpoints import dial, enroll, fetch_root
from warp_twisted.wire.control import ControlMessage, Enrolled, EnrollRefused, EnrollRequest, Hello, RouteOffer

ZONE = "warp.test"
HOST = "127.0.0.1"
TURN = Turn(reactor)


def edge_files(directory: Path, **sections: Any) -> dict[str, Any]:
    """Make a certificate authority in a directory, and return edge.yaml for it as plain values."""
    now = utc(time.time())
    if not (directory / "ca").exists():
        init_root(directory / "ca", ZONE, now)
        add_edge(directory / "ca", "edge1", now, [ZONE])
    listen = {
        "http": ["tcp:0:interface=127.0.0.1"],
        "https": [],
        "tunnel": ["tcp:0:interface=127.0.0.1"],
        "dns": ["127.0.0.1:0"],
        "admin": str(directory / "admin.sock"),
        "metrics": "tcp:0:interface=127.0.0.1",
    }
    ca = {
        "root": str(directory / "ca" / "root.pem"),
        "certificate": str(directory / "ca" / "edge1.pem"),
        "key": str(directory / "ca" / "edge1.key"),
    }
    raw: dict[str, Any] = {
        "zone": ZONE,
        "edge": {"name": "edge1", "addresses": [HOST]},
        "listen": listen | sections.pop("listen", {}),
        "ca": ca | sections.pop("ca", {}),
        "state": str(directory / "state"),
        "log": {"access": None},
        "timeouts": {"drain": 1, "settle": 0},
    }
    return raw | sections


def make_node(directory: Path, **sections: Any) -> EdgeNode:
    """Return an edge whose files are in a directory."""
    return EdgeNode(reactor, convert(edge_files(directory, **sections), EdgeSettings, "edge.yaml"))


class EnrolledAgent:
    """An agent's identity, and its tunnels."""

    def __init__(self, port: int, directory: Path, enrolled: Enrolled, key_pem: bytes) -> None:
        self.port = port
        self.id = enrolled.agent_id
        self.enrolled = enrolled
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.key_pem = key_pem
        self.use(enrolled.chain_pem)
        self.tunnels: list[TunnelProtocol] = []
        self.delegate = RecordingDelegate()

    def use(self, chain_pem: str) -> None:
        """Dial with this certificate from now on."""
        (self.directory / "agent.pem").write_text(chain_pem)
        (self.directory / "agent.key").write_bytes(self.key_pem)

    async def dial(self) -> TunnelProtocol:
        """Open a tunnel; nothing is said yet."""
        context = agent_context(
            root_pem=self.enrolled.root_pem,
            chain_file=self.directory / "agent.pem",
            key_file=self.directory / "agent.key",
        )
        tunnel = await dial(
            endpoint(self.port), HOST, context=context, delegate=self.delegate, reactor=reactor, turn=TURN
        )
        self.tunnels.append(tunnel)
        return tunnel

    async def register(self, *hostnames: str, slot: int = 0, **changes: Any) -> ControlMessage:
        """Open a tunnel that offers hostnames, and return the edge's answer."""
        tunnel = await self.dial()
        routes = [RouteOffer(id=number, hostname=name) for number, name in enumerate(hostnames)]
        hello = Hello(version=1, software="test", agent_id=self.id, session="s", slot=slot, routes=routes)
        heard = len(self.delegate.messages)
        tunnel.send_control(msgspec.structs.replace(hello, **changes))
        await until(lambda: len(self.delegate.messages) > heard or tunnel.is_over)
        return self.delegate.messages[-1]

    async def close(self) -> None:
        """End every tunnel."""
        for tunnel in self.tunnels:
            tunnel.close()
            await tunnel.disconnected()


def endpoint(port: int) -> TCP4ClientEndpoint:
    """Return where to dial."""
    return TCP4ClientEndpoint(reactor, HOST, port, timeout=5)


async def ask(port: int, token: JoinTokenText, csr_pem: str | None = None) -> tuple[Enrolled | EnrollRefused, bytes]:
    """Enroll as a new agent does: pin the root, verify the edge, then show the secret. Returns the key as well."""
    key = new_key()
    root_pem = await fetch_root(endpoint(port), token.fingerprint.hex(), reactor=reactor)
    request = EnrollRequest(token_id=token.id, secret=token.secret, csr_pem=csr_pem or new_request(key))
    return await enroll(endpoint(port), HOST, lambda _: request, root_pem=root_pem, reactor=reactor), key_to_pem(key)


async def enroll_agent(port: int, text: str, directory: Path) -> EnrolledAgent:
    """Enroll with the text of a join token, and expect success."""
    answer, key_pem = await ask(port, parse_token(text))
    if not isinstance(answer, Enrolled):
        raise AssertionError(answer)
    return EnrolledAgent(port, directory, answer, key_pem)


async def new_token(
    node: EdgeNode, *hostnames: str, uses: int = 1, ttl_seconds: float = 600, share: str = "tests"
) -> str:
    """Make a join token at an edge of this process; agents share hostnames unless a test says otherwise."""
    _, text = await node.parts.enrollment.create_token(
        edges=node.parts.entry.tunnel_addresses(),
        hostnames=hostnames or [f"*.{ZONE}"],
        labels={},
        uses=uses,
        ttl_seconds=ttl_seconds,
        share=share,
    )
    return text
