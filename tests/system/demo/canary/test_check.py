"""Tests of `warp_twisted.demo.canary.check` as a program: a good release to its end, a bad one back."""

from tests.case import AsyncTestCase
from tests.system.demo.program import DemoPrograms


class CheckTests(AsyncTestCase):
    """`warp demo --canary --check`."""

    timeout = 120

    async def prepare(self) -> None:
        self.demos = DemoPrograms()
        self.clean_up_with(self.demos.close)

    async def check(self, *options: str) -> list[str]:
        """Run it to its good end, and return what its steps say."""
        program = self.demos.start("--canary", "--check", *options)
        self.assertEqual(await program.ended, 0, program.output)
        self.assertRegex(program.output, r"(?m)^The canary release works: \d+\.\d s$")
        self.assertEqual(self.demos.left_behind(), [])
        return [line.partition(" ms  ")[2] for line in program.output.splitlines() if line.startswith("ok ")]

    async def test_good_release(self) -> None:
        """What is asked for is sent, at each step up to 100 %, and nobody goes back."""
        steps = await self.check()
        self.assertEqual(
            steps[4:],
            [
                "the canary gets 10 %",
                "its guard finds it good, and after a shift it gets 25 %",
                "its guard finds it good, and after a shift it gets 50 %",
                "its guard finds it good, and after a shift it gets 100 %",
                "no visitor went back to stable on the way",
            ],
        )

    async def test_release_that_becomes_worse(self) -> None:
        """The guard takes it back, and visitors get no more errors."""
        steps = await self.check("--worse")
        self.assertEqual(
            steps[-3:],
            [
                "the canary begins to fail, and its guard takes it back",
                "the canary gets nothing",
                "visitors get no more errors",
            ],
        )
