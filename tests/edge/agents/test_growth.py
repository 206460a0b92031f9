"""Tests that what a tunnel costs the edge does not depend on how many others there are."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from tests.case import AsyncTestCase
from tests.edge.control import NOW, Control
from tests.operations import count_operations
from warp_twisted.ca.issue import AgentIdentity
from warp_twisted.edge.agents.admission import Admission
from warp_twisted.names import HostnamePattern
from warp_twisted.registry.claims import BATCH
from warp_twisted.registry.given_names import NameGiver
from warp_twisted.tunnel import TunnelProtocol, TunnelTimes
from warp_twisted.wire.control import Accepted, ControlMessage, Hello, RouteOffer
from warp_twisted.wire.errors import ConnectionLost, TunnelClosed, WireError

FEW, MANY = 160, 1560  # on both sides the last page of the list of applications is equally full
_CLOSED = TunnelClosed("gone")
PATTERNS = (HostnamePattern.parse("*.warp.example"),)


class SilentProtocol:
    """A tunnel without a transport."""

    def __init__(self, agent: str) -> None:
        self.agent = agent
        self.peer = SimpleNamespace(host="192.0.2.7")
        self.messages: list[ControlMessage] = []
        self.times = TunnelTimes()

    def send_control(self, message: ControlMessage) -> None:
        """Note what the edge says."""
        self.messages.append(message)


class GrowthTests(AsyncTestCase):
    """An edge in memory, from an agent's hello to the records, and back."""

    async def prepare(self) -> None:
        """Start the edge; agents are known by their protocols."""
        self.control = Control(limits={"tunnels": 2 * MANY})
        names = NameGiver(self.control.store, self.control.mirror, "warp.example", self.control.is_reserved)
        self.control.tunnels._admission = Admission(
            self.control.mirror, names, cast(Any, self.identify), self.control.is_reserved
        )
        await self.control.start()
        self.protocols: list[TunnelProtocol] = []
        self.addCleanup(self.finish)

    async def finish(self) -> None:
        """Lose what is left, and stop."""
        for protocol in self.protocols:
            self.lose(protocol)
        await self.control.stop()

    def identify(self, protocol: SilentProtocol) -> AgentIdentity:
        """Say who an agent is."""
        return AgentIdentity(id=protocol.agent, patterns=PATTERNS, expires_at=NOW + 1e6, serial=1)

    def register(self, number: int) -> TunnelProtocol:
        """Let an agent register a tunnel for a hostname of its own."""
        end = SilentProtocol(f"a-{number:05}")
        protocol = cast(TunnelProtocol, end)
        hello = Hello(
            version=1,
            software="test",
            agent_id=end.agent,
            session="s",
            slot=0,
            routes=[RouteOffer(id=0, hostname=f"app{number:05}.warp.example")],
            labels={"release": "stable"},
        )
        self.control.tunnels.tunnel_proven(protocol)
        self.control.tunnels.control_received(protocol, hello)
        self.control.clock.advance(0)
        assert isinstance(end.messages[-1], Accepted)
        return protocol

    def lose(self, protocol: TunnelProtocol, error: WireError = _CLOSED) -> None:
        """Let a tunnel end."""
        self.control.tunnels.tunnel_lost(protocol, error)
        self.control.clock.advance(0)

    def cost_at(self, count: int, work: Callable[[int], object]) -> int:
        """Return what some work costs beside so many tunnels."""
        while len(self.protocols) < count:
            self.protocols.append(self.register(len(self.protocols)))
        return count_operations(lambda: work(99_000 + count))

    def test_registration(self) -> None:
        """A registration costs no more beside many tunnels than beside few: admission, registry, mirror, records."""
        few, many = (
            self.cost_at(count, lambda number: self.protocols.append(self.register(number))) for count in (FEW, MANY)
        )
        self.assertLess(many, 1.02 * few)

    def test_end(self) -> None:
        """The end of a tunnel costs no more beside many others than beside few."""
        few, many = (self.cost_at(count, lambda number: self.lose(self.protocols.pop())) for count in (FEW, MANY))
        self.assertLess(many, 1.02 * few)
        self.assertEqual(len(self.control.tunnels.registrations.by_id), MANY - 1)

    def test_end_without_a_goodbye(self) -> None:
        """So does one without a goodbye, whose name is kept, beside many that are kept."""

        def at(count: int) -> int:
            self.cost_at(count, lambda number: None)
            self.control.grace.begin("a-away", [f"away{number}.warp.example" for number in range(count // 2)])
            self.control.clock.advance(0)
            return self.cost_at(count, lambda number: self.lose(self.protocols.pop(), ConnectionLost("gone")))

        few, many = at(FEW), at(MANY)
        self.assertLess(many, 1.02 * few)

    def test_ends_of_one_turn(self) -> None:
        """Tunnels that are lost in one turn are taken out of the registry together, by the batch."""
        self.cost_at(FEW, lambda number: None)
        revision = self.control.store.revision
        for protocol in self.protocols:
            self.control.tunnels.tunnel_lost(protocol, TunnelClosed("gone"))
        self.protocols.clear()
        self.control.clock.advance(0)
        self.assertEqual(self.control.store.revision, revision + -(-FEW // BATCH))
        self.assertEqual(self.control.names(), [])
