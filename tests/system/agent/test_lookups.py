"""Origins and edges that are named, with a resolver in the hands of the test and everything else real."""

import socket
from collections.abc import Sequence
from threading import Event

from twisted.internet.defer import gatherResults
from twisted.internet.interfaces import IReactorPluggableNameResolver
from twisted.internet.protocol import Factory

from tests.case import reactor
from tests.system.agent.base import AgentTestCase
from tests.system.agent.origins import Echo
from warp_twisted.lookups import MAX_THREADS, Found, SharedLookups
from warp_twisted.wire.preamble import OpeningCode

ECHO = Factory.forProtocol(Echo)
ECHO.noisy = False
DIALS = 5 * MAX_THREADS


class SlowNameTests(AgentTestCase):
    """A name server that does not answer."""

    timeout = 30

    def setUp(self) -> None:
        super().setUp()
        self.is_answered = Event()
        self.addCleanup(self.is_answered.set)
        self.asked: list[str] = []
        pluggable = IReactorPluggableNameResolver(reactor)
        before = pluggable.installNameResolver(SharedLookups(reactor, self.resolve))
        self.addCleanup(pluggable.installNameResolver, before)

    def resolve(self, host: str) -> Sequence[Found]:
        """Wait in the thread until the test lets slow names be answered."""
        self.asked.append(host)
        if host.startswith("slow"):
            self.is_answered.wait(60)
        return [(socket.AF_INET, ("127.0.0.1", 0))]

    async def test_one_slow_name(self) -> None:
        """Many visitors of an origin with a slow name share one look-up; an origin beside it is reached at once."""
        port = self.listen(ECHO)
        await self.start(
            "ingress:\n"
            f"- {{path: slow, service: 'tcp://slow.example:{port}'}}\n"
            f"- {{service: 'tcp://quick.example:{port}'}}\n"
        )
        waiting = [self.edge.visit(0, b"hello") for _ in range(DIALS)]
        visit = self.edge.visit(1, b"hello")
        self.assertEqual(await visit.read(5), b"hello")
        self.assertEqual([each.openings for each in waiting], [[]] * DIALS)
        self.is_answered.set()
        openings = await gatherResults([each.opened for each in waiting])
        self.assertEqual({opening.code for opening in openings}, {OpeningCode.OPENED})
        self.assertEqual(sorted(self.asked), ["quick.example", "slow.example"])

    async def test_many_slow_names(self) -> None:
        """An origin whose name is known is reached while more slow names are asked for than there are threads."""
        port = self.listen(ECHO)
        rules = "\n".join(f"- {{path: a{n}, service: 'tcp://slow{n}.example:{port}'}}" for n in range(DIALS))
        agent = await self.start(f"ingress:\n- {{path: quick, service: 'tcp://quick.example:{port}'}}\n{rules}\n"
                                 "- {service: 'http_status:404'}\n")  # fmt: skip
        self.assertEqual(len(agent.routes.offered), DIALS + 2)
        for number in range(DIALS):
            self.edge.visit(number + 1, b"hello")
        for _ in range(2):
            visit = self.edge.visit(0, b"hello")
            self.assertEqual(await visit.read(5), b"hello")
        self.assertLess(len(self.asked), MAX_THREADS)

    async def test_waits_no_longer_than_the_rule_says(self) -> None:
        """A look-up counts in the connect time-out, and the visitor hears of it."""
        await self.start("ingress: [{service: 'tcp://slow.example:1', originRequest: {connect_timeout: 0.2}}]")
        opening = await self.edge.visit(0, b"hello").opened
        self.assertIs(opening.code, OpeningCode.ORIGIN_TIMED_OUT)
