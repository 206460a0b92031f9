"""
Two edges of one fleet in this process, each with a registry of its own that knows the other edge.

What a shared registry would tell both is written into both here; what edges tell each other goes by their link.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Factory

from tests.case import AsyncTestCase, reactor, short_directory_of, until
from tests.system.agent.origins import listen_at, port_of
from tests.system.edge.harness import RawConnection, get
from tests.system.edge.live import HOST, ZONE, edge_files, new_token
from tests.system.members.beside import Origin
from warp_twisted.agent.identity.enrollment import enroll_agent
from warp_twisted.agent.identity.state import StateDirectory
from warp_twisted.agent.service import AgentService
from warp_twisted.agent.settings import parse_settings
from warp_twisted.ca.issue import utc
from warp_twisted.ca.store import add_edge
from warp_twisted.ca.tokens import parse_token
from warp_twisted.configuration import convert
from warp_twisted.edge.node import EdgeNode
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.registry.model import encode

HOSTNAME = f"app.{ZONE}"
AGENT = """
tunnels: 1
edges: ["127.0.0.1:%d"]
ingress:
- {hostname: %s, service: "http://127.0.0.1:%d"}
- {service: "http_status:404"}
"""


class TwoEdgesCase(AsyncTestCase):
    """Two linked edges; `agent` serves the hostname at one of them."""

    timeout = 60
    addresses: ClassVar[Mapping[str, Sequence[str]]] = {}

    def reached_at(self, address: str) -> str:
        """Return the `host:port` at which an edge is to be reached by the other."""
        return address

    def sections(self, name: str) -> Mapping[str, object]:
        """Return sections of an edge's edge.yaml that are not as they are by default."""
        return {}

    async def prepare(self) -> None:
        self.directory = short_directory_of(self)
        self.nodes = [self.make_edge(name) for name in ("edge1", "edge2")]
        for node in self.nodes:
            node.startService()
        self.clean_up_with(self.stop_edges)
        await until(lambda: all(node.ports.tunnel for node in self.nodes))
        await self.introduce()

    async def stop_edges(self) -> None:
        """Stop those that a test has left."""
        while self.nodes:
            await self.nodes.pop().stopService()

    def make_edge(self, name: str) -> EdgeNode:
        """Make an edge."""
        raw = edge_files(self.directory)
        if name != "edge1":
            add_edge(self.directory / "ca", name, utc(time.time()), [ZONE])
        for key in ("certificate", "key"):
            raw["ca"][key] = raw["ca"][key].replace("edge1", name)
        raw["edge"] |= {"name": name, "addresses": list(self.addresses.get(name, (HOST,)))}
        raw["state"] = str(self.directory / name)
        raw["listen"]["admin"] = str(self.directory / f"{name}.sock")
        raw["log"] = {"access": str(self.directory / f"{name}.log")}
        raw |= self.sections(name)
        return EdgeNode(reactor, convert(raw, EdgeSettings, "edge.yaml"))

    async def introduce(self) -> None:
        """Let each edge's registry know both, and wait for their link."""
        records = [node.parts.mirror.edge_records for node in self.nodes]
        await until(lambda: all(records))
        for node, other in zip(self.nodes, list(map(dict, reversed(records))), strict=True):
            for record in other.values():
                other_way = replace(record, addresses=(self.reached_at(record.addresses[0]),))
                await node.parts.store.put(record.key, encode(other_way))
        await until(lambda: all(node.parts.peers.links.names() for node in self.nodes))

    async def agent(self, node: EdgeNode, name: str, hostname: str = HOSTNAME) -> AgentService:
        """Serve the hostname through an edge, from an origin that answers with a name."""
        made = type("Named", (Origin,), {"name": name})
        listening = listen_at(TCP4ServerEndpoint(reactor, 0, interface=HOST), Factory.forProtocol(made))
        self.addCleanup(listening.stopListening)
        state = StateDirectory(Path(self.mktemp()))
        identity = await enroll_agent(reactor, state, parse_token(await new_token(node, hostname)))
        agent = AgentService(
            reactor, parse_settings(AGENT % (node.ports.tunnel[0], hostname, port_of(listening))), state, identity
        )
        agent.startService()

        async def stop() -> None:
            agent.stop_now()
            await agent.when_stopped()

        self.clean_up_with(stop)
        registrations = node.parts.tunnels.registrations
        await until(lambda: sum(each.agent == identity.agent_id for each in registrations.by_id.values()) == 1)
        return agent

    async def knows(self, node: EdgeNode, count: int) -> None:
        """Wait until an edge has so many agents of the other one in its table of routes."""
        await until(lambda: node.parts.relaying.remote.count == count)

    async def visit(self, node: EdgeNode, hostname: str = HOSTNAME) -> bytes:
        """Ask an edge for a page, and return all of the answer."""
        client = RawConnection()
        await connectProtocol(TCP4ClientEndpoint(reactor, HOST, node.ports.http[0]), client)
        client.send(get(b"/", b"Connection: close", host=hostname.encode()))
        await client.lost()
        return client.received
