"""
How a reactor delivers events, and how long each of its turns takes.

`watch` lets the epoll reactor deliver at most `EVENTS_PER_TURN` events a turn, those of peers that hung up after the
others (`hang_ups`), and measures each turn (from one `poll` to the next) for `turn_times`. Measured cost: 0.1 µs an
event and 0.6 µs a turn; the thread's CPU time is a system call of 0.6 µs, so it is asked for at most every
`SAMPLE_SECONDS`. Then the youngest objects are collected, if enough was computed since the last time (`collector`).

It also lets the epoll reactor call what is ready without `twisted.python.log.callWithLogger` around each call. That
sets the `system` key of Twisted's old log, which no module of ours reads, and costs 1 to 2 µs an event: a tenth of what
a request costs. Exceptions are still caught, logged, and end the connection: `_doReadOrWrite` does that.

And it lets the reactor call functions at the end of a turn (`at_turn_end`) without a delayed call for each: what a
turn sends is a part of that turn, and costs no timer.
"""

from collections.abc import Callable, Mapping
from time import perf_counter, thread_time
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from warp_base.loop.collector import Youngest, measure_collections
from warp_base.loop.hang_ups import HUNG_UP, MOST_SECONDS, SLICE_SECONDS, HangUps
from warp_base.loop.turn_times import NAMED_SECONDS, TurnTimes, describe

EVENTS_PER_TURN = 64  # tunnels send at the end of a turn: the other side should not wait for hundreds of visitors
SAMPLE_SECONDS = 0.02
LOOK_SECONDS = 0.001  # that are spent on passing over peers that hung up, to find those who talk
_TURN_END = "_warp_at_turn_end"  # a reactor's attribute: the functions that are called when its turn ends

_log = Logger()


def watch(reactor: object, times: TurnTimes) -> bool:
    """
    Deliver events directly, measure each turn, and log the longest when the reactor has stopped.

    Called once, before anything has been scheduled with this reactor.

    :returns: False for any reactor but Twisted's epoll reactor, which then stays as it was and is not measured.
    """
    if type(reactor) is not EPollReactor:
        return False
    _replace_iteration(reactor, times)
    _replace_call_later(reactor, times)
    measure_collections(times)
    reactor.addSystemEventTrigger("after", "shutdown", times.sum_up)
    return True


def at_turn_end(clock: IReactorTime, function: Callable[[], None]) -> None:
    """
    Call a function once, when the reactor has delivered the events of this turn; in order of asking.

    What it asks for in turn belongs to the next one. Where `watch` does not know the reactor, `callLater` does it.
    """
    ended = getattr(clock, _TURN_END, None)
    if ended is None:
        clock.callLater(0, function)
    else:
        ended.append(function)


def _replace_iteration(reactor: Any, times: TurnTimes) -> None:
    selectables: Mapping[int, object] = reactor._selectables
    deliver: Callable[[object, int, int], None] = reactor._doReadOrWrite
    hang_ups = HangUps(reactor._poller, reactor._reads, reactor._writes, selectables)
    reactor._poller = hang_ups
    poll = hang_ups.poll
    began = None
    sampled_at = float("-inf")
    computed = 0.0
    youngest = Youngest()
    at_end: list[Callable[[], None]] = []
    setattr(reactor, _TURN_END, at_end)

    def end_turn() -> None:
        functions = at_end.copy()
        at_end.clear()
        last = perf_counter()
        for function in functions:
            try:
                function()
            except Exception:
                _log.failure("{what} failed", what=describe(function))
            now = perf_counter()
            if now - last > NAMED_SECONDS:
                times.piece_ended(now - last, function)
            last = now

    def deliver_named(descriptor: int, event: int) -> None:
        selectable = selectables.get(descriptor)
        if selectable is not None:  # closed by an earlier event of this turn
            before = perf_counter()
            deliver(selectable, descriptor, event)
            seconds = perf_counter() - before
            if seconds > NAMED_SECONDS:
                times.piece_ended(seconds, selectable)

    def iterate(timeout: float | None) -> None:
        nonlocal began, sampled_at, computed
        if at_end:  # what timed calls have asked for; the time-out was computed before that
            end_turn()
            timeout = 0 if at_end or not timeout else reactor.timeout()
        if began is not None:
            now = perf_counter()
            seconds = now - began
            if seconds > NAMED_SECONDS:
                before, computed = computed, thread_time()
                times.turn_ended(seconds, computed - before, now)
            else:
                times.turn_ended(seconds, 0.0, now)
        try:
            events = poll(0 if hang_ups else -1 if timeout is None else timeout, EVENTS_PER_TURN)
        except InterruptedError:
            began = None
            return
        began = last = perf_counter()
        if began > sampled_at + SAMPLE_SECONDS:
            sampled_at, computed = began, thread_time()
            youngest.look(computed)
            last = perf_counter()
        # Others' hang-ups may stand before those who talk, in the kernel's list.
        while len(events) == EVENTS_PER_TURN and last < began + LOOK_SECONDS:
            talking = [each for each in events if not each[1] & HUNG_UP]
            if len(talking) > EVENTS_PER_TURN / 2:
                break
            for descriptor, event in events:
                if event & HUNG_UP:
                    hang_ups.put_off(descriptor, event)
            for descriptor, event in talking:
                deliver_named(descriptor, event)
            events = poll(0, EVENTS_PER_TURN)
            last = perf_counter()
        hung_up = []
        for descriptor, event in events:
            selectable = selectables.get(descriptor)
            if event & HUNG_UP:
                hung_up.append((descriptor, event, selectable))
            elif selectable is not None:  # closed by an earlier event of this turn
                deliver(selectable, descriptor, event)
                now = perf_counter()
                if now - last > NAMED_SECONDS:
                    times.piece_ended(now - last, selectable)
                last = now
        if hung_up or hang_ups:
            for descriptor, event, selectable in hung_up:
                if selectable is not None and selectables.get(descriptor) is selectable:  # not closed meanwhile
                    hang_ups.put_off(descriptor, event)
            hang_ups.serve(deliver_named, min(max(SLICE_SECONDS, last - began), MOST_SECONDS))
        if at_end:
            end_turn()

    reactor.doPoll = reactor.doIteration = iterate


def _replace_call_later(reactor: Any, times: TurnTimes) -> None:
    call_later = reactor.callLater

    def run(function: Callable[..., object], arguments: tuple[object, ...], named: dict[str, object]) -> None:
        began = perf_counter()
        try:
            function(*arguments, **named)
        finally:
            seconds = perf_counter() - began
            if seconds > NAMED_SECONDS:
                times.piece_ended(seconds, function)

    def call_later_measured(delay: float, function: Callable[..., object], *arguments: object, **named: object) -> Any:
        return call_later(delay, run, function, arguments, named)

    reactor.callLater = call_later_measured
