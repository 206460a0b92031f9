"""
An edge that was away for longer than its agents' certificates lived, and a crowd that enrolls behind one address.

The edge is a process of its own, killed and started again; agents are `twistd warp-agent`, or many of them in this
process, which costs less and is the same code from `AgentRunner` on.
"""

import json
from typing import Any

import yaml
from cryptography import x509
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.case import reactor, short_directory_of
from tests.system.agent.origins import unused_port
from tests.system.agent.programs import Program, twistd_agent
from tests.system.edge.live import ZONE, edge_files
from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_twisted.agent.events import CertificateRenewed, Delayed, Enrolled, Event, TunnelUp
from warp_twisted.agent.runner import AgentRunner
from warp_twisted.agent.settings import parse_settings
from warp_twisted.ca.tokens import JoinTokenText, parse_token

CROWD = 200


class OutageTestCase(TestCase):
    """One edge, whose port stays the same."""

    timeout = 90

    def setUp(self) -> None:
        self.directory = short_directory_of(self)
        self.port = unused_port()

    async def start_edge(self, agent_lifetime: float, **limits: float) -> Program:
        """Start the edge, and wait until it listens."""
        listen = {"tunnel": [f"tcp:{self.port}:interface=127.0.0.1"], "dns": []}
        raw: dict[str, Any] = edge_files(
            self.directory, listen=listen, ca={"agent_lifetime": agent_lifetime}, limits=limits
        )
        configuration = self.directory / "edge.yaml"
        configuration.write_text(yaml.safe_dump(raw))
        twistd = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
        edge = Program("-c", twistd, "-n", "--pidfile=", "warp-edge", "--config", str(configuration))
        self.addCleanup(edge.end)
        await edge.says(f"edge edge1 of {ZONE} serves")
        return edge

    async def warp(self, *arguments: str) -> str:
        """Run a command beside the edge, as an operator does, and return what it prints."""
        admin = str(self.directory / "admin.sock")
        warp = Program("-m", "warp_twisted.cli", *arguments, "--admin", admin)
        self.assertEqual(await warp.exited, 0, warp.errors)
        return warp.output.strip()

    async def token(self, uses: int = 1) -> str:
        """Make a join token."""
        return await self.warp("token", "create", "--hostname", f"*.{ZONE}", "--uses", str(uses), "--ttl", "1h")

    async def service(self) -> Program:
        """Start an agent as a service, with a token, and wait until both of its tunnels are up."""
        (self.directory / "token").write_text(await self.token())
        configuration = self.directory / "agent.yaml"
        configuration.write_text(
            f"state: {self.directory / 'agent'}\ntoken_file: {self.directory / 'token'}\n"
            "tunnels: 2\ningress: [{service: hello-world}]"
        )
        agent = twistd_agent(str(configuration))
        self.addCleanup(agent.end)
        await agent.says("is up", 2)
        return agent


class LongOutageTests(OutageTestCase):
    """Everybody is back."""

    async def test_agent_as_a_service(self) -> None:
        """A service whose certificate ended while the edge was away is back by itself, and both logs say so."""
        edge = await self.start_edge(4)
        agent = await self.service()
        await edge.end()
        chain = x509.load_pem_x509_certificates((self.directory / "agent" / "chain.pem").read_bytes())
        await self.ended(chain[0].not_valid_after_utc.timestamp())
        edge = await self.start_edge(60)
        await agent.says("lets this agent return")
        await agent.says("is up", 4)
        self.assertEqual((edge.output.count("is back"), edge.output.count(" enrolled with token")), (1, 0))

    async def test_crowd_behind_one_address(self) -> None:
        """Two hundred agents behind one address return together, whatever the limit of enrollments of an address is."""
        edge = await self.start_edge(10, enrollments_per_second=1000, enrollment_burst=CROWD)
        crowd = Crowd(self, CROWD, parse_token(await self.token(CROWD)))
        await crowd.all_up()
        await edge.end()
        await self.ended(max(event.valid_until for event in crowd.identities()))
        crowd.begin_again()
        edge = await self.start_edge(3600, enrollments_per_second=0.001, enrollment_burst=1)
        await crowd.all_up()
        self.assertEqual(crowd.count(Enrolled), 0)
        self.assertEqual((edge.output.count("is back"), edge.output.count("refused")), (CROWD, 0))

    def ended(self, at: float) -> Deferred[None]:
        """Wait until certificates have ended; no event tells."""
        return deferLater(reactor, max(0.0, at - MACHINE_WALL_CLOCK.now()) + 0.1)


