"""Tests of `warp up` beside a demo: it joins with no options, serves, and goes without a trace."""

import json
from pathlib import Path
from urllib.parse import urlsplit

from tests.case import AsyncTestCase, reactor
from tests.system.demo.program import SERVING, DemoPrograms, Program
from warp_twisted.demo.application import DemoApplication
from warp_twisted.demo.visitor import Visitor


class JoinTests(AsyncTestCase):
    """A demo, an application of somebody's own, and `warp up` in another process."""

    timeout = 60

    async def prepare(self) -> None:
        self.demos = DemoPrograms()
        self.clean_up_with(self.demos.close)
        self.application = DemoApplication(reactor, reactor)
        await self.application.start()
        self.clean_up_with(self.application.stop)
        self.demo = self.demos.start()
        await self.demo.printed(SERVING)
        info = self.demos.info()
        self.http_port = info.http_port
        root = Path(info.admin).parent / "ca" / "root.pem"
        self.visitor = Visitor(reactor, info.dns_port, root.read_text())

    async def published(self, *arguments: str) -> tuple[Program, str]:
        """Start `warp up`, and return it with the hostname that it was given."""
        program = self.demos.run("up", "--json", *arguments, f"http://127.0.0.1:{self.application.port}")
        await program.printed('"published"')
        events = [json.loads(line) for line in program.output.splitlines() if line.startswith("{")]
        found = next(event for event in events if event["event"] == "published")
        (url,) = found["urls"]
        hostname = urlsplit(url).hostname
        assert hostname is not None
        self.assertTrue(url.startswith("https://"))
        self.assertEqual(list(found["plain_urls"]), [f"http://{hostname}:{self.http_port}"])
        return program, hostname

    async def gone(self, hostname: str) -> None:
        """Wait until DNS has the name no longer."""
        while await self.visitor.lookup(hostname):
            pass

    async def test_up_needs_no_options(self) -> None:
        """`warp up ORIGIN` gets a name of the demo's zone, visitors reach it, DNS has it; Ctrl-C takes it away."""
        program, hostname = await self.published()
        self.assertTrue(hostname.endswith(".warp.localhost"), hostname)
        self.assertEqual(await self.visitor.lookup(hostname), ["127.0.0.1"])
        answer = await self.visitor.get(f"http://{hostname}:{self.http_port}/echo")
        self.assertEqual((answer.status, json.loads(answer.body)["target"]), (200, "/echo"))
        program.signal("INT")
        self.assertEqual(await program.ended, 0, program.output)
        await self.gone(hostname)
        answer = await self.visitor.get(f"http://{hostname}:{self.http_port}/echo")
        self.assertIn(answer.status, (404, 503))

    async def test_hostname_of_ones_own(self) -> None:
        """With --hostname the application has that name."""
        _, hostname = await self.published("--hostname", "mine.warp.localhost")
        self.assertEqual(hostname, "mine.warp.localhost")
        self.assertEqual((await self.visitor.get(f"http://{hostname}:{self.http_port}/")).status, 200)

    async def test_demo_that_was_restarted(self) -> None:
        """A `warp up` whose demo was killed becomes an agent of the next demo, and says where it is now."""
        program, _ = await self.published()
        self.demo.signal("KILL")
        await self.demo.ended
        await self.demos.start().printed(SERVING)
        await program.printed('"enrolled"', times=2)
        await program.printed('"published"', times=2)
        events = [json.loads(line) for line in program.output.splitlines() if line.startswith("{")]
        (url,) = [event for event in events if event["event"] == "published"][-1]["urls"]
        info = self.demos.info()
        visitor = Visitor(reactor, info.dns_port, (Path(info.admin).parent / "ca" / "root.pem").read_text())
        answer = await visitor.get(f"http://{urlsplit(url).hostname}:{info.http_port}/")
        self.assertEqual(answer.status, 200)

    async def test_revoked_agent_is_gone_at_once(self) -> None:
        """`warp agent revoke` ends the agent and its name; it is told why and does not come back."""
        program, hostname = await self.published("--label", "who=me")
        output, _, _ = await self.demos.warp("status", "--selector", "who=me", "--json")
        (agent,) = json.loads(output)["agents"]
        output, errors, status = await self.demos.warp("agent", "revoke", agent["id"])
        self.assertEqual((output, status), (f"Agent {agent['id']} is revoked.\n", 0), errors)
        self.assertNotEqual(await program.ended, 0)
        await self.gone(hostname)
        self.assertIn("revoked", program.output)
