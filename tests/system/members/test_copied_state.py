"""Two machines with one copied state directory: the first serves on, and visitors notice nothing."""

import shutil
from signal import SIGSTOP

from twisted.internet.defer import Deferred

from tests.case import until
from tests.system.members.beside import Answer, BesideTestCase


class CopiedStateTests(BesideTestCase):
    """A second agent is started with a copy of the first one's state."""

    async def test_copy(self) -> None:
        """The copy is refused and told what to do, waiting longer each time; when the first one dies, it takes over."""
        first = await self.machine("first")
        await self.serve(first)
        served = self.tunnels
        copy = await self.machine("copy")
        copy.state.mkdir(mode=0o700)
        for file in first.state.iterdir():
            if file.name != "lock":
                shutil.copy2(file, copy.state)
        answers: list[Answer] = []
        is_over = False

        async def visit() -> None:
            while not is_over:
                answers.append(await self.ask())

        visitor = Deferred.fromCoroutine(visit())
        self.start(copy)
        counts = self.node.parts.tunnels.registrations.counts
        await until(lambda: counts.refused.get("copied", 0) >= 6, 60)
        is_over = True
        await visitor
        self.assertEqual({(answer.status, answer.origin) for answer in answers}, {(200, "first")})
        self.assertEqual((self.tunnels, counts.registered, counts.replaced), (served, 2, 0))
        self.assertIn("remove the copy and enroll this one with a token of its own", copy.log)
        first.program.signal("KILL")
        await until(lambda: len(self.tunnels) == 2 and not set(served) & set(self.tunnels), 60)
        self.assertEqual((await self.ask()).origin, "copy")

    async def test_restart(self) -> None:
        """An agent that was killed is back with its next start, though nobody told the edge that it would be."""
        machine = await self.machine("only")
        await self.serve(machine)
        before = set(self.tunnels)
        machine.program.signal("KILL")
        self.start(machine)
        await until(lambda: len(self.tunnels) == 2 and not before & set(self.tunnels), 60)
        self.assertEqual((await self.ask()).origin, "only")
        self.assertEqual(self.node.parts.tunnels.registrations.counts.refused, {})

    async def test_frozen_then_restarted(self) -> None:
        """A machine that stands still with its tunnels open does not keep its successor out for more than a second."""
        machine = await self.machine("old")
        await self.serve(machine)
        machine.program.signal(SIGSTOP)
        successor = await self.machine("new")
        shutil.copytree(machine.state, successor.state)
        before = set(self.tunnels)
        self.start(successor)
        await until(lambda: len(self.tunnels) == 2 and not before & set(self.tunnels), 60)
        self.assertEqual((await self.ask()).origin, "new")
        self.assertEqual(self.node.parts.tunnels.registrations.counts.refused, {})
