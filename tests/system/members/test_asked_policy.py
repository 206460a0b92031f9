"""What agents ask for protection, from their command line to visitors: who is denied never reaches an origin."""

from collections.abc import Sequence

from argon2 import PasswordHasher
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP6ClientEndpoint, connectProtocol

from tests.case import reactor, until
from tests.system.agent.programs import Program, warp_up
from tests.system.agent.stub_edge import cut
from tests.system.edge.live import ZONE, new_token
from tests.system.members.beside import HOSTNAME, BesideTestCase, Machine, Origin, Visitor, ask, named_origin

POLICY = "policy: {sources: {allow: ['::1']}}"
FAST = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
ANN = "Authorization: Basic YW5uOmdlaGVpbQ=="  # ann:geheim
WRONG = "Authorization: Basic YW5uOmZhbHNjaA=="


class AskedPolicyTests(BesideTestCase):
    """An edge that visitors reach by IPv4 and IPv6, and what its agents ask of it."""

    sections = {"listen": {"http": ["tcp:0:interface=127.0.0.1", r"tcp6:0:interface=\:\:1"]}}

    async def prepare(self) -> None:
        """Start the edge."""
        await super().prepare()
        self.seen = 0
        self.port = self.origin("app")

    def origin(self, name: str) -> int:
        """Let an origin answer with a name, and count what reaches any."""
        case = self

        class Counting(Origin):
            def dataReceived(self, data: bytes) -> None:
                case.seen += 1
                super().dataReceived(data)

        return named_origin(self, name, Counting)

    async def up(self, *options: str) -> Program:
        """Start `warp up` with options before a port."""
        token = self.directory / "token"
        token.write_text(await new_token(self.node, HOSTNAME))
        environment = {"HOME": str(self.directory), "XDG_RUNTIME_DIR": str(self.directory)}
        program = warp_up(
            "--hostname", HOSTNAME, "--token-file", str(token), "--tunnels", "2", *options, str(self.port),
            environment=environment,
        )  # fmt: skip
        self.addCleanup(program.end)
        return program

    async def status(self, *fields: str, is_ipv6: bool = False) -> int:
        """Be a visitor who asks once; return the status, 0 for none."""
        if not is_ipv6:
            return (await ask(self.node.ports.http[0], *fields)).status
        lines = [f"Host: {HOSTNAME}", "Connection: close", *fields]
        request = "\r\n".join(["GET / HTTP/1.1", *lines, "", ""]).encode()
        endpoint = TCP6ClientEndpoint(reactor, "::1", self.node.ports.http[1])
        visitor = await connectProtocol(endpoint, Visitor(request))
        return int((await visitor.done)[9:12] or 0)

    async def statuses(self, *fields: str) -> Sequence[int]:
        """Return the status of a visitor by IPv4, and of one by IPv6."""
        return [await self.status(*fields), await self.status(*fields, is_ipv6=True)]

    async def test_allow(self) -> None:
        """Only visitors from where --allow says come in; the others are refused by the edge."""
        up = await self.up("--allow", "::1", "--allow", "2001:db8::/32")
        await up.says("is up", 2)
        await up.says(f"{HOSTNAME} is protected by the edge: only from ::1, 2001:db8::/32\n")
        self.assertEqual((await self.status(), self.seen), (403, 0))
        self.assertEqual((await self.status(is_ipv6=True), self.seen), (200, 1))

    async def test_basic_auth_file(self) -> None:
        """Only users of the file come in, by their passwords."""
        users = self.directory / "users.argon2"
        users.write_text(f"ann:{FAST.hash('geheim')}\n")
        up = await self.up("--basic-auth-file", str(users))
        await up.says("is up", 2)
        self.assertEqual([await self.status(), await self.status(WRONG), self.seen], [401, 401, 0])
        self.assertEqual((await self.status(ANN), self.seen), (200, 1))

    async def test_rate(self) -> None:
        """What is over the rate is refused."""
        up = await self.up("--rate", "1/h", "--rate", "50/s")
        await up.says("is up", 2)
        self.assertEqual([await self.status() for _ in range(3)], [200, 429, 429])
        self.assertEqual((await self.status(is_ipv6=True), self.seen), (200, 2))

    async def test_a_token_that_forbids_it(self) -> None:
        """The agent says so and is served nothing; without its policy it is served, and goes on when it adds one."""
        parts = self.node.parts
        _, text = await parts.enrollment.create_token(
            edges=parts.entry.tunnel_addresses(), hostnames=[HOSTNAME], labels={}, uses=1, ttl_seconds=60, policy=False
        )
        machine = Machine(self.directory, "machine", self.port, text)
        self.write_config(machine, POLICY)
        self.start(machine)
        await machine.program.says("does not permit a policy of its own (warp token create --no-policy)")
        self.assertEqual((await self.statuses(), self.seen), ([503, 503], 0))
        self.write_config(machine, "")
        machine.program.signal("HUP")
        await machine.program.says("is up", 2)
        self.assertEqual((await self.statuses(), self.seen), ([200, 200], 2))
        self.write_config(machine, POLICY)
        refusals = machine.log.count("does not permit")
        machine.program.signal("HUP")
        await until(lambda: machine.log.count("does not permit") > refusals, 60)
        self.assertEqual(await self.statuses(), [200, 200], "its tunnels serve on until their replacement is accepted")

    def write_config(self, machine: Machine, policy: str) -> None:
        """Write agent.yaml with a policy, or without."""
        machine.write_config(self.port)
        if policy:
            config = machine.directory / "agent.yaml"
            config.write_text(config.read_text().replace("'http_status:404'", f"'http_status:404', {policy}"))

    async def protected(self, name: str, policy: str = POLICY) -> Machine:
        """Set a machine up whose agent asks for a policy."""
        machine = await self.machine(name)
        self.write_config(machine, policy)
        return machine

    async def denied_until(self, condition: Deferred[None]) -> set[int]:
        """Let visitors that are denied come one after the other until something has happened; return the statuses."""
        found: set[int] = set()
        is_over = False

        async def visit() -> None:
            while not is_over:
                found.add(await self.status())

        visitors = [Deferred.fromCoroutine(visit()) for _ in range(4)]
        await condition
        is_over = True
        await gatherResults(visitors)
        return found

    async def test_restarts(self) -> None:
        """Tunnels that are cut, and a restart of the edge: at no moment is a denied visitor let in."""
        machine = await self.protected("app")
        await self.serve(machine)
        self.assertEqual(await self.statuses(), [403, 200])
        self.seen = 0

        async def restart() -> None:
            before = self.tunnels
            for protocol in [each.protocol for each in self.node.parts.tunnels.registrations.by_id.values()]:
                cut(protocol)
            await until(lambda: len(self.tunnels) == 2 and machine.log.count("is up") >= 4, 60)
            self.assertNotEqual(before, [])
            ports = self.node.ports
            await self.node.stopService()
            self.sections = {
                "listen": {
                    "http": [f"tcp:{ports.http[0]}:interface=127.0.0.1", rf"tcp6:{ports.http[1]}:interface=\:\:1"],
                    "tunnel": [f"tcp:{ports.tunnel[0]}:interface=127.0.0.1"],
                }
            }
            self.node = await self.start_edge()
            await until(lambda: len(self.tunnels) == 2, 60)

        found = await self.denied_until(Deferred.fromCoroutine(restart()))
        self.assertLessEqual(found, {0, 403, 503})
        self.assertEqual(self.seen, 0)
        self.assertEqual(await self.statuses(), [403, 200])

    async def test_another_policy(self) -> None:
        """A policy that is taken in by a reload holds as soon as the agent says so; who may come meets no gap."""
        machine = await self.protected("app", "")
        await self.serve(machine)
        self.assertEqual(await self.statuses(), [200, 200])
        self.write_config(machine, POLICY)
        machine.program.signal("HUP")
        gaps: list[int] = []

        async def visit() -> None:
            while machine.log.count("is up") < 4:
                status = await self.status(is_ipv6=True)
                gaps.extend([status] if status != 200 else [])

        await visit()
        await until(lambda: len(self.tunnels) == 2, 60)
        self.seen = 0
        self.assertEqual((await self.status(), self.seen, gaps), (403, 0, []))

    async def test_two_agents(self) -> None:
        """What any of the agents of a hostname asks holds for all of it, for as long as it serves."""
        strict, free = await self.protected("strict"), await self.protected("free", "")
        await self.serve(free)
        self.assertEqual(await self.statuses(), [200, 200])
        await self.serve(strict)
        self.seen = 0
        self.assertEqual([await self.status() for _ in range(8)], [403] * 8)
        self.assertEqual(self.seen, 0)
        strict.program.signal("TERM")
        await strict.program.exited
        self.assertEqual(await self.statuses(), [200, 200])

    async def test_beside_the_operators_policy(self) -> None:
        """An agent opens nothing that the operator has closed."""
        await self.node.stopService()
        file = self.directory / "policy.yaml"
        file.write_text(f"rules: [{{name: not-ipv6, match: {{hostname: '*.{ZONE}'}}, sources: {{deny: ['::1']}}}}]")
        self.sections = {**self.sections, "policy": str(file)}
        self.node = await self.start_edge()
        await self.serve(await self.protected("app"))
        self.assertEqual((await self.statuses(), self.seen), ([403, 403], 0))
