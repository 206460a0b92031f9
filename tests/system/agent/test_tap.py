"""`twistd warp-agent` as a process, against a small edge on loopback."""

import json
import os
import stat
from signal import SIGTERM

import treq
from twisted.internet.interfaces import IReactorUNIXDatagram
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.threads import deferToThread

from tests.case import reactor, short_directory_of, until
from tests.pipes import full_pipe, read_all
from tests.system.agent.origins import unused_port
from tests.system.agent.programs import AgentProgramTestCase, Program, lines, twistd_agent
from warp_twisted.ca.tokens import JoinTokenText, format_token
from warp_twisted.wire.control import Refused, RoutesChanged


class _Heard(DatagramProtocol):
    """The socket of systemd."""

    def __init__(self, heard: list[str]) -> None:
        self._heard = heard

    def datagramReceived(self, data: bytes, address: object) -> None:
        """Keep a message."""
        self._heard.append(data.decode())


class TwistdTests(AgentProgramTestCase):
    """The agent as a service."""

    def write(self, ingress: str, more: str = "") -> str:
        """Write an agent.yaml and return its path."""
        path = self.directory / "agent.yaml"
        path.write_text(
            f"state: {self.state}\ntoken_file: {self.token_file.absolute()}\ntunnels: 2\n{more}\ningress: {ingress}\n"
        )
        return str(path)

    def agent(self, ingress: str = "", more: str = "") -> Program:
        """Start the service."""
        return self.run_program(
            twistd_agent(self.write(ingress or f"[{{service: '{self.echo}'}}]", more), environment=self.environment)
        )

    async def test_serves_and_drains(self) -> None:
        """It enrolls, serves, and on SIGTERM finishes what is under way before it ends."""
        agent = self.agent(more="log: {format: json}")
        await self.edge.until(lambda: len(self.edge.tunnels) == 2)
        visit = self.edge.visit(0, b"one ")
        await visit.read(4)
        agent.signal("TERM")
        await self.edge.until(lambda: len(self.edge.drains) == 2)
        visit.stream.write(b"two")
        self.assertEqual(await visit.read(7), b"one two")
        visit.stream.end()
        self.assertEqual(await agent.exited, -SIGTERM)  # twistd ends by the signal that stopped it
        events = [json.loads(line) for line in lines(agent.output)]
        self.assertTrue(all("message" in event for event in events))
        self.assertNotIn(self.token, agent.output + agent.errors)

    async def test_killed_and_started_again(self) -> None:
        """kill -9 leaves nothing that stops the next start, which needs no token; keys are for the owner only."""
        killed = self.agent()
        await self.edge.until(lambda: len(self.edge.tunnels) == 2)
        killed.signal("KILL")
        self.assertEqual(await killed.exited, -9)
        self.token_file.unlink()
        self.agent()
        await self.edge.until(lambda: len(self.edge.hellos) == 4)
        await self.assert_serves()
        self.assertEqual(self.fleet.enrolled, 1)
        self.assertEqual({hello.agent_id for hello in self.edge.hellos}, {"a-1"})
        self.assertEqual(stat.S_IMODE(self.state.stat().st_mode), 0o700)
        for path in self.state.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)

    async def test_two_agents_do_not_share_a_state(self) -> None:
        """A second agent with the same state directory says so and exits with 1."""
        self.agent()
        await self.edge.until(lambda: len(self.edge.tunnels) == 2)
        second = self.agent()
        self.assertEqual(await second.exited, 1)
        self.assertIn("used by another agent", second.output)

    async def test_nobody_reads_the_log(self) -> None:
        """With a full pipe for standard output it starts, serves and drains; what it said then comes out."""
        reading, writing, filled = full_pipe()
        path = self.write(f"[{{service: '{self.echo}'}}]")
        agent = self.run_program(twistd_agent(path, environment=self.environment, output=writing))
        os.close(writing)
        await self.edge.until(lambda: len(self.edge.tunnels) == 2)
        await self.assert_serves()
        reader = deferToThread(read_all, reading)
        agent.signal("TERM")
        self.assertEqual(await agent.exited, -SIGTERM)
        text = (await reader)[filled:].decode()
        self.assertEqual(text.count("is up\n"), 2, text)
        self.assertIn("Server Shut Down", text)

    async def test_reload(self) -> None:
        """A change of the file is taken by itself, one that is bad is refused, and SIGHUP reads it too."""
        agent = self.agent()
        await self.edge.until(lambda: len(self.edge.tunnels) == 2)
        tunnels = list(self.edge.tunnels)
        self.write("[{hostname: a.warp.example, service: hello-world}, {service: 'http_status:404'}]")
        await self.edge.until(lambda: len(self.changes()) == 2)
        self.assertEqual(self.changes()[0].routes[0].hostname, "a.warp.example")
        self.write("[{service: 'https://x', originRequest: {no_tls_verfy: true}}]")
        await agent.says("ingress[0].originRequest.no_tls_verfy: unknown key")
        self.write("[{hostname: b.warp.example, service: hello-world}, {service: 'http_status:404'}]")
        agent.signal("HUP")
        await self.edge.until(lambda: len(self.changes()) == 4)
        self.assertEqual(self.edge.tunnels, tunnels)
        self.assertIn("settings read again: ingress\n", agent.output)
        self.write(
            "[{hostname: b.warp.example, service: hello-world}, {service: 'http_status:404'}]",
            "drain: 3\nmetrics: tcp:0",
        )
        agent.signal("HUP")
        await agent.says("settings read again: drain\n")
        await agent.says("changed, but not before a restart: metrics")

    def changes(self) -> list[RoutesChanged]:
        """Return the changes of routes that the edge heard of."""
        return [each for each in self.edge.messages if isinstance(each, RoutesChanged)]

    async def test_first_start(self) -> None:
        """A first start is ready with the first tunnel; until then more time is asked for, and the reason said."""
        heard = self.follow_systemd()
        await self.edge.stop()
        self.agent()
        await until(lambda: "STATUS=waiting: no edge of the join token answers" in "\n".join(heard))
        self.assertEqual(heard[0], "EXTEND_TIMEOUT_USEC=25000000")
        self.assertNotIn("READY=1", "\n".join(heard))
        self.edge.listen()
        await until(lambda: any(message.startswith("READY=1\nSTATUS=1 of 2 tunnels") for message in heard))
        await until(lambda: heard[-1] == "STATUS=2 of 2 tunnels are up")

    async def test_later_start(self) -> None:
        """One that was enrolled before is ready at once, and says what it waits for."""
        first = self.agent()
        await self.edge.until(lambda: len(self.edge.tunnels) == 2)
        first.signal("KILL")
        await first.exited
        await self.edge.stop()
        heard = self.follow_systemd()
        self.agent()
        await until(lambda: len(heard) >= 2)
        self.assertEqual(heard[1], "READY=1\nSTATUS=waiting for an edge")
        await until(lambda: heard[-1].startswith("STATUS=waiting for an edge: "))
        self.edge.listen()
        await until(lambda: heard[-1] == "STATUS=2 of 2 tunnels are up")

    async def test_waits_for_a_token(self) -> None:
        """Without identity and token it waits for the token's file, and enrolls when it is there."""
        token = self.token_file.read_text()
        self.token_file.unlink()
        agent = self.agent()
        await agent.says(
            f"there is no token_file {self.token_file.absolute()}; ask an operator to run: warp token create"
        )
        self.token_file.write_text(token)
        await self.edge.until(lambda: len(self.edge.tunnels) == 2)
        await self.assert_serves()

    def follow_systemd(self) -> list[str]:
        """Be systemd for the agents to come; returns what will have been heard."""
        heard: list[str] = []
        address = str(short_directory_of(self) / "notify")
        self.environment["NOTIFY_SOCKET"] = address
        port = IReactorUNIXDatagram(reactor).listenUNIXDatagram(address, _Heard(heard), 8192, 0o600)
        self.addCleanup(port.stopListening)
        return heard

    async def test_refused(self) -> None:
        """A token that the fleet does not know is no end: the reason is logged, and the next token is taken."""
        token = self.fleet.token(self.edge.port)
        wrong = JoinTokenText(token.edges, token.fingerprint, token.id, "cd" * 32)
        self.token_file.write_text(format_token(wrong))
        agent = self.agent()
        await agent.says("the join token is not known (token_unknown); again in")
        self.assertNotIn("cd" * 32, agent.output + agent.errors)
        self.token_file.write_text(format_token(token))
        agent.signal("HUP")
        await self.edge.until(lambda: len(self.edge.tunnels) == 2)

    async def test_revoked(self) -> None:
        """A revoked agent ends with 4 and the reason, which its unit does not restart."""
        self.edge.answer = lambda message: Refused(code="revoked", reason="agent a-1 was revoked: stolen", retry=False)
        agent = self.agent()
        self.assertEqual(await agent.exited, 4)
        self.assertIn("the agent cannot work: agent a-1 was revoked: stolen (revoked)", agent.output)

    async def test_waits_for_an_edge(self) -> None:
        """When no edge answers the enrollment, the service tries again until one does."""
        await self.edge.stop()
        agent = self.agent()
        await agent.says("no edge of the join token answers")
        self.edge.listen()
        await self.edge.until(lambda: len(self.edge.tunnels) == 2)
        await self.assert_serves()

    async def test_metrics(self) -> None:
        """What monitoring asks is answered."""
        port = unused_port()
        self.agent(more=f"metrics: 'tcp:{port}:interface=127.0.0.1'")
        await self.edge.until(lambda: len(self.edge.tunnels) == 2)
        await self.assert_serves()
        status, body = await get(port, "/metrics")
        self.assertEqual(status, 200)
        self.assertIn("warp_agent_tunnels_wanted 2.0", body)
        self.assertIn('warp_agent_streams_total{hostname="brave-otter.warp.example",origin="tcp:', body)
        self.assertIn('direction="to_origin"', body)
        self.assertEqual(await get(port, "/ready"), (200, "2 of 2 tunnels are up\n"))
        self.assertEqual(await get(port, "/live"), (200, "alive\n"))
        await self.edge.stop()
        status, _ = await get(port, "/ready")
        self.assertEqual(status, 503)

    async def test_check(self) -> None:
        """--check judges a file without dialing or writing anything."""
        good = self.run_program(twistd_agent(self.write("[{service: hello-world}]"), "--check"))
        self.assertEqual(await good.exited, 0)
        self.assertIn("agent.yaml: good", good.output)
        missing = "[{service: 'https://x', originRequest: {ca: /nowhere}}]"
        for ingress, reason in {
            "[{hostname: a.example, service: hello-world}]": "ingress[0]: the last rule must match everything",
            missing: "ingress[0].originRequest.ca: /nowhere cannot be read",
        }.items():
            bad = self.run_program(twistd_agent(self.write(ingress), "--check"))
            self.assertEqual(await bad.exited, 1)
            self.assertIn(reason, bad.output + bad.errors)
        self.assertFalse(self.state.exists())
        self.assertEqual(self.fleet.enrolled, 0)


async def get(port: int, path: str) -> tuple[int, str]:
    """Ask an HTTP server on loopback."""
    response = await treq.get(f"http://127.0.0.1:{port}{path}", persistent=False)
    return response.code, await response.text()
