"""
Who serves: the states of a keeper and of a hand-over, as a table.

Two rules: all that affects the state is in this file, and the file starts, tells and ends nobody. What happened goes in
with the instant that it is now, what is to be done comes out, as actions for `loop`.

A hand-over: the successor prepares (reads and judges everything, takes nothing), the serving process releases what only
one may hold, the successor takes it, and when it serves, the old one drains. Whatever goes wrong before that, the old
process resumes; for some seconds more it does so if its successor ends.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from warp_twisted.keeper import times
from warp_twisted.keeper.actions import (
    Action,
    End,
    Event,
    Exit,
    Launch,
    Outcome,
    Phase,
    Ready,
    Renew,
    Start,
    Step,
    Tell,
    Wait,
)
from warp_twisted.keeper.messages import Message


@dataclass(slots=True, kw_only=True)
class Handover:
    """
    The state.

    :ivar launch: of the process that serves, or served last; what is started without being asked for is started so.
    :ivar former: of the one before, which a start goes back to if its successor did not live through the watch.
    :ivar wanted: of the successor.
    :ivar serving: the number of the process that serves.
    :ivar successor: of the one that is to.
    :ivar draining: of those that finish what they have, the oldest first.
    :ivar predecessor: of the one that drains since the last hand-over.
    :ivar can_hand_over: whether the serving process takes part in hand-overs.
    :ivar is_prepared: whether the successor has said so.
    :ivar was_released: whether the serving process was asked to release, so that it has to resume.
    :ivar watch_seconds: for which the old process would resume after the successor serves.
    :ivar fails: how often in a row a process ended that nobody asked to.
    """

    launch: Launch
    phase: Phase = Phase.STARTING
    former: Launch | None = None
    wanted: Launch | None = None
    serving: int | None = None
    successor: int | None = None
    predecessor: int | None = None
    draining: list[int] = field(default_factory=list)
    can_hand_over: bool = True
    is_prepared: bool = False
    was_released: bool = False
    watch_seconds: float = times.WATCH_SECONDS
    fails: int = 0
    served_at: float = 0.0
    next_child: int = 1
    why: str = ""
    actions: list[Action] = field(default_factory=list)

    # What happened.

    def begin(self) -> list[Action]:
        """Start the first process."""
        self._start(self.launch)
        return self._done()

    def ask(self, launch: Launch | None, now: float) -> list[Action]:
        """
        Begin a hand-over.

        :param launch: of the successor; None: as the one that serves.
        """
        if TABLE[self.phase, Event.ASKED] is not None:
            self.wanted = launch
        return self._happened(Event.ASKED, None, now)

    def say(self, child: int, message: Message, now: float) -> list[Action]:
        """Take what a process said; what it may not say now is dropped."""
        if message.word == "prepared" and child == self.successor:
            self.is_prepared = True
            return self._happened(Event.PREPARED, message, now)
        if message.word == "serving" and child == self.successor:
            return self._happened(Event.TAKEN, message, now)
        if message.word == "released" and child == self.serving:
            return self._happened(Event.RELEASED, message, now)
        if message.word == "refused" and child == self.serving:
            self.why = self.why or f"the old one does not release: {message.text('why')}"
            return self._happened(Event.REFUSED, message, now)
        if message.word == "failed" and child == self.successor:
            self.why = message.text("why")
        return self._done()

    def serve_plainly(self, child: int, now: float) -> list[Action]:
        """Take a process that serves without having said that it is prepared: it knows nothing of hand-overs."""
        if child == self.successor and self.phase is Phase.STARTING and not self.is_prepared:
            self.can_hand_over = False
            return self._happened(Event.TAKEN, None, now)
        return self._done()

    def spoil(self, child: int, why: str, now: float) -> list[Action]:
        """End a successor that says what is no message; the process that serves goes on."""
        if child == self.successor:
            self.why = why
            return self._happened(Event.TIME_IS_UP, None, now)
        return self._done()

    def end(self, child: int, how: str, now: float) -> list[Action]:
        """
        Note that a process ended.

        :param how: a few words, such as "status 1".
        """
        if child == self.successor:
            self.successor = None
            self.why = self.why or f"it ended with {how}, and its own lines in the log say why"
            return self._happened(Event.SUCCESSOR_ENDED, None, now)
        if child == self.serving:
            self.serving = None
            self.actions.append(Step(f"the serving process ended with {how}"))
            return self._happened(Event.SERVING_ENDED, None, now)
        self.draining.remove(child)
        return self._happened(Event.DRAINING_ENDED, None, now)

    def time_is_up(self, now: float) -> list[Action]:
        """Note that the last `Wait` is over."""
        return self._happened(Event.TIME_IS_UP, None, now)

    def stop(self, now: float) -> list[Action]:
        """End everything."""
        return self._happened(Event.STOP, None, now)

    @property
    def is_settled(self) -> bool:
        """Whether a hand-over could begin."""
        return self.phase in (Phase.SERVING, Phase.PAUSED)

    @property
    def children(self) -> list[int]:
        """Every process that there is."""
        return [child for child in (*self.draining, self.serving, self.successor) if child is not None]

    def _happened(self, event: Event, message: Message | None, now: float) -> list[Action]:
        step = TABLE[self.phase, event]
        if step is not None:
            step(self, message, now)
        return self._done()

    def _done(self) -> list[Action]:
        actions, self.actions = self.actions, []
        return actions

    def _tell(self, child: int | None, word: str, **fields: int) -> None:
        if child is not None:
            self.actions.append(Tell(child, Message("do", word, fields)))

    def _enter(self, phase: Phase, seconds: float | None = None) -> None:
        self.phase = phase
        self.actions.append(Wait(seconds))

    # What follows from it.

    def _start(self, launch: Launch) -> None:
        self.can_hand_over = True
        self._add_successor(launch)
        self._enter(Phase.STARTING, times.PREPARE_SECONDS)

    def _add_successor(self, launch: Launch) -> None:
        self.why = ""
        self.is_prepared = self.was_released = False
        self.wanted = launch
        self.successor, self.next_child = self.next_child, self.next_child + 1
        self.actions.append(Start(self.successor, launch))

    def _start_asked(self, message: Message | None, now: float) -> None:
        self._start(self.wanted or self.launch)

    def _start_again(self, message: Message | None, now: float) -> None:
        self._start(self.launch)

    def _prepare(self, message: Message | None, now: float) -> None:
        if not self.can_hand_over:
            self._replace()
            return
        self._add_successor(self.wanted or self.launch)
        self.actions.append(Step("a new process prepares"))
        self._enter(Phase.PREPARING, times.PREPARE_SECONDS)

    def _replace(self) -> None:
        if self.serving is not None:
            self.actions += [
                Step("the serving process takes no part in hand-overs: it ends first, and visitors wait"),
                End(self.serving, times.REPLACE_SECONDS),
            ]
        self._enter(Phase.REPLACING)

    def _release(self, message: Message | None, now: float) -> None:
        self.was_released = True
        self._tell(self.serving, "release")
        self.actions.append(Step("the new process is prepared"))
        self._enter(Phase.RELEASING, times.RELEASE_SECONDS)

    def _take_over(self, message: Message | None, now: float) -> None:
        counts = {name: message.number(name) if message else 0 for name in ("tunnels", "hostnames")}
        self._tell(self.successor, "take", **counts)
        self._tell(self.serving, "move")
        self.actions.append(Step(f"the new process takes over: {counts['tunnels']} tunnels are to move"))
        self._enter(Phase.TAKING, times.take_seconds(counts["tunnels"]))

    def _take_first(self, message: Message | None, now: float) -> None:
        self._tell(self.successor, "take", tunnels=0, hostnames=0)
        self._enter(Phase.STARTING, times.TAKE_SECONDS)

    def _serve(self, message: Message | None, now: float) -> None:
        self.serving, self.successor = self.successor, None
        self.launch = self.wanted or self.launch
        self.served_at = now
        self.actions += [Ready(), Outcome("a new process serves", True, None, self.serving), Renew(self.launch)]
        self._enter(Phase.SERVING)

    def _hand_over(self, message: Message | None, now: float) -> None:
        self.predecessor, self.serving, self.successor = self.serving, self.successor, None
        self.draining += [] if self.predecessor is None else [self.predecessor]
        self._tell(self.predecessor, "drain")
        if len(self.draining) > times.MAX_DRAINING:
            oldest = self.draining[0]
            self.actions += [
                Step(f"more than {times.MAX_DRAINING} old processes have something to finish: the oldest is ended"),
                End(oldest, times.END_SECONDS),
            ]
        self.former, self.launch = self.launch, self.wanted or self.launch
        self.served_at = now
        self.actions += [Ready(), Step("the new process serves, the old one finishes what it has")]
        self._enter(Phase.WATCHING, self.watch_seconds)

    def _keep(self, message: Message | None, now: float) -> None:
        self.fails = 0
        self.actions += [Outcome("handed over", True, self.predecessor, self.serving), Renew(self.launch)]
        self._enter(Phase.SERVING)

    def _resume_predecessor(self, message: Message | None, now: float) -> None:
        self.launch = self.former or self.launch
        if self.predecessor in self.draining:
            self.draining.remove(self.predecessor)
            self.serving = self.predecessor
            self._tell(self.serving, "resume")
            self.actions += [Ready(), Outcome("the new process ended; the old one serves on", False, None, None)]
            self._enter(Phase.SERVING)
        else:
            self.actions.append(Outcome("the new process ended; another is started as before", False))
            self._start(self.launch)

    def _stay(self, message: Message | None, now: float) -> None:
        if self.was_released:
            self._tell(self.serving, "resume")
        self.actions.append(Outcome(f"the new process does not serve: {self.why}. The old one serves on", False))
        self._enter(Phase.SERVING)

    def _go_back(self, message: Message | None, now: float) -> None:
        if self.successor is not None:
            self.why = self.why or f"it was not through with {self.phase.value} in time"
            self.actions.append(End(self.successor, 0))
        self._enter(Phase.GOING_BACK)

    def _go_back_unreleased(self, message: Message | None, now: float) -> None:
        self.was_released = False
        self._go_back(message, now)

    def _go_on_alone(self, message: Message | None, now: float) -> None:
        if self.phase is Phase.RELEASING:
            self._tell(self.successor, "take", tunnels=0, hostnames=0)
        seconds = times.PREPARE_SECONDS if self.phase is Phase.PREPARING else times.TAKE_SECONDS
        self._enter(Phase.STARTING, seconds)

    def _end_late_start(self, message: Message | None, now: float) -> None:
        if self.successor is not None:
            self.why = self.why or "it did not serve in time"
            self.actions += [End(self.successor, 0), Wait(None)]

    def _fail_to_start(self, message: Message | None, now: float) -> None:
        self.actions.append(Outcome(f"the process does not serve: {self.why}", False))
        if self.wanted != self.launch:
            self._start(self.launch)
        elif not self.draining:  # systemd sees it then, and starts everything again
            self._enter(Phase.STOPPING)
            self.actions.append(Exit(1))
        else:
            self._pause(message, now)

    def _pause(self, message: Message | None, now: float) -> None:
        self.fails = 0 if now - self.served_at > times.STEADY_SECONDS else self.fails + 1
        seconds = min(times.MAX_PAUSE_SECONDS, 2.0 ** (self.fails - 2)) if self.fails > 1 else 0.0
        if seconds:
            self.actions.append(Step(f"the next process is started in {seconds:g} s"))
            self._enter(Phase.PAUSED, seconds)
        else:
            self._start(self.launch)

    def _after_going_back(self, message: Message | None, now: float) -> None:
        if self.serving is not None:
            self._stay(message, now)
        else:
            self.actions.append(Outcome(f"the new process does not serve: {self.why}. Another is started", False))
            self._start(self.launch)

    def _end_all(self, message: Message | None, now: float) -> None:
        self.actions += [End(child, None) for child in self.children]
        self._enter(Phase.STOPPING)
        if not self.children:
            self.actions.append(Exit(0))

    def _end_of_all(self, message: Message | None, now: float) -> None:
        if not self.children:
            self.actions.append(Exit(0))


_Step: TypeAlias = Callable[[Handover, Message | None, float], None]
# Phase → event → what follows. What is not named is of no consequence there: `TABLE` says None.
_STEPS: Mapping[Phase, Mapping[Event, _Step]] = {
    Phase.STARTING: {
        Event.PREPARED: Handover._take_first,
        Event.TAKEN: Handover._serve,
        Event.SUCCESSOR_ENDED: Handover._fail_to_start,
        Event.TIME_IS_UP: Handover._end_late_start,
        Event.STOP: Handover._end_all,
    },
    Phase.SERVING: {
        Event.ASKED: Handover._prepare,
        Event.SERVING_ENDED: Handover._pause,
        Event.STOP: Handover._end_all,
    },
    Phase.PREPARING: {
        Event.PREPARED: Handover._release,
        Event.SUCCESSOR_ENDED: Handover._stay,
        Event.SERVING_ENDED: Handover._go_on_alone,
        Event.TIME_IS_UP: Handover._go_back,
        Event.STOP: Handover._end_all,
    },
    Phase.RELEASING: {
        Event.RELEASED: Handover._take_over,
        Event.REFUSED: Handover._go_back_unreleased,
        Event.SUCCESSOR_ENDED: Handover._stay,
        Event.SERVING_ENDED: Handover._go_on_alone,
        Event.TIME_IS_UP: Handover._go_back,
        Event.STOP: Handover._end_all,
    },
    Phase.TAKING: {
        Event.TAKEN: Handover._hand_over,
        Event.SUCCESSOR_ENDED: Handover._stay,
        Event.SERVING_ENDED: Handover._go_on_alone,
        Event.TIME_IS_UP: Handover._go_back,
        Event.STOP: Handover._end_all,
    },
    Phase.WATCHING: {
        Event.SERVING_ENDED: Handover._resume_predecessor,
        Event.TIME_IS_UP: Handover._keep,
        Event.STOP: Handover._end_all,
    },
    Phase.GOING_BACK: {
        Event.SUCCESSOR_ENDED: Handover._after_going_back,
        Event.STOP: Handover._end_all,
    },
    Phase.REPLACING: {
        Event.SERVING_ENDED: Handover._start_asked,
        Event.STOP: Handover._end_all,
    },
    Phase.PAUSED: {
        Event.ASKED: Handover._start_asked,
        Event.TIME_IS_UP: Handover._start_again,
        Event.STOP: Handover._end_all,
    },
    Phase.STOPPING: {
        Event.SUCCESSOR_ENDED: Handover._end_of_all,
        Event.SERVING_ENDED: Handover._end_of_all,
        Event.DRAINING_ENDED: Handover._end_of_all,
    },
}
TABLE: Mapping[tuple[Phase, Event], _Step | None] = {
    (phase, event): _STEPS[phase].get(event) for phase in Phase for event in Event
}
