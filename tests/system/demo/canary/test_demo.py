"""Tests of `warp_twisted.demo.canary.demo` as a program: it shows what was asked for and sent, and ends cleanly."""

import json

from tests.case import AsyncTestCase
from tests.system.demo.program import DemoPrograms


class CanaryDemoTests(AsyncTestCase):
    """The demo, each time in directories of its own."""

    timeout = 120

    async def prepare(self) -> None:
        self.demos = DemoPrograms()
        self.clean_up_with(self.demos.close)

    async def test_objects(self) -> None:
        """With --json each line is an object, of what was said and what was sent; Ctrl-C leaves nothing behind."""
        program = self.demos.start("--canary", "--json")
        await program.printed('"event": "sample"', times=4)
        output, errors, status = await self.demos.warp("route", "show", "app.warp.localhost", "--json")
        self.assertEqual((status, len(json.loads(output)[0]["shares"])), (0, 2), errors)
        program.signal("INT")
        self.assertEqual(await program.ended, 0, program.output)
        found = [json.loads(line) for line in program.output.splitlines() if line.startswith("{")]
        self.assertEqual({each["event"] for each in found}, {"said", "sample"})
        last = [each for each in found if each["event"] == "sample"][-1]
        self.assertEqual([share["asked"] for share in last["shares"]], [0.9, 0.1])
        self.assertGreater(sum(share["requests"] for share in last["shares"]), 0)
        self.assertEqual(self.demos.left_behind(), [])

    async def test_lines(self) -> None:
        """Where there is no terminal, lines tell how to look at it, and the same as the picture."""
        program = self.demos.start("--canary")
        await program.printed("; guard: ", times=2)
        program.signal("TERM")
        self.assertEqual(await program.ended, 0, program.output)
        self.assertRegex(program.output, r"release=stable asked 90 % sent [\d.]+ %, release=canary asked 10 % sent")
        self.assertIn("route show app.warp.localhost", program.output)
