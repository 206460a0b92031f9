"""
Two edges and an agent as programs, a real etcd, and cables between all of them.

`edge1` dials `edge2`. The agent `app` has tunnels at both edges, the agent `far` at `edge2` only, so that `edge1`
relays what its visitors ask of it.
"""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread

from dns import exception, message, query
from tests.case import AsyncTestCase, reactor, short_directory_of, until, until_said
from tests.system.agent.origins import listen_at, port_of
from tests.system.agent.programs import Program, twistd_agent
from tests.system.edge.fleet.cable import Cable
from tests.system.edge.fleet.visitors import Origin, Visitors
from tests.system.edge.live import HOST, ZONE, edge_files
from tests.system.edge.test_admin import UnixConnection
from tests.system.ports import free_port
from tests.system.registry.etcd_peer import EtcdPeer
from warp_twisted.ca.issue import utc
from warp_twisted.ca.store import add_edge

APP, FAR = f"app.{ZONE}", f"far.{ZONE}"
STARTED_SECONDS = 120.0  # that programs may take to start on a machine that is busy
TWISTD = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"


class Edge:
    """
    One edge, whose process may come and go.

    :ivar address: of its visitors, in DNS.
    :ivar environment: what its process finds in its environment, beside a bare one.
    :ivar tunnel_port: where it takes tunnels; `etcd`, `peers`: the cables to etcd, and to it for other edges.
    """

    program: Program

    def __init__(self, directory: Path, name: str, address: str, etcd_port: int, *, answers_dns: bool = True) -> None:
        raw = edge_files(directory)
        if name != "edge1":
            add_edge(directory / "ca", name, utc(time.time()), [ZONE])
        self.name = name
        self.environment: dict[str, str] = {}
        self.address = address
        self.http_port, self.tunnel_port, self.dns_port = free_port(), free_port(), free_port()
        self.etcd = Cable(etcd_port)
        self.peers = Cable(self.tunnel_port, address)
        self.admin = directory / f"{name}.sock"
        for key in ("certificate", "key"):
            raw["ca"][key] = raw["ca"][key].replace("edge1", name)
        raw["edge"] = {
            "name": name,
            "addresses": [address],
            "http_port": 80,
            "tunnel_port": self.tunnel_port,
            "peer_addresses": [f"{address}:{self.peers.port}"],
        }
        raw["listen"] |= {
            "http": [f"tcp:{self.http_port}:interface={HOST}"],
            "tunnel": [f"tcp:{self.tunnel_port}:interface={address}"],
            "dns": [f"{HOST}:{self.dns_port}"] if answers_dns else [],
            "admin": str(self.admin),
            "metrics": None,
        }
        raw["state"] = str(directory / name)
        raw["registry"] = {"etcd": {"endpoints": [f"http://{HOST}:{self.etcd.port}"]}}
        raw["dns"] = {"transfer": {"networks": ["127.0.0.0/8"]}}
        raw["timeouts"] = {"drain": 2, "settle": 0}
        raw["log"] = {"access": None, "format": "text"}
        self._file = directory / f"{name}.yaml"
        self._file.write_text(yaml.safe_dump(raw))

    def configure(self, section: str, **values: object) -> None:
        """Change some keys of a section of its configuration, before it starts."""
        raw = yaml.safe_load(self._file.read_text())
        raw[section] |= values
        self._file.write_text(yaml.safe_dump(raw))

    def start(self) -> None:
        """Start it."""
        self.program = Program(
            "-c", TWISTD, "-n", "--pidfile=", "warp-edge", "--config", str(self._file), environment=self.environment
        )

    async def serves(self) -> None:
        """Wait until it does."""
        await self.program.says(f"edge {self.name} of {ZONE} serves")

    def call(self, method: str, target: str, body: object = None) -> "Deferred[tuple[int, Any]]":
        """Ask its admin interface; fires with status and decoded answer."""

        def work() -> tuple[int, Any]:
            connection = UnixConnection(str(self.admin))
            text = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
            connection.request(method, target, text)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            return answer.status, json.loads(content)

        return deferToThread(work)

    async def get(self, target: str) -> Any:
        """Ask it for something that it must have."""
        status, answer = await self.call("GET", target)
        if status != 200:
            raise AssertionError(answer)
        return answer

    async def peer(self) -> Any:
        """Return what it says of the other edge."""
        listed = await self.get("/v1/peers")
        return listed[0] if listed else {"alive": False, "tunnels": 0, "state": "", "problem": "", "losses": 0}

    async def believes(self, alive: bool, tunnels: int = 0) -> None:
        """Wait until it has the other edge for alive, with as many tunnels or more, or for dead."""

        async def ask() -> bool:
            peer = await self.peer()
            return bool(peer["alive"] == alive and (not alive or peer["tunnels"] >= tunnels))

        await until_said(ask, STARTED_SECONDS)

    async def end(self) -> None:
        """Kill it and take its cables away."""
        await self.program.end()
        await self.etcd.stop()
        await self.peers.stop()


