"""
The keeper as a process: waits for signals, children, operators and time, asks `handover` what follows, and does it.

One thread, one `select`. Nothing here waits for anybody, but while the code of another release is judged: 5 s at most,
and systemd misses a sign of life after several times that.
"""

import errno
import os
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from warp_twisted.keeper import renewal
from warp_twisted.keeper.actions import Action, End, Exit, Launch, Outcome, Phase, Ready, Renew, Start, Step, Tell, Wait
from warp_twisted.keeper.admitting import Admitting
from warp_twisted.keeper.child import Child
from warp_twisted.keeper.children import Children, Log
from warp_twisted.keeper.control import ControlSocket, Operator
from warp_twisted.keeper.handover import Handover
from warp_twisted.keeper.messages import SERVING_SAYS, InvalidMessage, Message, decode
from warp_twisted.keeper.notices import RELAYED, Notices, Systemd, watchdog_usec, what_is_left, whole_status
from warp_twisted.keeper.renewal import Kept
from warp_twisted.keeper.times import MAX_TAKE_SECONDS, RENEW_SECONDS, WATCH_SECONDS

RELOAD_SECONDS = 30.0
EXTENSION_SECONDS = 20.0  # beyond the end of a phase, so that systemd does not end what the keeper is about to
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)  # which do not keep a service from running
MAX_REQUESTS = 8  # that wait for their turn


