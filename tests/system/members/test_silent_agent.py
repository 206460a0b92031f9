"""An agent that is stopped beside one that serves: who asks meanwhile waits a moment at most, and nothing fails."""

from signal import SIGCONT, SIGSTOP

from twisted.internet.defer import Deferred, gatherResults

from tests.case import until
from tests.system.members.beside import Answer, BesideTestCase

VISITORS = 8


class SilentAgentTests(BesideTestCase):
    """Two agents serve one hostname; one of them hangs."""

    async def test_frozen(self) -> None:
        """
        Nothing that may be repeated fails.

        Requests wait only in the seconds until the agent is suspected, and it serves again when it runs again.
        """
        frozen, other = await self.machine("frozen"), await self.machine("other")
        await self.serve(frozen, other)
        while {(await self.ask()).origin for _ in range(4)} != {"frozen", "other"}:
            pass
        frozen.program.signal(SIGSTOP)
        suspected = self.node.parts.serving.suspicion.suspected
        is_over = False
        answers: list[Answer] = []

        async def visit() -> None:
            while not is_over:
                answers.append(await self.ask())

        visitors = [Deferred.fromCoroutine(visit()) for _ in range(VISITORS)]
        await until(lambda: len(suspected) == 2, 30)
        before = len(answers)
        await until(lambda: len(answers) >= before + 200, 30)
        is_over = True
        await gatherResults(visitors)
        self.assertEqual({answer.status for answer in answers}, {200})
        waits = [answer.seconds for answer in answers if answer.seconds > 1]
        self.assertLessEqual(len(waits), VISITORS)  # each visitor was held up once
        late = answers[before + VISITORS :]
        self.assertEqual({answer.origin for answer in late}, {"other"})
        frozen.program.signal(SIGCONT)
        await until(lambda: not suspected, 30)
        while {(await self.ask()).origin for _ in range(4)} != {"frozen", "other"}:
            pass
        self.assertEqual(len(self.tunnels), 4)
