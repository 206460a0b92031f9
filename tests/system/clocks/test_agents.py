"""Agents whose clock is wrong: what goes on, what they say, and that they are back as soon as it is right."""

import time

from twisted.logger import Logger

from tests.case import until
from tests.system.clocks.faketime import STEPS, WrongClock
from tests.system.members.beside import BesideTestCase, Machine

TOO_FAR = {"2 d behind", "55 years behind"}  # the fleet was made today, so its certificates are not valid yet
_log = Logger()


class AgentClockTests(BesideTestCase):
    """One agent, whose clock is set; the edge's is right."""

    timeout = 300

    async def prepare(self) -> None:
        await super().prepare()
        self.agent = await self.machine("agent")
        self.clock = WrongClock(self.directory / "agent-clock")
        self.agent.environment.update(self.clock.environment)

    def cut(self) -> None:
        """Cut the agent's tunnels, as a network that fails does."""
        for tunnel in list(self.node.parts.tunnels.registrations.by_id.values()):
            tunnel.protocol.close(reason="the test cuts it")

    async def back(self, what: str) -> None:
        """Wait until the agent has its tunnels and serves, and note how long that took."""
        began = time.monotonic()
        await until(lambda: len(self.tunnels) == 2, 60)
        self.assertEqual((await self.ask()).status, 200)
        _log.info("measured: {what}: back after {seconds:.1f} s", what=what, seconds=time.monotonic() - began)

    async def is_out(self, name: str) -> None:
        """Wait until the agent has said what it suspects; nothing is served."""
        await until(lambda: f"this machine's clock seems to be {name} the edge's" in self.agent.log, 60)
        self.assertEqual((self.tunnels, (await self.ask()).status), ([], 503))

    async def test_set_while_it_runs(self) -> None:
        """A tunnel that is up stays, however the clock is set; one that is lost comes back when the clock is right."""
        await self.serve(self.agent)
        for name, seconds in STEPS.items():
            before = self.tunnels
            self.clock.set(seconds)
            self.assertEqual((await self.ask()).status, 200)
            self.assertEqual(self.tunnels, before)
            self.cut()
            await until(lambda: not self.tunnels)
            if name in TOO_FAR:
                await self.is_out(name)
                self.clock.set(0)
            await self.back(f"agent running, clock {name}")
            self.clock.set(0)

    async def test_wrong_at_its_start(self) -> None:
        """An agent that starts with a wrong clock serves if certificates are valid by it, else when it is set."""
        await self.serve(self.agent)
        for name, seconds in STEPS.items():
            await self.agent.program.end()
            await until(lambda: not self.tunnels)
            self.clock.set(seconds)
            self.start(self.agent)
            if name in TOO_FAR:
                await self.is_out(name)
                self.clock.set(0)
            await self.back(f"agent started, clock {name}")
            self.clock.set(0)

    async def test_never_enrolled(self) -> None:
        """An agent that starts for the first time in 1971 spends no token, and enrolls when its clock is right."""
        fresh: Machine = self.agent
        self.clock.set(STEPS["55 years behind"])
        self.start(fresh)
        await until(lambda: "seems to be 55 years behind the edge's" in fresh.log, 60)
        self.assertEqual([token.uses_left for token in self.node.parts.mirror.tokens.values()], [1])
        self.clock.set(0)
        await self.back("agent enrolling, clock 55 years behind")
