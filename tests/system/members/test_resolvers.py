"""What resolvers of other makes say of a name whose agent is killed and restarted, or stops: unbound and BIND."""

import time
from collections.abc import Sequence

import dns.exception
import dns.message
import dns.query
import dns.rcode
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from tests.case import reactor, until, until_said
from tests.system.dns.peers import RESOLVERS, Peer
from tests.system.edge.live import HOST, ZONE
from tests.system.members.beside import HOSTNAME, BesideTestCase, Machine

TTL, NEGATIVE_TTL = 1, 2
AWAY_SECONDS = 5.0


class ResolverTests(BesideTestCase):
    """An edge that answers DNS, an agent as a program, and resolvers that are asked all the time."""

    sections: dict[str, object] = {"dns": {"ttl": TTL, "negative_ttl": NEGATIVE_TTL}}

    async def prepare(self) -> None:
        """Start them, and wait until the resolvers find the name."""
        await super().prepare()
        self.resolvers = [Peer(kind) for kind in RESOLVERS]
        for resolver in self.resolvers:
            self.addCleanup(resolver.stop)
            resolver.resolve(reactor, ZONE, self.node.ports.dns[0][1])
        self.agent: Machine = await self.machine("agent")
        await self.serve(self.agent)
        await self.until_all_say(HOST, 20)

    def resolve(self) -> "Deferred[list[str]]":
        """Return what each resolver says: the address, or a response code."""

        def ask(port: int) -> str:
            query = dns.message.make_query(HOSTNAME, "A")
            try:
                reply = dns.query.udp(query, "127.0.0.1", timeout=2, port=port)
            except dns.exception.Timeout:
                return "TIMEOUT"
            said = [str(record) for rrset in reply.answer for record in rrset]
            return " ".join(said) or dns.rcode.to_text(reply.rcode())

        return gatherResults([deferToThread(ask, resolver.port) for resolver in self.resolvers])

    async def until_all_say(self, answer: str, seconds: float) -> None:
        """Wait until every resolver says so."""

        async def is_said() -> bool:
            return set(await self.resolve()) == {answer}

        await until_said(is_said, seconds)

    async def said_for(self, seconds: float) -> Sequence[str]:
        """Ask for a while, and return the answers."""
        said: list[str] = []
        until_at = time.monotonic() + seconds
        while time.monotonic() < until_at:
            said += await self.resolve()
            await deferLater(reactor, 0.05)
        return said

    async def test_killed(self) -> None:
        """While an agent is killed, away for five seconds, and back again, no resolver hears of no such name."""
        self.agent.program.signal("KILL")
        await until(lambda: not self.tunnels)
        said = await self.said_for(AWAY_SECONDS)
        self.assertEqual(self.node.parts.grace.count, 1)
        self.assertEqual((await self.ask()).status, 503)
        self.start(self.agent)
        await until(lambda: bool(self.tunnels), 20)
        said = [*said, *await self.said_for(2 * TTL)]
        self.assertGreater(len(said), 50)
        self.assertEqual(set(said), {HOST})
        self.assertEqual((await self.ask()).origin, "agent")

    async def test_stopped(self) -> None:
        """When an agent stops, resolvers deny its name after the TTL, and find it again after the negative one."""
        self.agent.program.signal("TERM")
        await self.agent.program.exited
        await until(lambda: not self.node.parts.publication.records_of(HOSTNAME), 1)
        await self.until_all_say("NXDOMAIN", TTL + 3)
        self.start(self.agent)
        await until(lambda: bool(self.tunnels), 20)
        await self.until_all_say(HOST, NEGATIVE_TTL + 3)
