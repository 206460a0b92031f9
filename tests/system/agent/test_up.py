"""`warp up` as a process, against a small edge on loopback."""

import json
import os
from dataclasses import replace

from twisted.internet.threads import deferToThread

from tests.case import reactor, until
from tests.pipes import full_pipe, read_all
from tests.system.agent.programs import AgentProgramTestCase, Program, lines, warp_up
from tests.system.ports import free_port
from warp_dns import DnsServer, FixedSource, Record, ServedZone, ZoneSettings
from warp_twisted.ca.tokens import format_token
from warp_twisted.wire import control


class UpTests(AgentProgramTestCase):
    """The agent as a command."""

    def up(self, *options: str, given: str = "", **environment: str) -> Program:
        """Start `warp up`."""
        return self.run_program(warp_up(*options, environment={**self.environment, **environment}, given=given))

    async def test_plain_lines(self) -> None:
        """It says what it does in lines, serves, and ends with 0 on Ctrl-C."""
        up = self.up("--hostname", "app.warp.example", "--token-file", str(self.token_file), self.echo)
        await self.edge.until(lambda: len(self.edge.tunnels) == 4)
        (route,) = self.edge.hellos[0].routes
        self.assertEqual((route.hostname, route.service, route.protocol), ("app.warp.example", self.echo, "tcp"))
        await self.assert_serves()
        await up.says("is up", times=4)
        up.signal("INT")
        self.assertEqual(await up.exited, 0)
        self.assertIn("enrolled as agent a-1, for *.warp.example\n", up.output)
        self.assertIn(f"https://app.warp.example -> {self.echo}\n", up.output)
        self.assertTrue(up.output.endswith("stopped\n"), up.output)
        self.assertEqual(up.errors, "")

    async def test_the_url_waits_for_dns(self) -> None:
        """The URL is printed when every name server answers its name; one that does not in time is named after it."""
        source = FixedSource()
        settings = ZoneSettings(name="warp.example", nameservers={"ns1.warp.example": ["127.0.0.1"]})
        server = DnsServer(reactor, [ServedZone(settings, source)])
        self.addCleanup(server.stop)
        ((_, port),) = server.start(["127.0.0.1:0"])
        self.edge.name_servers = {"ns1.warp.example": [f"127.0.0.1:{port}"]}
        up = self.up("--hostname", "app.warp.example", "--token-file", str(self.token_file), self.echo)
        await up.says("is up", times=4)
        await until(lambda: server.counters.queries("udp", 1, 3)[0] > 1)
        self.assertNotIn("https://app.warp.example", up.output)
        source.change({"app.warp.example": [Record("app.warp.example", "A", 5, "192.0.2.1")]})
        await up.says(f"https://app.warp.example -> {self.echo}\n")
        up.signal("INT")
        self.assertEqual(await up.exited, 0)
        self.assertNotIn("does not answer", up.output)

    async def test_a_name_server_that_does_not_answer(self) -> None:
        """After ten seconds the URL is printed all the same, and who does not answer it, in JSON too."""
        port = free_port()
        self.edge.name_servers = {"ns2.warp.example": [f"127.0.0.1:{port}"]}
        up = self.up("--json", "--tunnels", "1", "--hostname", "app.warp.example", "3000", WARP_TOKEN=self.token)
        await up.says('"event":"tunnel_up"')
        began_at = reactor.seconds()
        await up.says('"event":"name_unanswered"')
        self.assertGreater(reactor.seconds(), began_at + 8)
        kinds = [json.loads(line) for line in lines(up.output)]
        (published, missing) = kinds[-2:]
        self.assertEqual(published["event"], "published")
        self.assertEqual(
            (missing["hostname"], missing["server"], missing["address"]),
            ("app.warp.example", "ns2.warp.example", f"127.0.0.1:{port}"),
        )
        self.assertIn("no answer over UDP, nor over TCP", missing["answer"])

    async def test_json(self) -> None:
        """With --json each event is an object; options reach the edge; the second start needs no token."""
        for times in (1, 2):
            up = self.up("--json", "--label", "release=canary", "--tunnels", "1", "3000", WARP_TOKEN=self.token)
            await up.says('"event":"published"')
            up.signal("TERM")
            self.assertEqual(await up.exited, 0)
            events = [json.loads(line) for line in lines(up.output)]
            kinds = [event["event"] for event in events]
            self.assertEqual("enrolled" in kinds, times == 1)
            self.assertEqual(kinds[-1], "stopped")
            (published,) = (event for event in events if event["event"] == "published")
            self.assertEqual(published["urls"], {"https://brave-otter.warp.example": "http://localhost:3000"})
        self.assertEqual(self.edge.hellos[-1].labels, {"release": "canary"})
        self.assertEqual(self.fleet.enrolled, 1)

    async def test_health(self) -> None:
        """With --health the application is probed, and the edge hears what is found."""
        origin = f"127.0.0.1:{free_port()}"
        up = self.up("--json", "--tunnels", "1", "--health", "/healthz", origin, WARP_TOKEN=self.token)
        probed = control.OriginHealth(route_id=0, healthy=False, detail="connection refused", probed=True)
        await until(lambda: probed in self.edge.messages, timeout=15)
        await up.says('"event":"origin"')

    async def test_nobody_reads_what_it_prints(self) -> None:
        """With a full pipe for standard output it serves and stops; its events come out when they are read."""
        reading, writing, filled = full_pipe()
        up = self.run_program(
            warp_up(
                "--json",
                "--tunnels",
                "1",
                self.echo,
                environment={**self.environment, "WARP_TOKEN": self.token},
                output=writing,
            )
        )
        os.close(writing)
        await self.edge.until(lambda: len(self.edge.tunnels) == 1)
        await self.assert_serves()
        reader = deferToThread(read_all, reading)
        up.signal("TERM")
        self.assertEqual(await up.exited, 0)
        kinds = [json.loads(line)["event"] for line in lines((await reader)[filled:].decode())]
        self.assertEqual((kinds[0], kinds[-1]), ("enrolled", "stopped"))

    async def test_token_from_standard_input(self) -> None:
        """The token may be piped in."""
        self.up("--token-file", "-", "--tunnels", "1", "3000", given=self.token + "\n")
        await self.edge.until(lambda: len(self.edge.tunnels) == 1)
        self.assertEqual(self.fleet.enrolled, 1)

    async def test_config(self) -> None:
        """An agent.yaml says what is served, and is followed."""
        path = self.directory / "agent.yaml"
        path.write_text(f"tunnels: 1\nstate: {self.state}\ntoken_file: /nowhere\ningress: [{{service: '{self.echo}'}}]")
        up = self.up("--config", str(path), "--label", "a=b", WARP_TOKEN=self.token)
        await self.edge.until(lambda: len(self.edge.tunnels) == 1)
        self.assertEqual(self.edge.hellos[0].labels, {"a": "b"})
        path.write_text(f"tunnels: 1\nstate: {self.state}\ningress: [{{service: hello-world}}]")
        up.signal("HUP")
        await up.says("settings taken: 1 routes")

    async def test_second_interrupt(self) -> None:
        """A second Ctrl-C does not wait for what is under way, and the status tells."""
        up = self.up("--token-file", str(self.token_file), self.echo)
        await self.edge.until(lambda: len(self.edge.tunnels) == 4)
        visit = self.edge.visit(0, b"hello")
        await visit.read(5)
        up.signal("INT")
        await up.says("draining: 1 streams")
        up.signal("INT")
        self.assertEqual(await up.exited, 130)

    async def test_edge_that_is_away(self) -> None:
        """When no edge answers, the reason is printed, and the command goes on trying."""
        await self.edge.stop()
        up = self.up("--token-file", str(self.token_file), "--tunnels", "1", self.echo)
        await up.says("no edge of the join token answers")
        self.edge.listen()
        await self.edge.until(lambda: len(self.edge.tunnels) == 1)
        self.assertEqual(self.fleet.enrolled, 1)

    async def test_what_is_wrong(self) -> None:
        """Each way to fail has its status and a line that says what to do."""
        wrong = replace(self.fleet.token(self.edge.port), secret="cd" * 32)
        self.token_file.write_text(format_token(wrong))
        for status, reason, arguments in (
            (1, "no join token was given: ask an operator to run `warp token create`", ["3000"]),
            (1, "token_file: /dev/null: expected a join token", ["--token-file", os.devnull, "3000"]),
            (2, "ORIGIN is missing, such as 3000", []),
            (2, "service: 'http://x/y' is not a service", ["http://x/y"]),
            (2, "hostname: 'a..b'", ["--hostname", "a..b", "3000"]),
            (2, "--label: 'x' is not a label", ["--label", "x", "3000"]),
            (2, "--config says what is served", ["--config", "x", "3000"]),
            (1, "the join token is not known (token_unknown)", ["--token-file", str(self.token_file), "3000"]),
        ):
            up = self.up(*arguments)
            self.assertEqual((await up.exited, reason in up.errors), (status, True), up.errors)
            self.assertEqual(len(lines(up.errors)), 1, up.errors)
        self.edge.answer = lambda message: control.Refused(code="revoked", reason="stolen", retry=False)
        up = self.up("3000", WARP_TOKEN=self.token)
        self.assertEqual(await up.exited, 4)
        self.assertIn("warp: stolen (revoked)", up.errors)
