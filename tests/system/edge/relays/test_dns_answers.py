"""Which edges stand in DNS answers of two linked edges: those that reach a tunnel, as each edge knows by its link."""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutput

from tests.case import reactor, until
from tests.system.edge.relays.two_edges import HOSTNAME, TwoEdgesCase
from tests.system.forwarder import Forwarder
from warp_twisted.edge.listeners import Name
from warp_twisted.edge.node import EdgeNode

FIRST, SECOND = "192.0.2.1", "192.0.2.2"


class AnswersTests(TwoEdgesCase):
    """Asked by dig at both edges."""

    addresses: ClassVar[Mapping[str, Sequence[str]]] = {"edge1": ("127.0.0.1", FIRST), "edge2": ("127.0.0.1", SECOND)}

    def reached_at(self, address: str) -> str:
        """Let edges reach each other through something that can fall silent."""
        forwarder = Forwarder(address)
        self.forwarders = [*getattr(self, "forwarders", []), forwarder]
        self.clean_up_with(forwarder.stop)
        return forwarder.start()

    async def answers(self, node: EdgeNode, hostname: str = HOSTNAME) -> set[str]:
        """Return which of the two addresses an edge answers."""
        ((host, port),) = node.ports.dns
        question = [f"@{host}", "-p", str(port), hostname, "A", "+short", "+norec", "+tries=1", "+time=2"]
        output: bytes = await getProcessOutput("dig", question, reactor=reactor, errortoo=True)
        return set(output.decode().split()) & {FIRST, SECOND}

    async def both_answer(self, *expected: str) -> None:
        """Wait until both edges answer these addresses."""
        for node in self.nodes:
            while await self.answers(node) != set(expected):
                pass

    async def test_by_relay(self) -> None:
        """An edge without a tunnel of a hostname stands in its answer as long as it reaches the one that has it."""
        await self.agent(self.nodes[1], "far")
        await self.both_answer(FIRST, SECOND)

    async def test_silent_edge(self) -> None:
        """An edge that falls silent is out of the other's answers once their link notices, and back by itself."""
        first, second = self.nodes
        await self.agent(first, "near")
        await self.agent(second, "far")
        await self.both_answer(FIRST, SECOND)
        self.set_silent(self.forwarders, is_silent=True)
        await until(lambda: not first.parts.peers.links.names())  # 1.8 s later
        self.assertEqual(await self.answers(first), {FIRST})
        self.set_silent(self.forwarders, is_silent=False)
        await self.both_answer(FIRST, SECOND)

    async def test_name_of_a_lost_edge(self) -> None:
        """A hostname that the lost edge alone served is not denied: its agent may come to the other, which it names."""
        first, second = self.nodes
        await self.agent(second, "far")
        await self.both_answer(FIRST, SECOND)
        self.set_silent(self.forwarders, is_silent=True)
        answers: list[set[str]] = []
        while first.parts.peers.links.names() or not answers or answers[-1] != {FIRST}:
            answers.append(await self.answers(first))
        self.assertTrue(all(answers), answers)
        self.assertEqual(first.parts.grace.count, 1)

    def set_silent(self, forwarders: Iterable[Forwarder], *, is_silent: bool) -> None:
        """Let nothing through, or all again."""
        for forwarder in forwarders:
            forwarder.is_silent = is_silent

    async def test_draining_edge(self) -> None:
        """An edge that drains is out of both edges' answers before it closes a socket for visitors."""
        first, second = self.nodes
        await self.agent(second, "far")
        await self.agent(first, "near")
        await self.both_answer(FIRST, SECOND)
        closed: list[set[str]] = []
        close = second.parts.listeners.close

        async def closing(*names: Name) -> None:
            if "http" in names and not closed:
                closed.append(await self.answers(first))
                closed.append(await self.answers(second))
            await close(*names)

        second.parts.listeners.close = closing  # type: ignore[method-assign]
        drained: Deferred[None] = second.drain()
        await drained
        self.assertEqual(closed, [{FIRST}, {FIRST}])
