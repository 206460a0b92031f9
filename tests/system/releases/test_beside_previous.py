"""Fleets are upgraded and rolled back one machine at a time: each release serves with the other's agents and edges."""

from pathlib import Path

import yaml

from tests.system.agent.programs import Program, twistd_agent
from tests.system.edge.live import HOST, ZONE, edge_files
from tests.system.members.beside import BesideTestCase, Machine, ask
from tests.system.ports import free_port
from tests.system.releases.previous import ROOT, extract, search_path

TWISTD = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"


class BesidePreviousTestCase(BesideTestCase):
    """Edges and agents of two trees, as programs."""

    async def prepare(self) -> None:
        """Take the previous release out of the history."""
        await super().prepare()
        self.previous = extract(self.directory)
        self.http, self.tunnel = free_port(), free_port()

    async def edge_program(self, tree: Path) -> Program:
        """Start a tree's edge on this test's files, and wait until it has begun."""
        directory = self.directory / "edge"
        directory.mkdir(exist_ok=True)
        listen = {"http": [f"tcp:{self.http}:interface={HOST}"], "tunnel": [f"tcp:{self.tunnel}:interface={HOST}"]}
        raw = edge_files(directory, listen=listen, log={"access": None, "format": "text"})
        (directory / "edge.yaml").write_text(yaml.safe_dump(raw))
        program = Program(
            "-c", TWISTD, "-n", "--pidfile=", "warp-edge", "--config", str(directory / "edge.yaml"),
            environment={"PYTHONPATH": search_path(tree)},
        )  # fmt: skip
        self.addCleanup(program.end)
        await program.says(f"edge edge1 of {ZONE} serves")
        return program

    async def agent_program(self, machine: Machine, tree: Path) -> Program:
        """Start a tree's agent on a machine, and wait for its tunnels."""
        program = self.start_agent(machine, tree)
        await program.says("is up", 2)
        return program

    def start_agent(self, machine: Machine, tree: Path) -> Program:
        """Start a tree's agent on a machine."""
        environment = {"HOME": str(machine.directory), "PYTHONPATH": search_path(tree)}
        program = twistd_agent(str(machine.directory / "agent.yaml"), environment=environment)
        self.addCleanup(program.end)
        return program

    async def new_machine(self, tree: Path, name: str = "machine", origin: str = "here") -> Machine:
        """Set up a machine, with a token that a tree's program made at the edge that runs."""
        directory = self.directory / "edge"
        options = (
            "--admin",
            str(directory / "admin.sock"),
            "--hostname",
            f"*.{ZONE}",
            "--out",
            str(directory / f"{name}.token"),
        )
        maker = Program(
            "-m", "warp_twisted.cli", "token", "create", *options, environment={"PYTHONPATH": search_path(tree)}
        )
        self.assertEqual(await maker.exited, 0, maker.errors)
        return Machine(self.directory, name, self.origin(origin), (directory / f"{name}.token").read_text().strip())

    async def assert_serves(self) -> None:
        """Check that a visitor is served through the edge that runs."""
        answer = await ask(self.http)
        self.assertEqual((answer.status, answer.origin), (200, "here"))

    async def stop(self, program: Program) -> None:
        """Stop a program as systemd does."""
        program.signal("TERM")
        await program.exited


