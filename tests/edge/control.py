"""The control side of an edge in memory: registry, tunnels and agents, on one clock."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

import msgspec
from twisted.internet.defer import Deferred, execute
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tests.clocks import SettableWallClock
from warp_base.slices import Slices
from warp_twisted.ca.issue import (
    INTERMEDIATE_LIFETIME,
    AgentIdentity,
    Issuer,
    agent_identity,
    issue_agent,
    issue_intermediate,
    issue_root,
    new_key,
    utc,
)
from warp_twisted.ca.store import EdgeAuthority
from warp_twisted.configuration import convert
from warp_twisted.coverage import is_reserved
from warp_twisted.edge.agents.admission import Admission
from warp_twisted.edge.agents.enrollment import Enrollment
from warp_twisted.edge.agents.incumbents import ANSWER_SECONDS
from warp_twisted.edge.agents.registrations import EdgeTunnel, Registrations
from warp_twisted.edge.agents.returning import Returning
from warp_twisted.edge.agents.tunnels import EdgeTunnels
from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.owners.holdings import Holdings
from warp_twisted.edge.owners.ownership import Ownership
from warp_twisted.edge.peers.renewals import Renewals
from warp_twisted.edge.policy.asked import AskedPolicies
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.names import HostnamePattern
from warp_twisted.registry.claims import Claims
from warp_twisted.registry.given_names import NameGiver
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Agent, Edge, encode
from warp_twisted.registry.published.grace import Grace
from warp_twisted.registry.published.publish import Publication
from warp_twisted.registry.published.publisher import Publisher
from warp_twisted.registry.store import MAX_LIVE_VALUE_BYTES
from warp_twisted.testing import RecordingDelegate, TunnelPair, tunnel_pair
from warp_twisted.tunnel import TunnelProtocol
from warp_twisted.wire.control import ControlMessage, Hello, RouteOffer
from warp_twisted.wire.errors import WireError

ZONE = "warp.example"
NOW = 1_800_000_000.0

M = TypeVar("M", bound=ControlMessage)


CA = {"root": "root.pem", "certificate": "edge1.pem", "key": "edge1.key"}


def make_settings(**sections: object) -> EdgeSettings:
    """Return settings of an edge that points to nothing on disk."""
    raw: dict[str, object] = {
        "zone": ZONE,
        "edge": {"name": "edge1", "addresses": ["192.0.2.1"]},
        "ca": CA,
        "log": {"access": None},
    }
    return convert({**raw, **sections}, EdgeSettings, "edge.yaml")


def make_authority(
    now: float = NOW, permitted: Sequence[str] = (), lifetime: timedelta = INTERMEDIATE_LIFETIME
) -> EdgeAuthority:
    """Return an edge's intermediate under a root of its own."""
    root_key, edge_key = new_key(), new_key()
    root = Issuer(issue_root(root_key, ZONE, utc(now)), root_key)
    certificate = issue_intermediate(root, edge_key.public_key(), "edge1", utc(now), permitted, lifetime)
    return EdgeAuthority(Issuer(certificate, edge_key, (certificate,)), (root.certificate,))


class RecordingRoutes:
    """A route table that remembers what it was told."""

    def __init__(self) -> None:
        self.served: dict[EdgeTunnel, list[RouteOffer]] = {}
        self.draining: set[EdgeTunnel] = set()
        self.complaints: dict[tuple[EdgeTunnel, str, str], str | None] = {}
        self._takers: dict[str, set[EdgeTunnel]] = {}

    def add(self, tunnel: EdgeTunnel, offers: Sequence[RouteOffer]) -> None:
        """Remember, or refuse a path that says so."""
        if any(offer.path == "bad(" for offer in offers):
            raise EdgeError("path 'bad(' cannot be used")
        self.remove(tunnel)
        self.served[tunnel] = list(offers)
        for offer in offers:
            self._takers.setdefault(offer.hostname, set()).add(tunnel)

    def remove(self, tunnel: EdgeTunnel) -> None:
        """Forget."""
        self._take_no_more(tunnel)
        self.served.pop(tunnel, None)

    def drain(self, tunnel: EdgeTunnel) -> None:
        """Remember."""
        self._take_no_more(tunnel)
        self.draining.add(tunnel)

    def is_served(self, hostname: str) -> bool:
        """Whether a tunnel that does not drain offers it."""
        return bool(self._takers.get(hostname))

    def report(self, tunnel: EdgeTunnel, hostname: str, path: str, complaint: str | None) -> None:
        """Remember."""
        self.complaints[tunnel, hostname, path] = complaint

    def _take_no_more(self, tunnel: EdgeTunnel) -> None:
        for offer in self.served.get(tunnel, ()):
            self._takers.get(offer.hostname, set()).discard(tunnel)

    @property
    def hostnames(self) -> list[str]:
        """Every hostname that is served, once for each tunnel."""
        return sorted(offer.hostname for offers in self.served.values() for offer in offers)


