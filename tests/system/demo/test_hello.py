"""Tests of `warp_twisted.demo.hello` as a program: it serves, is found, and leaves nothing behind."""

import json
import shutil
import signal
import socket

from tests.case import AsyncTestCase, reactor, until
from tests.system.demo.program import SERVING, DemoPrograms
from warp_twisted.demo.check import steps_of
from warp_twisted.demo.fleet import DemoFleet
from warp_twisted.demo.ports import ADDRESS, WANTED


class DemoTests(AsyncTestCase):
    """The demo, each time in directories of its own."""

    timeout = 120

    async def prepare(self) -> None:
        self.demos = DemoPrograms()
        self.clean_up_with(self.demos.close)

    async def test_check_drives_the_whole_path(self) -> None:
        """`--check` takes every step, says so, exits 0 and leaves nothing behind."""
        program = self.demos.start("--check")
        status = await program.ended
        self.assertEqual(status, 0, program.output)
        lines = [line for line in program.output.splitlines() if not line.startswith("Note: ")]
        fleet = DemoFleet(reactor)
        self.addCleanup(shutil.rmtree, fleet.directory)
        sentences = [step.sentence.split(":")[0] for step in steps_of(fleet, reactor)]
        self.assertEqual(len(lines), len(sentences) + 1)
        for line, sentence in zip(lines, sentences, strict=False):
            self.assertRegex(line, r"^ok +\d+ ms  ")
            self.assertIn(sentence, line)
        self.assertRegex(lines[-1], r"^The whole path works: \d+\.\d s$")
        self.assertEqual(self.demos.left_behind(), [])

    async def test_others_find_it(self) -> None:
        """While it runs, `warp status` and `warp token` in other processes talk to it without further options."""
        program = self.demos.start()
        await program.printed(SERVING)
        output, _, status = await self.demos.warp("status", "--json")
        self.assertEqual(status, 0)
        found = json.loads(output)
        self.assertEqual(found["edge"]["zone"], "warp.localhost")
        self.assertEqual([route["hostname"] for route in found["routes"]], ["hello.warp.localhost"])
        output, errors, status = await self.demos.warp("token", "create", "--hostname", "*.team.warp.localhost")
        self.assertEqual(status, 0, errors)
        self.assertTrue(output.startswith("warp1-"))
        program.signal("TERM")
        self.assertEqual(await program.ended, 0, program.output)
        _, errors, status = await self.demos.warp("status")
        self.assertEqual((status, "no edge answers" in errors), (3, True))

    async def test_taken_port_is_told(self) -> None:
        """When a port is taken the demo uses another, says so, and works."""
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            await until(lambda: self.take_one(taken), timeout=60)  # other tests' demos may have all of them for a while
            name, port = self.taken
            program = self.demos.start("--check")
            self.assertEqual(await program.ended, 0, program.output)
        self.assertRegex(program.output, rf"(?m)^Note: {name} port {port} is taken: using \d+$")

    def take_one(self, taken: socket.socket) -> bool:
        """Listen on a port that a demo wants, and note name and number in `self.taken`; return whether one was free."""
        for name, port in (("tunnel", WANTED.tunnel), ("HTTPS", WANTED.https), ("HTTP", WANTED.http)):
            try:
                taken.bind((ADDRESS, port))
            except OSError:
                continue
            taken.listen()
            self.taken = name, port
            return True
        return False

    async def test_demos_that_start_at_once(self) -> None:
        """Demos that want the same ports in the same moment all work, each with ports of its own."""
        programs = [self.demos.start("--check") for _ in range(3)]
        for program in programs:
            self.assertEqual(await program.ended, 0, program.output)

    async def test_directory_that_is_open_to_others(self) -> None:
        """A directory in which others could put a demo's file is refused in one line, and nothing is left."""
        self.demos.runtime.chmod(0o755)
        program = self.demos.start()
        self.assertEqual(await program.ended, 1)
        self.assertRegex(
            program.output,
            f"(?m)^warp: {self.demos.runtime}: belongs to another user or is open to others; set XDG_RUNTIME_DIR to ",
        )
        self.assertEqual(self.demos.left_behind(), [])

    async def test_killed_demo_is_not_found(self) -> None:
        """A demo that was killed leaves files, which nobody believes, and which the next demo removes."""
        program = self.demos.start()
        await program.printed(SERVING)
        program.signal("KILL")
        self.assertEqual(await program.ended, -signal.SIGKILL)
        self.assertEqual(len(list(self.demos.runtime.iterdir())), 1)
        self.assertEqual((await self.demos.warp("status"))[2], 3)
        program = self.demos.start()
        await program.printed(SERVING)
        self.assertEqual((await self.demos.warp("status"))[2], 0)
        self.assertEqual(len(list(self.demos.temporary.iterdir())), 1)
        program.signal("TERM")
        await program.ended
        self.assertEqual(self.demos.left_behind(), [])
