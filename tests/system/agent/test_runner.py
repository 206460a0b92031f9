"""Starting an agent from its settings: when it enrolls, and with what it ends."""

from threading import Event

from twisted.internet.defer import Deferred

from tests.case import reactor
from tests.system.agent.base import AgentTestCase
from tests.system.agent.stub_edge import Fleet, StubEdge
from warp_twisted.agent.errors import NotEnrolled
from warp_twisted.agent.events import Enrolled
from warp_twisted.agent.runner import AgentRunner
from warp_twisted.agent.settings import AgentSettings, parse_settings
from warp_twisted.ca.tokens import JoinTokenText
from warp_twisted.wire.control import RoutesChanged


class RunnerTests(AgentTestCase):
    """When an agent enrolls at its start, and when it does not."""

    def fleet_of_its_own(self, name: str) -> StubEdge:
        """Start an edge of a fleet of its own."""
        edge = StubEdge(Fleet(self.directory / name))
        edge.listen()
        self.addCleanup(edge.stop)
        return edge

    async def run_once(self, edge: StubEdge, token: JoinTokenText | None) -> None:
        """Start a program, wait until its tunnel is up, and stop it."""
        settings = parse_settings(f"state: {self.directory / 'state'}\ntunnels: 1\ningress: [{{service: hello-world}}]")
        program = AgentRunner(reactor, settings, read_token=lambda _: token, observe=self.observe, wall=self.wall)
        before = len(edge.hellos)
        program.startService()
        await edge.until(lambda: len(edge.hellos) > before)
        await program.stopService()
        await program.ended

    def enrolled(self) -> int:
        """Return how often the agent enrolled."""
        return len([event for event in self.events if isinstance(event, Enrolled)])

    async def test_once(self) -> None:
        """The token is used once; the same token later, or none, changes nothing."""
        edge = self.fleet_of_its_own("one")
        token = edge.fleet.token(edge.port)
        for given in (token, token, None):
            await self.run_once(edge, given)
        self.assertEqual(self.enrolled(), 1)
        self.assertEqual(edge.fleet.wishes, [[""]])

    async def test_other_fleet(self) -> None:
        """A token of another fleet replaces the identity."""
        one, two = self.fleet_of_its_own("one"), self.fleet_of_its_own("two")
        await self.run_once(one, one.fleet.token(one.port))
        await self.run_once(two, two.fleet.token(two.port))
        self.assertEqual(self.enrolled(), 2)

    async def test_no_token(self) -> None:
        """Without identity and token the program ends with what to do."""
        error = await self.assert_fails(self.ended(), NotEnrolled)
        self.assertIn("warp token create", str(error))

    async def test_certificate_has_ended(self) -> None:
        """An identity whose certificate has ended is good for the way back, beside a token and without one."""
        edge = self.fleet_of_its_own("one")
        token = edge.fleet.token(edge.port)
        await self.run_once(edge, token)
        for given in (token, None):
            self.wall.set(4e9)
            edge.wall.set(4e9)
            await self.run_once(edge, given)
        self.assertEqual((self.enrolled(), edge.fleet.returned), (1, 2))

    async def test_settings_are_read_in_a_thread(self) -> None:
        """A file that takes long to read holds up no visitor, and reloads follow one another."""
        edge = self.fleet_of_its_own("one")
        is_readable = Event()
        self.addCleanup(is_readable.set)
        names = ["a", "b"]

        def read() -> AgentSettings:
            is_readable.wait(20)
            return self.settings(f"[{{hostname: {names.pop(0)}.warp.example, service: hello-world}}, "
                                 "{service: 'http_status:404'}]")  # fmt: skip

        token = edge.fleet.token(edge.port)
        runner = AgentRunner(
            reactor, self.settings("[{service: hello-world}]"), read_token=lambda settings: token, read_settings=read
        )
        self.addCleanup(runner.stopService)
        runner.startService()
        await edge.until(lambda: len(edge.tunnels) == 1)
        reloads = [runner.reload(), runner.reload()]
        page = edge.visit(0, b"GET / HTTP/1.0\r\n\r\n")
        self.assertIn(b"Hello from Warp", await page.over)
        page.stream.end()
        self.assertEqual(len(names), 2)
        is_readable.set()
        self.assertEqual([await each for each in reloads], [True, True])
        await edge.until(lambda: len([each for each in edge.messages if isinstance(each, RoutesChanged)]) == 2)
        changes = [each for each in edge.messages if isinstance(each, RoutesChanged)]
        self.assertEqual([each.routes[0].hostname for each in changes], ["a.warp.example", "b.warp.example"])

    def settings(self, ingress: str) -> AgentSettings:
        """Return settings with these rules."""
        return parse_settings(f"state: {self.directory / 'state'}\ntunnels: 1\ningress: {ingress}")

    def ended(self) -> Deferred[None]:
        """Start a program that cannot work, and return its end."""
        settings = parse_settings(f"state: {self.directory / 'state'}\ningress: [{{service: hello-world}}]")
        program = AgentRunner(reactor, settings, read_token=lambda settings: None)
        program.startService()
        return program.ended