class BesidePreviousTests(BesidePreviousTestCase):
    """One release's edge and the other's agent, and files that one has written and the other reads."""

    async def test_what_runs(self) -> None:
        """A program of the previous tree runs the previous tree's code."""
        program = Program(
            "-c", "import warp_twisted; print(warp_twisted.__file__)",
            environment={"PYTHONPATH": search_path(self.previous)},
        )  # fmt: skip
        await program.exited
        self.assertTrue(program.output.startswith(str(self.previous)), program.output)

    async def test_edge_first(self) -> None:
        """An edge is upgraded under an agent that is not, and rolled back: its registry and the tunnels go on."""
        edge = await self.edge_program(self.previous)
        machine = await self.new_machine(self.previous)
        agent = await self.agent_program(machine, self.previous)
        await self.assert_serves()
        for count, tree in enumerate((ROOT, self.previous), 2):
            await self.stop(edge)
            edge = await self.edge_program(tree)
            await agent.says("is up", 2 * count)
            await self.assert_serves()

    async def test_hostname_that_two_agents_share(self) -> None:
        """Two that share a hostname at an upgrade become one group, which the log says; a third stays out."""
        edge = await self.edge_program(self.previous)
        machines = [await self.new_machine(self.previous, name, name) for name in ("first", "second")]
        agents = [await self.agent_program(machine, self.previous) for machine in machines]
        log = ""
        for count, tree in enumerate((ROOT, self.previous, ROOT), 2):
            log += edge.output + edge.errors
            await self.stop(edge)
            edge = await self.edge_program(tree)
            for agent in agents:
                await agent.says("is up", 2 * count)
            found = {(answer.status, answer.origin) for answer in [await ask(self.http) for _ in range(20)]}
            self.assertEqual(found, {(200, "first"), (200, "second")})
        self.assertEqual(log.count("enrolled before hostnames had owners, and is of the group"), 2, log)
        third = await self.new_machine(ROOT, "third", "third")
        outsider = self.start_agent(third, ROOT)
        await outsider.says("belongs to the group ")

    async def test_agent_first(self) -> None:
        """An agent is upgraded before its edge, and rolled back: it keeps its identity, and serves each time."""
        await self.edge_program(self.previous)
        machine = await self.new_machine(self.previous)
        enrollments = []
        for tree in (self.previous, ROOT, self.previous):
            agent = await self.agent_program(machine, tree)
            await self.assert_serves()
            await self.stop(agent)
            enrollments.append((agent.output + agent.errors).count("enrolled as"))
        self.assertEqual(enrollments, [1, 0, 0])

    async def test_agent_that_requires_protection(self) -> None:
        """At an edge that does not know of protections, an agent that requires one stays away and says why."""
        edge = await self.edge_program(self.previous)
        machine = await self.new_machine(self.previous)
        config = machine.directory / "agent.yaml"
        config.write_text("require: [visitor-address]\n" + config.read_text())
        agent = self.start_agent(machine, ROOT)
        await agent.says("edge edge1 does not promise visitor-address, which `require` names")
        # The edge knows the hostname, and that nobody serves it, or is about to lose the tunnel that would.
        self.assertIn((await ask(self.http)).status, (502, 503))
        await self.stop(edge)
        await self.edge_program(ROOT)
        await agent.says("is up", 2)
        await self.assert_serves()

    async def test_agent_that_asks_for_a_policy(self) -> None:
        """An edge that knows of no policies of agents is left before it serves; one that does is told, and serves."""
        edge = await self.edge_program(self.previous)
        machine = await self.new_machine(self.previous)
        config = machine.directory / "agent.yaml"
        policy = "policy: {sources: {deny: [192.0.2.0/24]}}"
        config.write_text(config.read_text().replace("'http_status:404'", f"'http_status:404', {policy}"))
        agent = self.start_agent(machine, ROOT)
        await agent.says("edge edge1 does not enforce the policy that this agent asks for: it needs a later release")
        self.assertIn((await ask(self.http)).status, (502, 503))
        await self.stop(edge)
        await self.edge_program(ROOT)
        await agent.says("is up", 2)
        await self.assert_serves()

    async def test_new_fleet(self) -> None:
        """What today's edge and agent have made is read by the previous release's."""
        edge = await self.edge_program(ROOT)
        machine = await self.new_machine(ROOT)
        agent = await self.agent_program(machine, ROOT)
        await self.assert_serves()
        await self.stop(agent)
        agent = await self.agent_program(machine, self.previous)
        await self.assert_serves()
        await self.stop(edge)
        await self.edge_program(self.previous)
        await agent.says("is up", 4)
        await self.assert_serves()
