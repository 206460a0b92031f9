"""Tests of who pays for being let in: the network of a new agent, once for each request."""

from typing import cast

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from tests.case import AsyncTestCase
from tests.edge.control import Control, make_settings
from warp_twisted.ca.issue import new_key, new_request
from warp_twisted.ca.tokens import JoinTokenText, parse_token
from warp_twisted.edge.agents.entrance import TOLD_EVERY_SECONDS, Entrance
from warp_twisted.tunnel.enrollment import Asker
from warp_twisted.wire.control import Enrolled, EnrollRefused, EnrollRequest, ReturnRequest


class EntranceTests(AsyncTestCase):
    """An edge with a burst of two and one enrollment a second."""

    async def prepare(self) -> None:
        """Start it, with a token for many."""
        self.control = Control(limits={"enrollments_per_second": 1, "enrollment_burst": 2})
        await self.control.start()
        self.addCleanup(self.control.stop)
        self.entrance = Entrance(
            self.control.clock, lambda: self.control.settings, self.control.enrollment, self.control.returning
        )
        _, text = await self.control.enrollment.create_token(
            edges=["192.0.2.1:7844"], hostnames=["*.warp.example"], labels={}, uses=100, ttl_seconds=600
        )
        self.token: JoinTokenText = parse_token(text)

    async def enroll(self, address: str = "192.0.2.1") -> Enrolled | EnrollRefused:
        """Ask as a new agent does."""
        request = EnrollRequest(token_id=self.token.id, secret=self.token.secret, csr_pem=new_request(new_key()))
        return await self.entrance.ask(request, Asker(nonce="n", address=address))

    async def let_in(self, count: int, address: str = "192.0.2.1") -> int:
        """Ask so often; returns how many were let in."""
        return [isinstance(await self.enroll(address), Enrolled) for _ in range(count)].count(True)

    async def test_burst_and_rate(self) -> None:
        """A burst passes, then one a second, for each network apart; a mapped IPv4 address is that address."""
        self.assertEqual(await self.let_in(4), 2)
        self.assertEqual(await self.let_in(1, "::ffff:192.0.2.1"), 0)
        self.assertEqual(await self.let_in(3, "192.0.2.2"), 2)
        self.control.clock.advance(1)
        self.assertEqual(await self.let_in(2), 1)

    async def test_told(self) -> None:
        """Who is one too many hears when to ask again, and gets in then; metric and log tell the operator."""
        lines: list[LogEvent] = []
        observer = cast(ILogObserver, lines.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        await self.let_in(2)
        answer = await self.enroll()
        assert isinstance(answer, EnrollRefused)
        self.assertEqual((answer.code, answer.retry_seconds), ("too_many", 1.0))
        self.assertIn("1.0 s from now", answer.reason)
        for _ in range(9):
            self.control.clock.advance(0.1)
            self.assertEqual(await self.let_in(1), 0)
        self.control.clock.advance(0.125)
        self.assertEqual(await self.let_in(1), 1)
        self.assertEqual(self.control.enrollment.refused, {"too_many": 10})
        told = [line for line in lines if "more enrollments from" in str(line.get("log_format"))]
        self.assertEqual([line["network"] for line in told], ["192.0.2.1"])
        self.control.clock.advance(TOLD_EVERY_SECONDS)
        await self.let_in(3)
        self.assertEqual(len([line for line in lines if "more enrollments from" in str(line.get("log_format"))]), 2)

    async def test_limits_of_now(self) -> None:
        """A limit that is raised holds from the next request on; what was taken before is paid off at the new rate."""
        self.assertEqual(await self.let_in(3), 2)
        self.control.settings = make_settings(limits={"enrollments_per_second": 100, "enrollment_burst": 50})
        self.control.clock.advance(2)
        self.assertEqual(await self.let_in(40), 40)

    async def test_returns_are_not_the_network_s(self) -> None:
        """A request to return costs the network nothing, and is judged however many enrolled from there."""
        await self.let_in(3)
        asker = Asker(nonce="n", address="192.0.2.1")
        for _ in range(5):
            answer = await self.entrance.ask(ReturnRequest(chain_pem="", signature="00"), asker)
            self.assertEqual(answer.code if isinstance(answer, EnrollRefused) else "", "not_proven")
        self.control.clock.advance(1)
        self.assertEqual(await self.let_in(1), 1)
