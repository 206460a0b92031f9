"""Tests of `warp_twisted.demo.running`, by a demo as a program: however it is ended, nothing is left."""

from tests.case import AsyncTestCase, until
from tests.system.demo.program import SERVING, DemoPrograms


class DemoRunTests(AsyncTestCase):
    """The demo, each time in directories of its own."""

    timeout = 60

    async def prepare(self) -> None:
        self.demos = DemoPrograms()
        self.clean_up_with(self.demos.close)

    async def test_each_way_to_end_leaves_nothing(self) -> None:
        """Ctrl-C, SIGTERM and a closed terminal remove directory, file and sockets, and exit 0."""
        for name in ("INT", "TERM", "HUP"):
            program = self.demos.start()
            await program.printed(SERVING)
            self.assertNotEqual(self.demos.left_behind(), [])
            program.signal(name)
            self.assertEqual(await program.ended, 0, (name, program.output))
            self.assertEqual(self.demos.left_behind(), [], name)

    async def test_end_in_the_middle_of_the_start(self) -> None:
        """Ctrl-C before the demo serves leaves nothing either."""
        program = self.demos.start("--check")
        await program.printed("ok ")
        program.signal("INT")
        await program.ended
        self.assertNotIn("a bug in Warp", program.output)
        self.assertEqual(self.demos.left_behind(), [])

    async def test_end_during_the_start(self) -> None:
        """Ctrl-C while a demo starts that is to go on is no error, and leaves nothing."""
        program = self.demos.start()
        await until(lambda: any(path.endswith("/admin.sock") for path in self.demos.left_behind()))
        program.signal("INT")
        await program.ended
        self.assertEqual(program.output, "")
        self.assertEqual(self.demos.left_behind(), [])
