"""
How `warp demo --canary` goes: the canary gets 25, 50 and 100 % of the visitors, as long as its guard finds it good.

It is told by the commands that an operator would type. Where the canary becomes worse on the way, the guard takes it
back, and the story ends there.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from warp_twisted.cli.operate.answers import SplitHostname
from warp_twisted.cli.output import percent, span
from warp_twisted.demo.canary.releases import CANARY, FIRST_PERCENT, HOSTNAME

STEPS = (25, 50, 100)
WORSENS_AT = 50
LOOK_SECONDS = 0.25
BETTER = "better"


@dataclass(frozen=True, slots=True)
class Pace:
    """
    How long it takes.

    :ivar over_seconds: each shift.
    :ivar hold_seconds: for how long the guard finds the canary good before the next one.
    """

    over_seconds: float = 8.0
    hold_seconds: float = 5.0


class Stage(Protocol):
    """What the story happens on; see `demo.canary.releases`."""

    async def split(self) -> SplitHostname:
        """Look how the requests are split."""

    def shift(self, percent: float, over_seconds: float) -> Awaitable[object]:
        """Give the canary another part."""

    def worsen(self) -> None:
        """Have the canary fail now and then from now on."""


class Story:
    """
    One canary release.

    :param say: shows a line that stays.
    :param command: how this `warp` is called from another terminal.
    :param is_worse: whether the canary becomes worse on the way.
    """

    def __init__(
        self,
        stage: Stage,
        clock: IReactorTime,
        say: Callable[[str], None],
        *,
        command: str = "warp",
        is_worse: bool = False,
        pace: Pace | None = None,
    ) -> None:
        self._stage = stage
        self._clock = clock
        self._say = say
        self._command = command
        self._is_worse = is_worse
        self._pace = pace or Pace()

    async def tell(self) -> bool:
        """
        Shift from step to step.

        :returns: whether the canary has all visitors in the end; else the guard took it back.
        """
        self._say(f"{FIRST_PERCENT} % of the visitors are the canary's, by the policy. What does its guard find?")
        for step in STEPS:
            if not await self._is_good():
                return False
            over = self._pace.over_seconds
            self._say(f"$ {self._command} route shift {HOSTNAME} {CANARY} {step} --over {over:g}s")
            await self._stage.shift(step, over)
            if self._is_worse and step == WORSENS_AT:
                await deferLater(self._clock, over / 2)
                self._stage.worsen()
                self._say("The canary begins to answer every third request with 500.")
            if not await self._reached(step / 100):
                return False
        if not await self._is_good():
            return False
        self._say(
            "The canary has all visitors. Its guard goes on judging it, by what the others did last. To take it back:"
        )
        self._say(f"$ {self._command} route shift {HOSTNAME} {CANARY} 0")
        return True

    async def _reached(self, part: float) -> bool:
        """Wait until the canary has a part; return False if the guard took it back meanwhile."""
        while True:
            split = await self._stage.split()
            if self._was_taken_back(split):
                return False
            if split.shift is not None and abs(split.shift.part - part) < 1e-9:
                self._say(f"The canary has {percent(part)}.")
                return True
            await deferLater(self._clock, LOOK_SECONDS)

    async def _is_good(self) -> bool:
        """Wait until the guard has found the canary good for a while; return False if it took it back."""
        good_since: float | None = None
        while True:
            split = await self._stage.split()
            if self._was_taken_back(split):
                return False
            guard, now = split.guard, self._clock.seconds()
            if guard is None or guard.verdict != BETTER:
                good_since = None
            elif good_since is None:
                good_since = now
            elif now - good_since >= self._pace.hold_seconds:
                self._say(f"The guard found it as good as the others for {span(now - good_since)}: {guard.reason}.")
                return True
            await deferLater(self._clock, LOOK_SECONDS)

    def _was_taken_back(self, split: SplitHostname) -> bool:
        guard = split.guard
        if guard is None or not guard.action:
            return False
        self._say(f"The guard took the canary back, and its visitors with it: {guard.reason}.")
        self._say("It gets nothing until it is shifted anew, or reset:")
        self._say(f"$ {self._command} route reset {HOSTNAME}")
        return True
