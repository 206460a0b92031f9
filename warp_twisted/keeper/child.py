"""
One serving process: started with the sockets of systemd, a line to the keeper, and an end that follows the keeper's.

It gets what systemd gives a service: `LISTEN_*` for itself, `NOTIFY_SOCKET` and `WATCHDOG_USEC`, and `WARP_KEEPER_FD`,
the descriptor of its line.
"""

import contextlib
import ctypes
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from warp_twisted.keeper.actions import Launch
from warp_twisted.keeper.messages import MAX_BYTES, Message, encode

KEEPER_FD = "WARP_KEEPER_FD"
_PR_SET_PDEATHSIG = 1  # prctl(2)
PACKETS_AT_ONCE = 64  # of one process that says much; then whatever else is to be done has its turn
_FAILED_TO_START = 127  # as shells say it
# What systemd says to the keeper alone.
_OWN = ("LISTEN_PID", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", KEEPER_FD)


@dataclass(slots=True, kw_only=True)
class Child:
    """
    A serving process.

    :ivar number: what `handover` calls it.
    :ivar exit_fd: readable when it has ended (pidfd_open(2)).
    :ivar line: the keeper's end of its line.
    :ivar beat_at: when it last said that it is alive; None: never.
    :ivar kill_at: when it is killed; None: it is not to be.
    :ivar status: the few words in which it last told systemd how it is.
    :ivar is_silent: whether it closed its end of the line.
    """

    number: int
    pid: int
    exit_fd: int
    line: socket.socket
    beat_at: float | None = None
    kill_at: float | None = None
    status: str = ""
    is_silent: bool = False

    def tell(self, message: Message) -> bool:
        """Send a message; return whether there was room for it and somebody to read it."""
        try:
            return self.line.send(encode(message)) > 0
        except OSError:
            return False

    def said(self, most: int = PACKETS_AT_ONCE) -> Iterator[bytes]:
        """
        Yield what it said since, packet by packet; nothing if it said nothing or its end is closed.

        :param most: how many packets; the line stays readable for the rest.
        """
        for _ in range(most):
            try:
                packet = self.line.recv(MAX_BYTES + 1)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self.is_silent = True
                return
            yield packet

    def signal(self, number: int) -> None:
        """Send a signal; nothing if the process has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.exit_fd, number)

    def close(self) -> None:
        """Give its descriptors back."""
        self.line.close()
        os.close(self.exit_fd)

    def take_end(self) -> str | None:
        """Return how it ended, in words, and forget it in the kernel; None: it has not."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        code = os.waitstatus_to_exitcode(status)
        return f"status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def environment_of(given: Mapping[str, str], notify: str, watchdog_usec: int, line: int) -> dict[str, str]:
    """
    Return the environment of a serving process, but for `LISTEN_PID`, which only the process knows.

    :param given: the keeper's.
    :param watchdog_usec: 0: nobody waits for signs of life.
    """
    own = {name: value for name, value in given.items() if name not in _OWN}
    own |= {"NOTIFY_SOCKET": notify, KEEPER_FD: str(line)}
    return own | ({"WATCHDOG_USEC": str(watchdog_usec)} if watchdog_usec else {})


def start(number: int, launch: Launch, given: Mapping[str, str], notify: str, watchdog_usec: int) -> Child:
    """
    Start a serving process.

    :param given: the keeper's environment.
    :param notify: where the keeper hears what is meant for systemd.
    :raises OSError: if there can be no more processes or descriptors.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    environment = environment_of(given, notify, watchdog_usec, theirs.fileno())
    keeper = os.getpid()
    library = ctypes.CDLL(None)
    pid = os.fork()
    if not pid:
        _become(launch, environment, theirs, keeper, library)
    theirs.close()
    try:
        return Child(number=number, pid=pid, exit_fd=os.pidfd_open(pid), line=ours)
    except OSError:  # nobody would hear of its end
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _become(
    launch: Launch, environment: dict[str, str], line: socket.socket, keeper: int, library: ctypes.CDLL
) -> NoReturn:
    """Turn the forked process into the serving one; nothing of the keeper may run in it."""
    try:
        # Should the keeper be killed, nobody holds the registry when systemd starts the next one.
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(_FAILED_TO_START)
        signal.set_wakeup_fd(-1)
        line.set_inheritable(True)
        if "LISTEN_FDS" in environment:
            environment["LISTEN_PID"] = str(os.getpid())
        os.execve(launch.command[0], launch.command, environment)  # noqa: S606 -- what root or the unit named
    except OSError as error:
        why = f"{launch.command[0]}: {error.strerror}"
        line.send(encode(Message("is", "failed", {"why": why})))
    finally:
        os._exit(_FAILED_TO_START)