class RevokedTests(OutageTestCase):
    """An agent that was cut off."""

    async def test_let_in_again(self) -> None:
        """With a new token in its file it is back as another agent, without a restart; without one it ends with 4."""
        await self.start_edge(3600)
        agent = await self.service()
        (self.directory / "token").write_text(await self.token())
        first = self.identity()
        await self.warp("agent", "revoke", first, "--reason", "by mistake")
        await agent.says("is up", 4)
        self.assertNotEqual(self.identity(), first)
        await self.warp("agent", "revoke", self.identity(), "--reason", "this time it is meant")
        self.assertEqual(await agent.exited, 4)
        self.assertIn("was revoked: this time it is meant", agent.output)

    def identity(self) -> str:
        """Return the id that the agent has now."""
        record: dict[str, str] = json.loads((self.directory / "agent" / "agent.json").read_text())
        return record["agent_id"]


class EnrollingCrowdTests(OutageTestCase):
    """New machines that start together."""

    async def test_sixteen_behind_one_address(self) -> None:
        """With the usual limits all are in, one unit each; who had to wait was told when to come again."""
        edge = await self.start_edge(3600)
        crowd = Crowd(self, 16, parse_token(await self.token(16)))
        await crowd.all_up()
        self.assertEqual((crowd.count(Enrolled), edge.output.count(" enrolled with token")), (16, 16))
        reasons = [event.reason for events in crowd.heard for event in events if isinstance(event, Delayed)]
        self.assertTrue(all("too many enrollments from 127.0.0.1" in reason for reason in reasons), reasons)
        self.assertGreaterEqual(len(reasons), 16 - 10 - crowd.seconds())
        self.assertIn("each is told when to retry", edge.output)


class Crowd:
    """
    Many agents with one tunnel each, in this process.

    :ivar heard: the events of each since the beginning.
    """

    def __init__(self, test: OutageTestCase, count: int, token: JoinTokenText) -> None:
        self._began_at = reactor.seconds()
        self._waiting: Deferred[None] | None = None
        self._up: set[int] = set()
        self.heard: list[list[Event]] = [[] for _ in range(count)]
        self._runners = [self._start(test, number, token) for number in range(count)]
        test.addCleanup(self._stop)

    def _start(self, test: OutageTestCase, number: int, token: JoinTokenText) -> AgentRunner:
        settings = parse_settings(
            f"state: {test.directory / str(number)}\ntunnels: 1\ningress: [{{service: hello-world}}]"
        )
        runner = AgentRunner(
            reactor,
            settings,
            read_token=lambda settings: token,
            observe=lambda event: self._observe(number, event),
            is_patient=True,
        )
        runner.startService()
        return runner

    def _observe(self, number: int, event: Event) -> None:
        self.heard[number].append(event)
        if isinstance(event, TunnelUp):
            self._up.add(number)
            if len(self._up) == len(self.heard) and self._waiting is not None:
                waiting, self._waiting = self._waiting, None
                waiting.callback(None)

    def begin_again(self) -> None:
        """Forget what was heard; nobody is up."""
        self._began_at = reactor.seconds()
        self._up.clear()
        for events in self.heard:
            events.clear()

    def all_up(self) -> Deferred[None]:
        """Wait until each has had its tunnel since the beginning."""
        waiting: Deferred[None] = Deferred()
        if len(self._up) == len(self.heard):
            waiting.callback(None)
        else:
            self._waiting = waiting
        return waiting

    def seconds(self) -> float:
        """Return how long it is since the beginning."""
        return reactor.seconds() - self._began_at

    def count(self, kind: type[Event]) -> int:
        """Return how many events of a kind were heard."""
        return sum(isinstance(event, kind) for events in self.heard for event in events)

    def identities(self) -> list[CertificateRenewed]:
        """Return until when each has its certificate."""
        return [
            CertificateRenewed(valid_until=runner.agent.identity.valid_until)
            for runner in self._runners
            if runner.agent is not None
        ]

    async def _stop(self) -> None:
        for runner in self._runners:
            runner.ended.addErrback(lambda _: None)
            runner.stop_now()
        await gatherResults([runner.stopService() for runner in self._runners])
