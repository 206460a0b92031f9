"""
`warp demo --canary --check`: the whole release driven once, as `warp demo --check` drives the whole path.

What was asked for is held against what was sent: of the requests after each shift the canary must have its part, and no
visitor who was moved to it may go back.
"""

from collections.abc import Awaitable, Callable

from twisted.internet.task import deferLater

from warp_base.reactor import Reactor
from warp_twisted.cli.errors import DemoFailed
from warp_twisted.cli.operate.answers import SplitHostname
from warp_twisted.cli.output import percent
from warp_twisted.demo.canary.releases import FIRST_PERCENT, Releases
from warp_twisted.demo.canary.story import BETTER, STEPS, WORSENS_AT
from warp_twisted.demo.check import Step

OVER_SECONDS = 1.0
COUNTED = 200  # requests after each shift
TOLERANCE = 0.1  # of all: each of 40 visitors is 0.025
_LOOK_AGAIN_SECONDS = 0.05


def steps_of(releases: Releases, reactor: Reactor, *, is_worse: bool) -> list[Step]:
    """Return the steps."""
    canary = _Canary(releases, reactor)
    steps = [
        Step("the edge, its DNS and its certificate authority start", releases.fleet.start_edge),
        Step("two releases are connected, stable and canary", releases.start_releases),
        Step("the policy that splits them is in force", releases.apply_policy),
        Step("visitors come", releases.start_visitors),
        Step(f"the canary gets {FIRST_PERCENT} %", canary.gets(FIRST_PERCENT)),
    ]
    for step in STEPS:
        if is_worse and step == WORSENS_AT:
            return [
                *steps,
                Step("the canary begins to fail, and its guard takes it back", canary.fails),
                Step("the canary gets nothing", canary.gets(0)),
                Step("visitors get no more errors", canary.serves_without_errors),
            ]
        steps.append(Step(f"its guard finds it good, and after a shift it gets {step} %", canary.goes_to(step)))
    return [*steps, Step("no visitor went back to stable on the way", canary.moved_nobody_back)]


class _Canary:
    def __init__(self, releases: Releases, reactor: Reactor) -> None:
        self._releases = releases
        self._reactor = reactor

    def goes_to(self, step: int) -> Callable[[], Awaitable[None]]:
        async def go() -> None:
            await self._until(lambda split: split.guard is not None and split.guard.verdict == BETTER)
            await self._releases.shift(step, OVER_SECONDS)
            await self._until(lambda split: split.shift is not None and split.shift.part == split.shift.target)
            await self._gets(step / 100)

        return go

    def gets(self, step: int) -> Callable[[], Awaitable[None]]:
        return lambda: self._gets(step / 100)

    async def fails(self) -> None:
        self._releases.worsen()
        while True:
            split = await self._releases.split()
            if split.guard is not None and split.guard.action == "back":
                return
            await self._wait()

    async def serves_without_errors(self) -> None:
        visitors = self._releases.visitors
        answers, errors = visitors.answers, visitors.errors
        while visitors.answers < answers + COUNTED:
            await self._wait()
        if visitors.errors != errors:
            raise DemoFailed(f"{visitors.errors - errors} of {visitors.answers - answers} requests failed")

    async def moved_nobody_back(self) -> None:
        if back := self._releases.visitors.moved.get("stable"):
            raise DemoFailed(f"{back} visitors went back")

    async def _gets(self, part: float) -> None:
        """Count requests from now on, until there are enough to say which part of them was the canary's."""
        before = await self._releases.split()
        while True:
            now = await self._releases.split()
            grown = [new.requests - old.requests for new, old in zip(now.shares, before.shares, strict=True)]
            if sum(grown) >= COUNTED:
                break
            await self._wait()
        sent = grown[1] / sum(grown)
        if abs(sent - part) > TOLERANCE:
            raise DemoFailed(f"{percent(sent)} of {sum(grown)} requests were the canary's")

    async def _until(self, holds: Callable[[SplitHostname], bool]) -> None:
        """Look until something holds; the step's own time-out ends it."""
        while not holds(split := await self._releases.split()):
            if split.guard is not None and split.guard.action:
                raise DemoFailed(f"the guard took the canary back: {split.guard.reason}")
            await self._wait()

    async def _wait(self) -> None:
        await deferLater(self._reactor, _LOOK_AGAIN_SECONDS)
