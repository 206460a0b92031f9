"""The base of tests that register tunnels at an edge in memory."""

from tests.case import AsyncTestCase
from tests.edge.control import Control
from warp_twisted.wire.control import Refused


class ControlTestCase(AsyncTestCase):
    """An edge in memory, with the enrolled agent `a-1`."""

    sections: dict[str, object] = {}

    async def prepare(self) -> None:
        """Start the edge."""
        self.control = Control(**self.sections)
        await self.control.start()
        await self.control.enrolled("a-1")
        self.clean_up_with(self.finish)

    async def finish(self) -> None:
        """Stop it."""
        await self.control.stop()
        self.assertEqual(self.control.clock.getDelayedCalls(), [])

    def refused(self, *hostnames: str, agent: str = "a-1", **changes: object) -> Refused:
        """Say hello, expect a refusal, and check that nothing came of it."""
        before = self.control.names()
        end = self.control.connect(agent)
        end.hello(*hostnames, **changes)  # type: ignore[arg-type]
        answer = end.answer(Refused)
        self.assertEqual(end.ending, ("NORMAL", answer.reason))
        self.assertEqual(self.control.names(), before)
        return answer
