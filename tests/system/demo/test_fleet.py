"""Tests of `warp_twisted.demo.fleet`, in this process: what each step starts, and that the end leaves nothing."""

import os

from twisted.internet.threads import deferToThread

from tests.case import reactor
from tests.cli.invoke import invoke
from tests.system.demo.fleet_case import DemoFleetCase
from warp_twisted.cli.errors import EdgeUnreachable
from warp_twisted.cli.local import find_demo
from warp_twisted.cli.operate.answers import Status, read
from warp_twisted.demo.agent import TUNNELS
from warp_twisted.demo.fleet import HOSTNAME, ZONE
from warp_twisted.demo.ports import ADDRESS
from warp_twisted.demo.visitor import Visitor


class DemoFleetTests(DemoFleetCase):
    """From its start to its end."""

    async def test_from_start_to_end(self) -> None:
        """Step by step there is an edge, an agent with every tunnel, a served and published name; then nothing."""
        fleet = self.fleet
        await fleet.start_edge()
        status = read(await fleet.admin.status(), Status)
        self.assertEqual((status.edge.zone, status.edge.ready, status.routes), (ZONE, True, []))
        visitor = Visitor(reactor, fleet.ports.dns, fleet.root_file.read_text())
        self.clean_up_with(visitor.leave)
        self.assertEqual(await visitor.lookup(HOSTNAME), [])

        await fleet.agent.application.start()
        await fleet.agent.enroll()
        await fleet.agent.connect()
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
