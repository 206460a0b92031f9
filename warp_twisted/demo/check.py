"""
`warp demo --check`: the whole path driven once, a line with its time for each step.

A step is a sentence and a coroutine that raises when the fleet does not do what the sentence says. The first that
fails ends the check, since those after it build on it.
"""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from warp_base.reactor import Reactor
from warp_twisted.cli.errors import DemoFailed, sentence
from warp_twisted.demo.fleet import HOSTNAME, DemoFleet
from warp_twisted.demo.ports import ADDRESS
from warp_twisted.demo.visitor import Answer, Visitor

STEP_SECONDS = 20.0
BODY_BYTES = 10_000_000
_LOOK_AGAIN_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the check."""

    sentence: str
    do: Callable[[], Awaitable[None]]


async def run_steps(steps: list[Step], clock: IReactorTime, say: Callable[[str], None]) -> bool:
    """
    Take steps until one fails.

    :param say: prints a line.
    :returns: whether all succeeded.
    """
    for step in steps:
        began = clock.seconds()
        doing = Deferred.fromCoroutine(_do(step))
        doing.addTimeout(STEP_SECONDS, clock)
        try:
            await doing
        except TimeoutError:
            say(f"FAIL {_time(clock, began)}  {step.sentence}: not done in {STEP_SECONDS:g} s")
            return False
        except Exception as error:  # whatever it was, the check says so and ends
            say(f"FAIL {_time(clock, began)}  {step.sentence}: {sentence(error)}")
            return False
        say(f"ok   {_time(clock, began)}  {step.sentence}")
    return True


def steps_of(fleet: DemoFleet, reactor: Reactor) -> list[Step]:
    """Return the steps for a fleet; their sentences name its ports, which it chooses in the first step."""
    path = _Path(fleet, reactor)
    return [
        Step("the edge, its DNS and its certificate authority start", fleet.start_edge),
        Step("an application starts on loopback", fleet.agent.application.start),
        Step("the agent enrolls with a join token", fleet.agent.enroll),
        Step("the agent's four tunnels are up", fleet.agent.connect),
        Step(f"dig finds {HOSTNAME}", path.find_name),
        Step(f"GET {fleet.url()} answers 200", path.get),
        Step(f"GET {fleet.url(scheme='https')} answers 200, its certificate verified", path.get_securely),
        Step("POST of 10 MB comes back as it was sent", path.post),
        Step("WebSocket message comes back", path.websocket),
        Step("first server-sent event arrives", path.event),
        Step("application stopped: the edge answers 502", path.stop_application),
        Step("application started again: the edge answers 200", path.start_application),
        Step("agent drained: DNS has no such name", path.drain),
    ]


class _Path:
    """The steps that look at the fleet through a visitor's eyes."""

    def __init__(self, fleet: DemoFleet, reactor: Reactor) -> None:
        self._fleet = fleet
        self._reactor = reactor
        self._made: Visitor | None = None

    @property
    def _visitor(self) -> Visitor:
        if self._made is None:  # the root exists once the edge was started
            self._made = Visitor(self._reactor, self._fleet.ports.dns, self._fleet.root_file.read_text())
        return self._made

    async def find_name(self) -> None:
        await self._expect_addresses([ADDRESS])

    async def get(self) -> None:
        _expect(200, await self._visitor.get(self._fleet.url()))

    async def get_securely(self) -> None:
        _expect(200, await self._visitor.get(self._fleet.url(scheme="https")))

    async def post(self) -> None:
        # Of an odd length, so that a piece in the wrong place is seen; 10 MB of randomness would hold up the fleet.
        sent = (os.urandom(BODY_BYTES // 10 + 1) * 10)[:BODY_BYTES]
        answer = await self._visitor.post(self._fleet.url("/echo"), sent)
        _expect(200, answer)
        if answer.body != sent:
            raise DemoFailed(f"{len(answer.body)} bytes came back, and they are not those that were sent")

    async def websocket(self) -> None:
        said = "grüße von außen"
        if (heard := await self._visitor.websocket_echo(self._fleet.url("/ws", "ws"), said)) != said:
            raise DemoFailed(f"{heard!r} came back")

    async def event(self) -> None:
        event = await self._visitor.first_event(self._fleet.url("/events"))
        if b"data: event 1" not in event:
            raise DemoFailed(f"the first event was {event[:80]!r}")

    async def stop_application(self) -> None:
        await self._fleet.agent.application.stop()
        _expect(502, await self._visitor.get(self._fleet.url()))

    async def start_application(self) -> None:
        await self._fleet.agent.application.start()
        _expect(200, await self._visitor.get(self._fleet.url()))

    async def drain(self) -> None:
        await self._fleet.agent.drain()
        await self._expect_addresses([])

    async def _expect_addresses(self, wanted: list[str]) -> None:
        """Look until DNS answers as wanted; the step's own time-out ends it."""
        while await self._visitor.lookup(HOSTNAME) != wanted:
            await deferLater(self._reactor, _LOOK_AGAIN_SECONDS)


async def _do(step: Step) -> None:
    await step.do()


def _expect(status: int, answer: Answer) -> None:
    if answer.status != status:
        raise DemoFailed(f"answered {answer.status}: {answer.body[:200].decode(errors='replace').strip()}")


def _time(clock: IReactorTime, began: float) -> str:
    return f"{(clock.seconds() - began) * 1000:6.0f} ms"