class OneEdge:
    """What agents are told of a fleet of one edge."""

    def tunnel_addresses(self) -> list[str]:
        """Return where it takes tunnels."""
        return ["192.0.2.1:7844"]

    def urls(self, hostname: str) -> list[str]:
        """Return both."""
        return [f"https://{hostname}", f"http://{hostname}"]

    def name_servers(self) -> dict[str, list[str]]:
        """Return one."""
        return {"ns1.warp.example": ["192.0.2.1:53"]}


class EndsOfTunnels:
    """
    The delegate of the edge's tunnels, which passes everything on.

    :ivar reasons: why each tunnel ended, as its edge says.
    """

    def __init__(self, tunnels: EdgeTunnels) -> None:
        self._tunnels = tunnels
        self.reasons: dict[TunnelProtocol, str] = {}
        self.tunnel_opened = tunnels.tunnel_opened
        self.control_received = tunnels.control_received
        self.stream_opened = tunnels.stream_opened
        self.drain_received = tunnels.drain_received
        self.tunnel_hung_up = tunnels.tunnel_hung_up

    def tunnel_lost(self, tunnel: TunnelProtocol, error: WireError) -> None:
        """Note the reason."""
        self.reasons[tunnel] = str(error)
        self._tunnels.tunnel_lost(tunnel, error)


class AgentEnd:
    """An agent with one tunnel."""

    def __init__(self, pair: TunnelPair, delegate: RecordingDelegate, agent: str, reasons: dict[TunnelProtocol, str]):
        self.pair = pair
        self.delegate = delegate
        self.agent = agent
        self._reasons = reasons

    @property
    def messages(self) -> list[ControlMessage]:
        """What the edge said."""
        return self.delegate.messages

    @property
    def ending(self) -> tuple[str, str] | None:
        """How the edge ended the tunnel: the code that the agent heard, and the reason; None while it lives."""
        if not self.delegate.losses:
            return None
        _, is_told, code = str(self.delegate.losses[0]).partition("the peer ended the tunnel: ")
        return code if is_told else "NORMAL", self._reasons[self.pair.edge]

    def answer(self, kind: type[M]) -> M:
        """Return the edge's last message, which must be of a kind."""
        message = self.messages[-1]
        assert isinstance(message, kind), message
        return message

    def send(self, message: ControlMessage) -> None:
        """Say something, and let it be answered."""
        self.pair.agent.send_control(message)
        self.pair.pump()

    def lose(self) -> None:
        """Be killed, or lose the network: the connection ends without a word."""
        for end in (self.pair.agent, self.pair.edge):
            end.connectionLost(Failure(ConnectionLost()))
        self.pair.clock.advance(0)

    def hello(self, *hostnames: str, slot: int = 0, session: str = "s", **changes: object) -> None:
        """Introduce the agent, offering some hostnames."""
        routes = [RouteOffer(id=number, hostname=name) for number, name in enumerate(hostnames)]
        hello = Hello(
            version=1, software="test", agent_id=self.agent, session=session, slot=slot, routes=routes, labels={}
        )
        self.send(msgspec.structs.replace(hello, **changes))


