"""Tests of `warp_twisted.demo.fleet`, in this process: what each step starts, and that the end leaves nothing."""

import os
import shutil
import tempfile
from pathlib import Path

from twisted.internet.threads import deferToThread

from tests.case import AsyncTestCase, reactor
from tests.cli.invoke import invoke
from warp_twisted.cli.errors import DemoFailed, EdgeUnreachable
from warp_twisted.cli.local import find_demo
from warp_twisted.cli.operate.answers import Status, read
from warp_twisted.demo.fleet import HOSTNAME, TUNNELS, ZONE, DemoFleet
from warp_twisted.demo.ports import ADDRESS
from warp_twisted.demo.visitor import Visitor


class DemoFleetTests(AsyncTestCase):
    """One fleet, in directories of its own."""

    timeout = 60

    async def prepare(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="wf-"))  # short: a socket's path has 108 bytes at most
        self.addCleanup(shutil.rmtree, self.base)
        runtime = self.base / "runtime"
        runtime.mkdir(mode=0o700)
        self.patch(tempfile, "tempdir", str(self.base))
        self.patch(os, "environ", {**os.environ, "XDG_RUNTIME_DIR": str(runtime)})
        self.fleet = DemoFleet(reactor)
        self.clean_up_with(self.fleet.stop)

    async def test_from_start_to_end(self) -> None:
        """Step by step there is an edge, an agent with every tunnel, a served and published name; then nothing."""
        fleet = self.fleet
        await fleet.start_edge()
        status = read(await fleet.admin.status(), Status)
        self.assertEqual((status.edge.zone, status.edge.ready, status.routes), (ZONE, True, []))
        visitor = Visitor(reactor, fleet.ports.dns, fleet.root_file.read_text())
        self.clean_up_with(visitor.leave)
        self.assertEqual(await visitor.lookup(HOSTNAME), [])

        await fleet.start_application()
        await fleet.enroll_agent()
        await fleet.connect_agent()
        status = read(await fleet.admin.status(), Status)
        self.assertEqual((len(status.tunnels), [route.hostname for route in status.routes]), (TUNNELS, [HOSTNAME]))
        self.assertEqual(await visitor.lookup(HOSTNAME), [ADDRESS])
        (fleet.policy_directory / "office.txt").write_text("198.51.100.0/24\n")
        policy = self.base / "policy.yaml"
        sources = "{allow: [{file: office.txt, format: prefixes}]}"
        policy.write_text(f"rules: [{{name: office, match: {{path: /office}}, sources: {sources}}}]")
        ran = await deferToThread(invoke, "policy", "apply", str(policy), "--admin", str(fleet.admin_file))
        policy.unlink()
        self.assertEqual((ran.status, ran.errors), (0, ""), "the file is the demo's own, not one of the machine")
        self.assertEqual((await visitor.get(fleet.url("/office"))).status, 403)
        for scheme in ("http", "https"):
            self.assertEqual((await visitor.get(fleet.url("/echo", scheme))).status, 200)

        self.assertIsNone(find_demo())
        fleet.announce()
        found = find_demo()
        assert found is not None
        self.assertEqual((found.zone, found.dns_port, found.pid), (ZONE, fleet.ports.dns, os.getpid()))

        await fleet.stop()
        self.assertIsNone(find_demo())
        self.assertEqual([path.name for path in self.base.iterdir()], ["runtime"])
        with self.assertRaises(EdgeUnreachable):
            await fleet.admin.status()

    async def test_drained_agent(self) -> None:
        """An agent that was drained has taken its name out of DNS, and can be started again."""
        fleet = self.fleet
        await fleet.start_edge()
        await fleet.start_application()
        await fleet.enroll_agent()
        await fleet.connect_agent()
        await fleet.drain_agent()
        self.assertIsNone(fleet.agent)
        visitor = Visitor(reactor, fleet.ports.dns, fleet.root_file.read_text())
        self.clean_up_with(visitor.leave)
        self.assertEqual(await visitor.lookup(HOSTNAME), [])

    async def test_agent_before_it_is_enrolled(self) -> None:
        """An agent without an identity is not started."""
        with self.assertRaisesRegex(DemoFailed, "the agent was not enrolled"):
            await self.fleet.connect_agent()