class Answers:
    """
    What an edge's name server says of a hostname, asked again and again.

    :ivar seen: when an answer was asked for, and the addresses in it; only where it is another one than before.
    """

    def __init__(self, edge: Edge, hostname: str) -> None:
        self._question = message.make_query(hostname, "A")
        self._port = edge.dns_port
        self.seen: list[tuple[float, frozenset[str]]] = []
        self._asking = LoopingCall(lambda: deferToThread(self._ask).addCallback(self._note))

    def start(self) -> None:
        """Begin."""
        self._asking.start(0.02)

    def stop(self) -> None:
        """Ask no more."""
        self._asking.stop()

    def _ask(self) -> tuple[float, frozenset[str]] | None:
        at = reactor.seconds()
        with suppress(exception.Timeout, OSError):
            answer = query.udp(self._question, HOST, port=self._port, timeout=2)
            return at, frozenset(str(item) for rrset in answer.answer for item in rrset)
        return None

    def _note(self, found: tuple[float, frozenset[str]] | None) -> None:
        if found is not None and (not self.seen or self.seen[-1][1] != found[1]):
            self.seen.append(found)

    def when(self, *addresses: str, since: float) -> float | None:
        """Return how long after an instant just these addresses were in the answer first; None: never."""
        return next((at - since for at, found in self.seen if at >= since and found == set(addresses)), None)


class FleetCase(AsyncTestCase):
    """A fleet that serves, and visitors who ask."""

    timeout = 400
    answer_dns = True  # whether the edges do so themselves

    async def prepare(self) -> None:
        self.directory = short_directory_of(self)
        self.etcd = EtcdPeer()
        self.clean_up_with(self.etcd.remove)
        await self.etcd.start()
        port = int(self.etcd.url.rpartition(":")[2])
        self.edge1 = Edge(self.directory, "edge1", "127.0.0.1", port, answers_dns=self.answer_dns)
        self.edge2 = Edge(self.directory, "edge2", "127.0.0.2", port, answers_dns=self.answer_dns)
        self.made()
        for edge in self.edges():
            edge.start()
            self.clean_up_with(edge.end)
        for edge in self.edges():
            await edge.serves()
        factory = Factory.forProtocol(Origin)
        factory.noisy = False
        listening = listen_at(TCP4ServerEndpoint(reactor, 0, interface=HOST), factory)
        self.addCleanup(listening.stopListening)
        self.to_edge2 = Cable(self.edge2.tunnel_port, self.edge2.address)
        self.clean_up_with(self.to_edge2.stop)
        self.origin_port = port_of(listening)
        edges = [f"{HOST}:{self.edge1.tunnel_port}", f"{self.edge2.address}:{self.to_edge2.port}"]
        self.app = await self.agent("app", self.origin_port, edges)
        self.far = await self.agent("far", self.origin_port, edges[1:])
        await self.edge1.believes(True, 4)
        await self.edge2.believes(True, 2)
        self.visitors = Visitors({edge.name: edge.http_port for edge in self.edges()}, [APP, FAR])
        self.addCleanup(self.visitors.stop)
        self.visitors.start()

    def made(self) -> None:
        """Change the edges before they start."""

    def edges(self) -> Iterator[Edge]:
        """Yield both."""
        yield from (self.edge1, self.edge2)

    async def all_served(self, since: float, *edges: str) -> None:
        """Wait until each hostname was served at edges after an instant."""
        wanted = {(edge, name) for edge in edges for name in (APP, FAR)}
        await until(
            lambda: (
                wanted
                <= {
                    (each.edge, each.hostname)
                    for each in self.visitors.asked
                    if each.at >= since and each.status == 200
                }
            ),
            timeout=STARTED_SECONDS,
        )

    async def agent(self, name: str, origin: int, edges: list[str], issuer: Edge | None = None) -> Program:
        """
        Enroll an agent, and let it serve a hostname of its name over two tunnels to each edge.

        :param issuer: the edge that makes its token; the second one if none is named.
        """
        status, token = await (issuer or self.edge2).call("POST", "/v1/tokens", {"hostnames": [f"{name}.{ZONE}"]})
        self.assertEqual(status, 200, token)
        file = self.directory / f"{name}.yaml"
        (self.directory / f"{name}.token").write_text(token["token"])
        file.write_text(
            f"state: {self.directory}/{name}\ntoken_file: {self.directory}/{name}.token\nedges: {json.dumps(edges)}\n"
            f"tunnels: {2 * len(edges)}\n"
            f"ingress: [{{hostname: {name}.{ZONE}, service: 'http://{HOST}:{origin}'}}, {{service: 'http_status:404'}}]"
        )
        agent = twistd_agent(str(file), environment={"HOME": str(self.directory)})
        self.clean_up_with(agent.end)
        return agent

    async def agent_id(self, name: str) -> str:
        """Return the id of an agent, by the hostname that it serves."""
        tunnels = (await self.edge1.get("/v1/status"))["tunnels"]
        return str(next(each["agent"] for each in tunnels if f"{name}.{ZONE}" in each["hostnames"]))
