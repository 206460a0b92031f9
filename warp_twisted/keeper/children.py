"""The serving processes of a keeper: started, listened to, ended in time, and killed when they are silent."""

import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from warp_twisted.keeper.actions import Launch
from warp_twisted.keeper.child import PACKETS_AT_ONCE, Child, start
from warp_twisted.keeper.messages import Message
from warp_twisted.keeper.renewal import KeptChild

Log: TypeAlias = Callable[[str, str], None]
Watch: TypeAlias = Callable[[int, Callable[[], None]], None]
Unwatch: TypeAlias = Callable[[int], object]

PACKETS_LEFT = 4_096  # of a process that has ended: more than its line has room for


class Children:
    """
    What there is of them, by number.

    :param environment: of the keeper.
    :param notify: where the keeper hears what is meant for systemd.
    :param silence_seconds: after so long without a sign of life a process is killed, if it ever gave one; 0: never.
    :param watch: has a function called when a descriptor is readable; `unwatch` ends that.
    :param said: called with the process and each packet of it.
    :param ended: called with the process and how it ended, after all that it said.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        notify: str,
        silence_seconds: float,
        log: Log,
        watch: Watch,
        unwatch: Unwatch,
        said: Callable[[Child, bytes], None],
        ended: Callable[[Child, str], None],
    ) -> None:
        self._environment = environment
        self._notify = notify
        self._silence_seconds = silence_seconds
        self._log = log
        self._watch = watch
        self._unwatch = unwatch
        self._said = said
        self._ended = ended
        self._found: dict[int, Child] = {}

    def start(self, number: int, launch: Launch) -> str:
        """Start a process; return why that cannot be, or nothing."""
        try:
            child = start(number, launch, self._environment, self._notify, int(self._silence_seconds * 1e6))
        except OSError as error:
            return str(error.strerror)
        self._add(child)
        self._log("info", f"process {child.pid} is started: {' '.join(launch.command)}")
        return ""

    def take(self, kept: Sequence[KeptChild]) -> None:
        """Go on with the children of the program that this process was before."""
        for each in kept:
            self._add(
                Child(
                    number=each.number,
                    pid=each.pid,
                    exit_fd=os.pidfd_open(each.pid),
                    line=socket.socket(fileno=each.line),
                    beat_at=each.beat_at,
                    kill_at=each.kill_at,
                    status=each.status,
                )
            )

    def kept(self) -> list[KeptChild]:
        """Return them as the next program of this process takes them."""
        return [
            KeptChild(
                number=child.number,
                pid=child.pid,
                line=child.line.fileno(),
                beat_at=child.beat_at,
                kill_at=child.kill_at,
                status=child.status,
            )
            for child in self._found.values()
        ]

    def pid(self, number: int | None) -> int:
        """Return the process of a number; 0: there is none."""
        return self._found[number].pid if number in self._found else 0

    def status(self, number: int | None) -> str:
        """Return how a process says it is; nothing if there is none."""
        return self._found[number].status if number in self._found else ""

    def of(self, pid: int) -> Child | None:
        """Return the child that is a process."""
        return next((child for child in self._found.values() if child.pid == pid), None)

    def tell(self, number: int, message: Message) -> None:
        """Send a message; a process that does not take it will be missed when its time is up."""
        child = self._found.get(number)
        if child is not None and not child.tell(message):
            self._log("error", f"process {child.pid} takes no messages")

    def signal(self, number: int, which: int) -> None:
        """Send a signal."""
        if number in self._found:
            self._found[number].signal(which)

    def end(self, number: int, seconds: float | None, now: float) -> None:
        """Ask a process to end and kill it after some seconds: 0 at once, None never."""
        child = self._found.get(number)
        if child is not None:
            child.signal(signal.SIGKILL if seconds == 0 else signal.SIGTERM)
            child.kill_at = now + seconds if seconds else None

    def next_kill(self) -> float | None:
        """Return when the next is to be killed."""
        return min((child.kill_at for child in self._found.values() if child.kill_at is not None), default=None)

    def look_at_time(self, now: float) -> None:
        """Kill those whose time is up, and those that are silent."""
        for child in self._found.values():
            if child.kill_at is not None and child.kill_at <= now:
                child.kill_at = None
                child.signal(signal.SIGKILL)
            if self._silence_seconds and child.beat_at is not None and now - child.beat_at > self._silence_seconds:
                self._log("error", f"process {child.pid} gave no sign of life for {now - child.beat_at:.1f} s: killed")
                child.beat_at = None
                child.signal(signal.SIGKILL)

    def _add(self, child: Child) -> None:
        self._found[child.number] = child
        self._watch(child.line.fileno(), lambda: self._take_line(child))
        self._watch(child.exit_fd, lambda: self._take_end(child))

    def _take_line(self, child: Child, most: int = PACKETS_AT_ONCE) -> None:
        for packet in child.said(most):
            self._said(child, packet)
        if child.is_silent:
            self._unwatch(child.line.fileno())

    def _take_end(self, child: Child) -> None:
        how = child.take_end()
        if how is not None:
            self._take_line(child, PACKETS_LEFT)
            self._unwatch(child.line.fileno())
            self._unwatch(child.exit_fd)
            child.close()
            del self._found[child.number]
            self._log("info", f"process {child.pid} ended with {how}")
            self._ended(child, how)
