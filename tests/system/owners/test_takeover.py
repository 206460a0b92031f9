"""What belongs to one group of agents is not taken by another, whatever its certificate allows."""

from twisted.internet.defer import Deferred, gatherResults

from tests.case import reactor
from tests.system.edge.live import ZONE, enroll_agent, make_node, new_token
from tests.system.members.beside import HOSTNAME, BesideTestCase, Machine
from warp_twisted.edge.node import EdgeNode
from warp_twisted.edge.routes.route import Route
from warp_twisted.edge.routes.table import REMEMBERED_SECONDS
from warp_twisted.wire.control import Accepted, Refused, RouteOffer

VISITS = 40
HELD = f"{HOSTNAME} belongs to the group "


class TakeoverTests(BesideTestCase):
    """Agents of two teams at one edge."""

    async def machine_of(self, team: str, name: str, pattern: str = HOSTNAME) -> Machine:
        """Set up a machine of a team, whose token permits a pattern."""
        token = await new_token(self.node, pattern, share=team)
        return Machine(self.directory, name, self.origin(name), token)

    async def visit(self) -> dict[tuple[int, str], int]:
        """Be several visitors; return how many had which status and which origin."""
        found: dict[tuple[int, str], int] = {}
        for _ in range(VISITS):
            answer = await self.ask()
            found[answer.status, answer.origin] = found.get((answer.status, answer.origin), 0) + 1
        return found

    async def test_token_for_everything(self) -> None:
        """An agent with a token for the whole zone gets no visitor of another team's hostname, and is told why."""
        blue = await self.machine_of("blue", "blue-1")
        await self.serve(blue)
        red = await self.machine_of("red", "red-1", f"*.{ZONE}")
        self.start(red)
        await red.program.says(f"{HELD}blue since ")
        await red.program.says("; the token was not used up")
        self.assertEqual(await self.visit(), {(200, "blue-1"): VISITS})

    async def test_enrolled_before(self) -> None:
        """One that had enrolled before the hostname had an owner is refused its tunnels, also with a path rule."""
        port = self.node.ports.tunnel[0]
        red = await enroll_agent(port, await new_token(self.node, share="red"), self.directory / "red")
        self.addCleanup(red.close)
        blue = await self.machine_of("blue", "blue-1")
        await self.serve(blue)
        for path in ("", "^/"):
            answer = await red.register(routes=[RouteOffer(id=0, hostname=HOSTNAME, path=path)])
            assert isinstance(answer, Refused)
            self.assertEqual((answer.code, answer.retry), ("conflict", False))
            self.assertIn(f"{HELD}blue since ", answer.reason)
            self.assertIn("warp token create --share blue", answer.reason)
        self.assertEqual(await self.visit(), {(200, "blue-1"): VISITS})

    async def test_same_word(self) -> None:
        """A second machine with a token of the same word shares the hostname, and has it when the first stops."""
        first, second = await self.machine_of("blue", "blue-1"), await self.machine_of("blue", "blue-2")
        await self.serve(first, second)
        found = await self.visit()
        self.assertEqual(sorted(found), [(200, "blue-1"), (200, "blue-2")])
        first.program.signal("TERM")
        await first.program.exited
        self.assertEqual(await self.visit(), {(200, "blue-2"): VISITS})

    async def test_named_in_the_certificate(self) -> None:
        """A token with the hostname itself takes it from one for the zone that does not serve it, and keeps it."""
        squatter = await self.machine_of("red", "red-1", f"*.{ZONE}")
        await self.serve(squatter)
        rightful = await self.machine_of("blue", "blue-1")
        self.start(rightful)
        await rightful.program.says(f"{HELD}red since ")
        squatter.program.signal("TERM")
        await squatter.program.exited
        await rightful.program.says("is up", 2)
        self.start(squatter)
        await squatter.program.says(f"{HELD}blue since ")
        self.assertEqual(await self.visit(), {(200, "blue-1"): VISITS})

    async def test_pattern_of_others(self) -> None:
        """A team that serves everything gets no visitor of another team's hostname that has been away for long."""
        blue = await self.machine_of("blue", "blue-1")
        await self.serve(blue)
        token = await new_token(self.node, share="red")
        red = await enroll_agent(self.node.ports.tunnel[0], token, self.directory / "red")
        self.addCleanup(red.close)
        assert isinstance(await red.register(f"*.{ZONE}"), Accepted)
        blue.program.signal("TERM")
        await blue.program.exited
        routes = self.node.parts.serving.routes
        routes.sweep(reactor.seconds() + 2 * REMEMBERED_SECONDS, 60.0)
        self.assertIsNone(routes.find(HOSTNAME, b"/"))
        self.assertEqual((await self.ask()).status, 503)
        found = routes.find(f"other.{ZONE}", b"/")
        assert isinstance(found, Route)
        self.assertEqual(found.hostname, f"*.{ZONE}")

    async def test_race(self) -> None:
        """Of two teams that want one hostname in the same moment one has it, and the other is told so."""
        port = self.node.ports.tunnel[0]
        teams = {
            team: await enroll_agent(port, await new_token(self.node, share=team), self.directory / team)
            for team in ("blue", "red")
        }
        for team in teams.values():
            self.addCleanup(team.close)
        for number in range(8):
            name = f"race{number}.{ZONE}"
            answers = await gatherResults(
                [Deferred.fromCoroutine(agent.register(name, slot=number)) for agent in teams.values()]
            )
            kinds = sorted(type(answer).__name__ for answer in answers)
            self.assertEqual(kinds, ["Accepted", "Refused"])
            owner = self.node.parts.mirror.owners[name].group
            winner = next(answer for answer in answers if isinstance(answer, Accepted))
            loser = next(answer for answer in answers if isinstance(answer, Refused))
            self.assertEqual(list(teams)[answers.index(winner)], owner)
            self.assertIn(f"{name} belongs to the group {owner} since ", loser.reason)


class RestartTests(BesideTestCase):
    """What an edge knows of owners after a restart."""

    async def start_edge(self) -> EdgeNode:
        """Start an edge, which the test stops."""
        node = make_node(self.directory, **self.sections)
        node.startService()
        await node.started
        return node

    async def prepare(self) -> None:
        """Stop with the test whichever edge runs then."""
        await super().prepare()
        self.addCleanup(lambda: self.node.stopService())

    async def test_restarted_edge(self) -> None:
        """An edge that was restarted knows whose a hostname is before anybody serves it again."""
        blue, red = [
            await enroll_agent(self.node.ports.tunnel[0], await new_token(self.node, share=team), self.directory / team)
            for team in ("blue", "red")
        ]
        self.assertIsInstance(await blue.register(HOSTNAME), Accepted)
        await self.node.stopService()
        self.node = await self.start_edge()
        blue.port = red.port = self.node.ports.tunnel[0]
        answer = await red.register(HOSTNAME)
        assert isinstance(answer, Refused)
        self.assertIn(f"{HELD}blue since ", answer.reason)
        self.assertIsInstance(await blue.register(HOSTNAME), Accepted)
        for agent in (blue, red):
            await agent.close()