class Keeper:
    """
    The keeper.

    :param control: path of the control socket; empty: none.
    :param environment: of this process; what systemd said is taken from it.
    :param own_command: returns how the keeper of a launch is started, and how it judges a state if told True.
    :param log: called with level and sentence.
    :param watch_seconds: for which the old process would resume after a hand-over.
    :param kept: what an earlier program of this process left.
    """

    def __init__(
        self,
        launch: Launch,
        control: str,
        environment: Mapping[str, str],
        own_command: Callable[[Launch, bool], Sequence[str]],
        log: Log,
        kept: Kept | None = None,
        watch_seconds: float = WATCH_SECONDS,
    ) -> None:
        self._environment = environment
        self._own_command = own_command
        self._log = log
        self._python = launch.python
        self._handover = kept.handover if kept else Handover(launch=launch)
        self._handover.watch_seconds = watch_seconds
        try:
            beside = str(Path(control).with_suffix(".note")) if control else ""
            self._notices = Notices(kept.notices if kept else None, beside)
            self._control = ControlSocket(control, kept.control if kept else None)
        except OSError as error:
            if error.errno not in DISK_ERRORS:
                raise
            log("error", f"{control}: {error.strerror}; the service runs, and nobody can ask for a hand-over")
            self._notices, self._control = Notices(), ControlSocket("")
        self._systemd = Systemd(environment.get("NOTIFY_SOCKET", ""))
        self._watchdog_seconds = watchdog_usec(environment) / 1e6
        self._requests: deque[tuple[str, Operator | None]] = deque()
        self._current: Operator | None = None  # who asked for what is under way
        self._renewal: tuple[Launch, float] | None = (
            None  # whose code the keeper is to go on with, and when at the latest
        )
        self._reload_until: float | None = None
        self._phase_until: float | None = None
        self._phase_began_at = 0.0
        self._beat_at = 0.0
        self._exit: int | None = None
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = socket.socketpair()
        self._children = Children(
            environment,
            self._notices.address,
            self._watchdog_seconds / 2,
            log,
            self._watch,
            self._unwatch,
            self._take_packet,
            self._child_ended,
        )
        self._admitting = Admitting(self._control, log, self._watch, self._unwatch, self._take_said)
        self._is_first = kept is None
        if kept is not None:
            self._children.take(kept.children)

    def run(self) -> int:
        """Keep until everything has ended; return the exit status."""
        self._listen()
        if self._is_first:
            self._do(self._handover.begin())
        while self._exit is None:
            self._take_request()
            self._renew_in_peace(time.monotonic())
            self._take_events(self._selector.select(self._seconds_left(time.monotonic())))
            self._look_at_time(time.monotonic())
        for operator in list(self._control.operators):
            operator.tell("failed", what="the service stops")
            self._admitting.dismiss(operator)
        return self._exit

    # What is heard.

    def _take_events(self, events: Sequence[tuple[selectors.SelectorKey, int]]) -> None:
        for key, _ in events:
            # An event before this one may have ended it, and begun another with a descriptor of the same number.
            if self._selector.get_map().get(key.fd) is key:
                key.data()

    def _listen(self) -> None:
        for end in (self._woken, self._wake):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: None)
        for number in (signal.SIGUSR1, signal.SIGUSR2):  # they would end it
            signal.signal(number, signal.SIG_IGN)
        self._watch(self._woken.fileno(), self._take_signals)
        self._watch(self._notices.socket.fileno(), self._take_notices)
        self._admitting.begin()

    def _watch(self, descriptor: int, call: Callable[[], None]) -> None:
        self._selector.register(descriptor, selectors.EVENT_READ, call)

    def _unwatch(self, descriptor: int) -> None:
        if descriptor in self._selector.get_map():  # the line of a process that closed its end is not
            self._selector.unregister(descriptor)

    def _take_signals(self) -> None:
        for number in self._woken.recv(256):
            if number != signal.SIGHUP:
                self._log("info", "everything is to end")
                self._systemd.send(STOPPING="1", STATUS="stopping")
                self._do(self._handover.stop(time.monotonic()))
            elif ("reload", None) not in self._requests:
                self._requests.append(("reload", None))

    def _take_notices(self) -> None:
        now = time.monotonic()
        for pid, notice in self._notices.heard():
            child = self._children.of(pid)
            if child is None:
                continue
            if "WATCHDOG" in notice or "READY" in notice:
                child.beat_at = now
            child.status = notice.get("STATUS", child.status)
            handover = self._handover
            if "READY" in notice:
                self._do(handover.serve_plainly(child.number, now))
            if child.number == handover.successor and "EXTEND_TIMEOUT_USEC" in notice:
                self._wait_longer(notice["EXTEND_TIMEOUT_USEC"], now)
            if handover.phase is not Phase.STOPPING and child.number == (handover.serving or handover.successor):
                self._relay(notice)
            elif child.number in handover.draining and "STATUS" in notice and handover.phase is not Phase.STOPPING:
                self._systemd.send(STATUS=self._whole_status())
            if handover.phase is Phase.STOPPING and "EXTEND_TIMEOUT_USEC" in notice:
                self._systemd.send(EXTEND_TIMEOUT_USEC=notice["EXTEND_TIMEOUT_USEC"])
            if child.number == handover.serving and "READY" in notice and not handover.can_hand_over:
                self._reloaded(True, notice.get("STATUS", "reloaded"))

    def _relay(self, notice: Mapping[str, str]) -> None:
        passed = {name: notice[name] for name in RELAYED if name in notice}
        if self._handover.serving is None:  # what serves is ready; that is said when it does
            passed.pop("READY", None)
        if "STATUS" in notice:
            passed["STATUS"] = self._whole_status()
        if passed:
            self._systemd.send(**passed)

    def _whole_status(self) -> str:
        serving = self._children.status(self._handover.serving or self._handover.successor)
        return whole_status(serving, [self._children.status(number) for number in self._handover.draining])

    def _take_packet(self, child: Child, packet: bytes) -> None:
        now = time.monotonic()
        try:
            message = decode(packet, "is", SERVING_SAYS)
        except InvalidMessage as error:
            self._log("error", f"process {child.pid} says {error}")
            self._do(self._handover.spoil(child.number, str(error), now))
            return
        if message.word == "resumed":
            self._log("info", f"process {child.pid} serves as before")
        is_about_reload = message.word in ("reloaded", "refused") and self._reload_until is not None
        if is_about_reload and child.number == self._handover.serving:
            self._take_reloaded(message, now)
        else:
            self._do(self._handover.say(child.number, message, now))

    def _take_reloaded(self, message: Message, now: float) -> None:
        later = message.words("later")
        if message.word == "refused":
            self._reloaded(False, f"the configuration is refused, the old one stays: {message.text('why')}")
        elif not later:
            self._reloaded(True, "reloaded")
        else:
            self._reload_until = None
            self._note(f"a new process is needed for {', '.join(later)}")
            self._do(self._handover.ask(None, now))

    def _child_ended(self, child: Child, how: str) -> None:
        if child.number == self._handover.serving:
            self._reloaded(False, f"the process ended while it read the configuration, with {how}")
        self._do(self._handover.end(child.number, how, time.monotonic()))
        if self._handover.serving is not None:
            self._systemd.send(STATUS=self._whole_status())

    # Operators.

    def _take_said(self, operator: Operator) -> None:
        asked = self._control.read(operator, time.monotonic())
        if asked is None:
            return
        if not asked:
            self._admitting.dismiss(operator)
        elif operator.word == "status":
            self._tell_status(operator)
            self._admitting.dismiss(operator)
        elif len(self._requests) >= MAX_REQUESTS:
            operator.tell("failed", what="too many requests wait for their turn; ask again later")
            self._admitting.dismiss(operator)
        else:
            self._requests.append((operator.word, operator))

    def _tell_status(self, operator: Operator) -> None:
        handover = self._handover
        operator.tell(
            "status",
            phase=handover.phase.value,
            serving=self._children.pid(handover.serving),
            draining=tuple(str(self._children.pid(number)) for number in handover.draining),
            command=handover.launch.command,
        )

    def _take_request(self) -> None:
        """Begin what was asked for next, when nothing is under way."""
        if not self._requests or not self._handover.is_settled or self._reload_until is not None:
            return
        word, operator = self._requests.popleft()
        if operator is not None and operator not in self._control.operators:
            return  # nobody waits for it any more
        now = time.monotonic()
        wanted = operator.wanted if operator is not None else None
        self._current = operator
        serving = self._handover.serving
        is_another = wanted is not None and wanted != self._handover.launch
        if word == "restart" or is_another or serving is None:
            self._do(self._handover.ask(wanted, now))
        else:
            self._reload_until = now + RELOAD_SECONDS
            self._children.signal(serving, signal.SIGHUP)

    # What follows.

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Start(child, launch):
                    if why := self._children.start(child, launch):
                        self._log("error", f"no process can be started: {why}")
                        self._do(self._handover.end(child, why, time.monotonic()))
                case Tell(child, message):
                    self._children.tell(child, message)
                case End(child, seconds):
                    self._note_cut(child)
                    self._children.end(child, seconds, time.monotonic())
                case Wait(seconds):
                    self._wait(seconds)
                case Step(what):
                    self._note(what)
                case Outcome(what, is_good, old, new):
                    self._answer(is_good, what, old, new)
                case Ready():
                    self._systemd.send(READY="1", STATUS=self._whole_status())
                case Renew(launch):
                    self._renewal = (launch, time.monotonic() + RENEW_SECONDS)
                case Exit(status):
                    self._exit = status

    def _note_cut(self, child: int) -> None:
        """Say what ends with a process that drains; when everything stops, each says so itself."""
        if child in self._handover.draining and self._handover.phase is not Phase.STOPPING:
            self._note(
                f"process {self._children.pid(child)}, which is ended, {what_is_left(self._children.status(child))}"
            )

    def _wait_longer(self, usec: str, now: float) -> None:
        """Give a process more time to serve that asks for it, such as one that waits for agents, up to a limit."""
        if self._handover.phase in (Phase.STARTING, Phase.TAKING) and self._phase_until is not None and usec.isdigit():
            wanted = now + min(int(usec) / 1e6, MAX_TAKE_SECONDS)
            self._phase_until = max(self._phase_until, min(wanted, self._phase_began_at + MAX_TAKE_SECONDS))
            self._extend(self._phase_until - now)

    def _wait(self, seconds: float | None) -> None:
        self._phase_began_at = time.monotonic()
        self._phase_until = None if seconds is None else self._phase_began_at + seconds
        if seconds:
            self._extend(seconds)

    def _extend(self, seconds: float) -> None:
        """`systemctl reload` waits for the hand-over, which systemd would end after `TimeoutStartSec=`."""
        self._systemd.send(EXTEND_TIMEOUT_USEC=str(int((seconds + EXTENSION_SECONDS) * 1e6)))

    def _renew_in_peace(self, now: float) -> None:
        """Go on as another release when nothing is under way and nobody asks; who asks for too long is to ask again."""
        if self._renewal is None or self._handover.phase is not Phase.SERVING or self._reload_until is not None:
            return
        launch, limit = self._renewal
        if self._control.operators and now < limit:
            return
        self._renewal = None
        if launch != self._handover.launch or launch.python == self._python:
            return
        for operator in list(self._control.operators):
            operator.tell("failed", what="the keeper goes on as another release; ask again")
            self._admitting.dismiss(operator)
        self._renew(launch)

    def _renew(self, launch: Launch) -> None:
        kept = Kept(
            handover=self._handover,
            children=self._children.kept(),
            notices=self._notices.socket.fileno(),
            control=self._control.socket.fileno() if self._control.socket else None,
        )
        state = renewal.write(kept)
        reason = renewal.judge(self._own_command(launch, True), self._environment, state)
        if not reason:
            self._log("info", f"the keeper goes on with {launch.python}")
            try:
                renewal.become(self._own_command(launch, False), self._environment, state, kept.descriptors)
            except OSError as error:
                reason = str(error.strerror)
        os.close(state)
        self._log("error", f"the keeper stays with {self._python}, as {launch.python} does not go on: {reason}")

    def _note(self, what: str) -> None:
        self._log("info", what)
        if self._current is not None:
            self._current.tell("step", what=what)

    def _reloaded(self, is_good: bool, what: str) -> None:
        if self._reload_until is not None:
            self._answer(is_good, what, None, self._handover.serving)

    def _answer(self, is_good: bool, what: str, old: int | None, new: int | None) -> None:
        self._reload_until = None
        self._log("info" if is_good else "error", what)
        operator, self._current = self._current, None
        if operator is None or operator not in self._control.operators:
            return
        if is_good:
            seconds = round(time.monotonic() - operator.asked_at, 3)
            operator.tell("done", what=what, old=self._children.pid(old), new=self._children.pid(new), seconds=seconds)
        else:
            operator.tell("failed", what=what)
        self._admitting.dismiss(operator)

    # Time.

    def _seconds_left(self, now: float) -> float | None:
        instants = [self._phase_until, self._reload_until, self._children.next_kill(), self._admitting.next_instant()]
        if self._watchdog_seconds:
            instants.append(self._beat_at + self._watchdog_seconds / 4)
        if self._renewal is not None:
            instants.append(max(self._renewal[1], now + 1.0))
        known = [instant for instant in instants if instant is not None]
        return max(0.0, min(known) - now) if known else None

    def _look_at_time(self, now: float) -> None:
        if self._watchdog_seconds and now >= self._beat_at + self._watchdog_seconds / 4:
            self._beat_at = now
            self._systemd.send(WATCHDOG="1")
        self._children.look_at_time(now)
        self._admitting.look_at_time(now)
        if self._phase_until is not None and self._phase_until <= now:
            self._phase_until = None
            self._do(self._handover.time_is_up(now))
        if self._reload_until is not None and self._reload_until <= now:
            self._reloaded(
                False, f"the process has not said within {RELOAD_SECONDS:g} s that it read its configuration"
            )
