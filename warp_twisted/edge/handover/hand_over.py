"""
One process' part in a hand-over: what the keeper says and what comes of each step, led through the table of `states`.

It does the steps one after the other, whatever is said meanwhile: a resume waits until the release before it is done.
What a step does is `Steps`; `edge.handover.stages` does it.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Protocol

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_twisted.edge.handover.states import WORDS, Action, Event, State, step
from warp_twisted.errors import WarpError
from warp_twisted.keeper.messages import Message


class Steps(Protocol):
    """What a process does; each may take its time."""

    async def prepare(self) -> None:
        """Read and judge everything, and take nothing."""

    async def take(self, tunnels: int) -> None:
        """
        Take everything and serve.

        :param tunnels: of the process before, which are on their way; 0 if there is none.
        """

    async def release(self) -> tuple[int, int]:
        """
        Give up the registry's file and new tunnels.

        :returns: how many tunnels and hostnames there are.
        :raises WarpError: if that cannot be; nothing has changed then.
        """

    async def move(self) -> None:
        """Begin to ask agents to open tunnels to the next process."""

    async def drain(self) -> "Deferred[None]":
        """Take no visitors any more; what is returned fires when the last is gone, or was given up."""

    async def resume(self) -> None:
        """Take everything back; tried until it succeeds."""

    def end(self) -> None:
        """End in order: there is nothing left to finish."""


class HandOver:
    """
    Leads one process.

    :param say: tells the keeper a word and its fields.
    :ivar state: see `states`.
    """

    _log = Logger()

    def __init__(self, steps: Steps, say: Callable[..., None]) -> None:
        self._steps = steps
        self._say = say
        self._turn = DeferredLock()
        self._serving: Deferred[None] = Deferred()
        self._why: Exception = WarpError("")
        self._counts = (0, 0)
        self._drains = 0
        self.state = State.PREPARING

    def begin(self) -> "Deferred[None]":
        """
        Prepare, and do what the keeper says from now on.

        :returns: fires when visitors are served for the first time; fails with what stood in the way.
        """
        self._do(self._prepare)
        return self._serving

    def heard(self, message: Message) -> None:
        """The keeper has said something."""
        self._happened(WORDS[message.word], message)

    def keeper_lost(self) -> None:
        """The keeper is gone."""
        self._happened(Event.KEEPER_LOST)

    def stop(self) -> None:
        """The process stops for good: no word of the keeper changes anything any more."""
        self.state = State.ENDED

    def _happened(self, event: Event, message: Message | None = None) -> None:
        before = self.state
        self.state, action = step(before, event)
        if self.state is not before:
            self._log.info("hand-over: {before}, then {state}", before=before.value, state=self.state.value)
        match action:
            case Action.NONE:
                pass
            case Action.REFUSE:
                self._say("refused", why=f"a process that is {before.value} does not take {event.value!r}")
            case Action.SAY_PREPARED:
                self._say("prepared")
            case Action.TAKE:
                self._do(self._take, message.number("tunnels") if message is not None else 0)
            case Action.SAY_SERVING:
                self._say("serving")
                self._serving.callback(None)
            case Action.RELEASE:
                self._do(self._release)
            case Action.SAY_RELEASED:
                self._say("released", tunnels=self._counts[0], hostnames=self._counts[1])
            case Action.SAY_KEPT:
                self._log.error("nothing is handed over: {error}", error=self._why)
                self._say("refused", why=str(self._why))
            case Action.MOVE:
                self._do(self._steps.move)
            case Action.DRAIN:
                self._do(self._drain)
            case Action.RESUME:
                self._do(self._resume)
            case Action.SAY_RESUMED:
                self._say("resumed")
            case Action.FAIL:
                self._say("failed", why=str(self._why))
                self._serving.errback(self._why)
            case Action.END:
                self._steps.end()
            case Action.ABORT:
                self._log.critical("the keeper is gone: this process ends, so that the next one finds the registry")
                self._steps.end()

    def _do(self, work: Callable[..., Coroutine[Deferred[object], object, None]], *arguments: object) -> None:
        self._turn.run(work, *arguments).addErrback(self._not_done)

    def _not_done(self, failure: Failure) -> None:
        self._log.failure("a step of the hand-over failed", failure=failure)

    async def _prepare(self) -> None:
        await self._or_give_up(self._steps.prepare(), Event.PREPARED)

    async def _take(self, tunnels: int) -> None:
        await self._or_give_up(self._steps.take(tunnels), Event.TAKEN)

    async def _or_give_up(self, work: Awaitable[None], done: Event) -> None:
        try:
            await work
        except Exception as error:
            self._why = error
            done = Event.GAVE_UP
        self._happened(done)

    async def _release(self) -> None:
        try:
            self._counts = await self._steps.release()
        except WarpError as error:
            self._why = error
            self._happened(Event.KEPT)
        else:
            self._happened(Event.RELEASED)

    async def _drain(self) -> None:
        self._drains += 1
        number = self._drains
        drained = await self._steps.drain()
        drained.addCallback(lambda _: self._drained(number))

    def _drained(self, number: int) -> None:
        if number == self._drains:  # else it was resumed, and drains again
            self._happened(Event.DRAINED)

    async def _resume(self) -> None:
        await self._steps.resume()
        self._happened(Event.RESUMED)
