"""Edges of one fleet in this process, each with a registry of its own that holds the others' records."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.case import AsyncTestCase, short_directory_of, until
from tests.system.edge.live import ZONE, EnrolledAgent, enroll_agent, make_node, new_token
from warp_twisted.ca.issue import utc
from warp_twisted.ca.store import add_edge
from warp_twisted.edge.node import EdgeNode
from warp_twisted.registry.edge_records import EdgeRecord
from warp_twisted.registry.model import encode


def make_edge(directory: Path, name: str, **sections: Any) -> EdgeNode:
    """Return another edge of the fleet whose root is in a directory."""
    ca = directory / "ca"
    if not (ca / f"{name}.pem").exists():
        add_edge(ca, name, utc(time.time()), [ZONE])
    return make_node(
        directory,
        edge={"name": name, "addresses": ["127.0.0.1"]},
        ca={"certificate": str(ca / f"{name}.pem"), "key": str(ca / f"{name}.key")},
        listen={"admin": str(directory / f"{name}.sock")} | sections.pop("listen", {}),
        state=str(directory / name),
        **sections,
    )


async def introduce(nodes: Iterable[EdgeNode]) -> None:
    """Put each edge's record into every other's registry, as a registry that they share would."""
    nodes = list(nodes)
    for node in nodes:
        record = await record_of(node)
        for other in nodes:
            if other is not node:
                await other.parts.store.put(record.key, encode(record))


async def record_of(node: EdgeNode) -> EdgeRecord:
    """Return the record that an edge has written of itself."""
    records, name = node.parts.mirror.edge_records, node.settings.edge.name
    await until(lambda: name in records)
    return records[name]


class PairTestCase(AsyncTestCase):
    """Two edges that know each other."""

    timeout = 300

    async def prepare(self) -> None:
        """Start both, and wait until they are linked."""
        self.directory = short_directory_of(self)
        self.edge1 = make_node(self.directory)
        self.edge2 = make_edge(self.directory, "edge2")
        for node in (self.edge1, self.edge2):
            await self.start(node)
        await introduce((self.edge1, self.edge2))
        await self.linked()

    async def start(self, node: EdgeNode) -> None:
        """Start an edge, to be stopped at the end."""
        node.startService()
        self.clean_up_with(lambda: self.stop(node))
        await node.started

    async def stop(self, node: EdgeNode) -> None:
        """Stop an edge, unless it was."""
        if node.running:
            await node.stopService()

    async def linked(self) -> None:
        """Wait until both edges know each other to be alive."""
        await until(lambda: self.edge1.parts.peers.links.names() == ["edge2"])
        await until(lambda: self.edge2.parts.peers.links.names() == ["edge1"])

    async def agent(self, node: EdgeNode, name: str = "agent") -> EnrolledAgent:
        """Enroll an agent at an edge."""
        agent = await enroll_agent(node.ports.tunnel[0], await new_token(node), self.directory / name)
        self.clean_up_with(agent.close)
        return agent