class Control:
    """
    An edge without sockets.

    :param issuer_lifetime: of its intermediate.
    """

    def __init__(self, issuer_lifetime: timedelta = INTERMEDIATE_LIFETIME, /, **sections: object) -> None:
        self.clock = Clock()
        self.wall = SettableWallClock(NOW, self.clock)
        self.settings = make_settings(**sections)
        self.store = MemoryStore(self.clock, max_value_bytes=MAX_LIVE_VALUE_BYTES)  # of both kinds
        self.mirror = Mirror(self.store, self.clock)
        self.publication = Publication(ZONE)
        publisher = Publisher(self.publication, self.mirror, Slices(self.clock))
        self.grace = Grace(publisher, self.clock, self.settings.edge.name, self.settings.dns.grace)
        self.claims = Claims(self.store, self.clock, self.settings.timeouts.lease)
        self.routes = RecordingRoutes()
        self.asked = AskedPolicies(execute)
        self.pairs: list[TunnelPair] = []
        self.authority = make_authority(lifetime=issuer_lifetime)
        registrations = Registrations()
        self.holdings = Holdings(self.mirror)
        self.ownership = Ownership(self.store, self.holdings, registrations, self.wall, lambda: self.settings)
        self.renewals = Renewals(self.store, self.mirror, self.clock, self.wall)
        self.enrollment = Enrollment(
            self.store, self.mirror, self.authority, self.wall, lambda: self.settings, self.is_reserved, self.ownership,
            self.renewals.issued,
        )  # fmt: skip
        self.returning = Returning(
            self.store, self.mirror, self.authority.roots, self.enrollment, self.clock, self.wall,
            lambda: self.settings,
        )  # fmt: skip
        names = NameGiver(self.store, self.mirror, ZONE, self.is_reserved)
        self.tunnels = EdgeTunnels(
            self.clock,
            self.wall,
            lambda: self.settings,
            routes=self.routes,
            mirror=self.mirror,
            claims=self.claims,
            grace=self.grace,
            admission=Admission(self.mirror, names, identify, self.is_reserved),
            registrations=registrations,
            ownership=self.ownership,
            authority=self.enrollment,
            fleet=OneEdge(),
            asked=self.asked,
        )
        self.renewals.heard = self.tunnels.expiry.noted
        self.ends = EndsOfTunnels(self.tunnels)

    async def start(self) -> None:
        """Begin, as one edge of the fleet."""
        await self.mirror.start()
        self.claims.start()
        self.tunnels.start()
        edge = Edge(name="edge1", addresses=("192.0.2.1",), http_port=80, tunnel_port=7844)
        _, settled = self.claims.put(edge)
        self.clock.advance(0)
        await settled

    async def stop(self) -> None:
        """End, leaving no call behind."""
        await self.close_tunnels()
        self.grace.stop()
        self.renewals.stop()
        await self.claims.stop()
        self.mirror.stop()
        await self.store.close()

    async def close_tunnels(self) -> None:
        """Stop as an edge does, letting the goodbyes pass."""
        stopping = Deferred.fromCoroutine(self.tunnels.stop(1))
        self.clock.pump([0] * (len(self.pairs) + 1))
        for pair in self.pairs:
            pair.pump()
        self.clock.advance(1)
        await stopping

    def is_reserved(self, hostname: str) -> bool:
        """Whether the zone keeps a hostname."""
        return is_reserved(hostname, ZONE, ["ns1", *self.mirror.edges])

    async def enrolled(self, agent: str = "a-1", *patterns: str, group: str = "blue", **labels: str) -> None:
        """Make an agent known."""
        record = Agent(id=agent, hostnames=patterns or ("*.warp.example",), labels=labels, group=group)
        await self.store.put(record.key, encode(record))

    def connect(self, agent: str = "a-1", *patterns: str, lifetime: timedelta = timedelta(hours=24)) -> AgentEnd:
        """Dial as an agent whose certificate allows some patterns; nothing is said yet."""
        allowed = [HostnamePattern.parse(text) for text in patterns or ("*.warp.example",)]
        certificate = issue_agent(
            self.authority.issuer, new_key().public_key(), agent, allowed, utc(self.wall.now()), lifetime
        )
        delegate = RecordingDelegate()
        pair = tunnel_pair(self.ends, delegate, clock=self.clock, certificate=certificate)
        self.pairs.append(pair)
        return AgentEnd(pair, delegate, agent, self.ends.reasons)

    def bury(self, *ends: AgentEnd) -> None:
        """Let the second pass in which the tunnels that these agents would replace answer nothing."""
        self.clock.advance(ANSWER_SECONDS)
        for end in ends:
            end.pair.pump()

    def names(self) -> list[str]:
        """Return the hostnames with addresses that DNS publishes, edges left out."""
        return sorted(
            owner
            for owner, records in self.publication.snapshot().items()
            if records[0].type == "A" and owner != f"edge1.{ZONE}" and "._label." not in owner
        )


def identify(protocol: TunnelProtocol) -> AgentIdentity:
    """Read the certificate of a tunnel in memory."""
    certificate = protocol.peer_certificate
    if certificate is None:
        raise EdgeError("no certificate")
    return agent_identity(certificate)
