"""
When each origin is probed, and what is known of it.

A check is one origin, asked in one way; routes that lead there share it. Each has a timer of its own. It begins at a
moment of chance, at once where there are few and within a second where there are many, and goes on at intervals that
differ by up to a tenth: so a hundred origins are not probed in one turn, nor one origin by a hundred agents. One probe
of a check is under way at a time.
"""

from collections.abc import Callable, Hashable, Mapping
from random import Random

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from warp_twisted.agent.health.answer import GOOD
from warp_twisted.agent.health.probe import Probe
from warp_twisted.agent.health.settings import Health
from warp_twisted.agent.health.tally import Tally, Verdict

FIRST_SECONDS = 1.0
SPREAD_SECONDS = (
    0.01  # for each check: few are probed before the first tunnel is up, so that it is told what they found
)
JITTER = 0.1  # of an interval, to either side

Begin = Callable[[Callable[[str], None]], Probe]  # begins a probe, and says who hears its verdict


class Check:
    """
    One origin, asked in one way.

    :param text: the origin, for people.
    :param begin: begins a probe.
    :param changed: called when the verdict has changed.
    :ivar tally: what is known.
    :ivar detail: what was wrong with the last probe; empty: nothing.
    :ivar probes: how many have ended, and `failures`: of them.
    :ivar seconds: how long the last one took.
    """

    __slots__ = (
        "_began_at", "_begin", "_call", "_chance", "_changed", "_clock", "_health", "_probe", "detail", "failures",
        "probes", "seconds", "tally", "text",
    )  # fmt: skip

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        chance: Random,
        text: str,
        health: Health,
        begin: Begin,
        changed: "Callable[[Check], None]",
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._health = health
        self._begin = begin
        self._changed = changed
        self._call: IDelayedCall | None = None
        self._probe: Probe | None = None
        self._began_at = 0.0
        self.text = text
        self.tally = Tally(health.rise, health.fall)
        self.detail = ""
        self.probes = 0
        self.failures = 0
        self.seconds = 0.0

    @property
    def is_healthy(self) -> bool:
        """Whether requests should go to the origin."""
        return self.tally.is_healthy

    @property
    def is_under_way(self) -> bool:
        """Whether a probe has begun, or will."""
        return self._probe is not None or self._call is not None

    def start(self, within: float) -> None:
        """Begin to probe within so many seconds."""
        if not self.is_under_way:
            self._call = self._clock.callLater(self._chance.uniform(0, within), self._ask)

    def stop(self) -> None:
        """Probe no more."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.cancel()

    def _ask(self) -> None:
        self._call = None
        self._began_at = self._clock.seconds()
        interval = self._health.interval_seconds * self._chance.uniform(1 - JITTER, 1 + JITTER)
        # Its own timer, so that the next probe is not lost with whatever may go wrong in this one.
        self._call = self._clock.callLater(interval, self._ask)
        if self._probe is None or self._probe.is_over:
            self._probe = self._begin(self._ended)
            if self._probe.is_over:
                self._probe = None

    def _ended(self, verdict: str) -> None:
        self._probe = None
        self.probes += 1
        self.seconds = self._clock.seconds() - self._began_at
        self.detail = verdict
        if verdict != GOOD:
            self.failures += 1
        before = self.tally.verdict
        if not self.tally.note(verdict == GOOD):
            return
        if verdict != GOOD:
            self._log.warn("origin {origin} is not healthy: {reason}", origin=self.text, reason=verdict)
        elif before is Verdict.UNHEALTHY:
            self._log.info("origin {origin} is healthy again", origin=self.text)
        if verdict != GOOD or before is Verdict.UNHEALTHY:
            self._changed(self)


class Checks:
    """
    All checks of an agent.

    :param chance: spreads the probes.
    """

    def __init__(self, clock: IReactorTime, chance: Random) -> None:
        self._clock = clock
        self._chance = chance
        self._checks: dict[Hashable, Check] = {}
        self._is_running = False

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._checks)

    def start(self) -> None:
        """Begin to probe."""
        self._is_running = True
        within = min(FIRST_SECONDS, SPREAD_SECONDS * len(self._checks))
        for check in self._checks.values():
            check.start(within)

    def stop(self) -> None:
        """Probe no more."""
        self._is_running = False
        for check in self._checks.values():
            check.stop()

    def replace(
        self, wanted: "Mapping[Hashable, tuple[str, Health, Begin]]", changed: Callable[[Check], None]
    ) -> Mapping[Hashable, Check]:
        """
        Check these from now on; those that stay as they are go on with what they know.

        :param wanted: by what tells one check from another: the origin's text, how it is asked, what begins a probe.
        """
        before, self._checks = dict(self._checks), {}
        for key, (text, health, begin) in wanted.items():
            check = before.pop(key, None)
            if check is None:
                check = Check(self._clock, self._chance, text, health, begin, changed)
            self._checks[key] = check
        for check in before.values():
            check.stop()
        if self._is_running:
            self.start()
        return dict(self._checks)
