"""
The programs that a run starts: where their output goes, when they are ready, and that each one is ended.

Every program runs in a session of its own, so that Ctrl-C reaches only the benchmark, which then ends them by
pid; should the benchmark itself be killed, the kernel sends them SIGTERM (`setpriv --pdeathsig`).
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import proc
from benchmarks.errors import ProgramFailed, ProgramMissing

READY_SECONDS = 20.0
STOP_SECONDS = 5.0

# Below Linux's range for outgoing connections (32768 and up): no visitor's port collides with a listener.
_LISTENER_PORTS = range(20000, 32000)

# Put before a command: the kernel sends it SIGTERM when the benchmark is gone, however that ended (prctl(2)).
DIE_WITH_PARENT = ("/usr/bin/setpriv", "--pdeathsig", "TERM", "--")

_PACKAGES = {
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "perf": "linux-perf",
    "wrk": "wrk",
}


def find_program(name: str) -> str:
    """
    Find a program on PATH or in the directories for administrators' programs, which a user's PATH may lack.

    :raises ProgramMissing: naming Debian's package.
    """
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin:/usr/local/sbin"
    found = shutil.which(name, path=path)
    if found is None:
        raise ProgramMissing(f"{name}: try `apt-get install {_PACKAGES.get(name, name)}`")
    return found


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Choose a loopback port that nobody listens on now."""
    for port in random.sample(_LISTENER_PORTS, 200):
        with socket.socket(socket.AF_INET, kind) as attempt:
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ProgramFailed("no free port on loopback")


def raise_file_limit() -> int:
    """Allow this process, and the programs that it starts, as many open files as the system grants."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Process:
    """
    One started program.

    :param name: how progress and errors call it.
    :param log: the file that takes its standard output and standard error.
    """

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.log = log
        self._popen = popen

    @property
    def pid(self) -> int:
        return self._popen.pid

    def cpu_seconds(self) -> float:
        """Tell the CPU time used so far, descendants included."""
        return proc.cpu_seconds(self.pid)

    def resident_bytes(self) -> int:
        """Tell the resident memory now, descendants included."""
        return proc.resident_bytes(self.pid)

    def check_alive(self) -> None:
        """
        Make sure that the program has not ended.

        :raises ProgramFailed: with the end of its log.
        """
        code = self._popen.poll()
        if code is not None:
            raise ProgramFailed(f"{self.name} ended with {code}; its log ends:\n{self.log_tail()}")

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of the program's output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def wait_for_port(self, port: int, timeout: float = READY_SECONDS) -> None:
        """Wait until the program accepts connections on a loopback port."""
        for _ in self._attempts(timeout, f"does not accept connections on port {port}"):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return

    def wait_for_socket(self, path: Path, timeout: float = READY_SECONDS) -> None:
        """Wait until the program accepts connections on a unix socket."""
        for _ in self._attempts(timeout, f"does not accept connections on {path}"):
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as attempt:
                attempt.connect(str(path))
                return

    def wait_for_file(self, path: Path, timeout: float = READY_SECONDS) -> None:
        """Wait until the program has made a file."""
        for _ in self._attempts(timeout, f"did not make {path}"):
            if path.exists():
                return

    def wait_for_line(self, pattern: str, timeout: float = READY_SECONDS) -> re.Match[str]:
        """Wait until the program has printed something that the regular expression finds."""
        for _ in self._attempts(timeout, f"did not print {pattern!r}"):
            found = re.search(pattern, self.log.read_text(errors="replace"))
            if found is not None:
                return found
        raise AssertionError("unreachable: the last attempt raises")

    def wait_for_end(self, timeout: float) -> int:
        """Wait for the program to end by itself, and return its exit code."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ProgramFailed(f"{self.name} still runs after {timeout:.0f} s:\n{self.log_tail()}") from None

    def send_signal(self, number: signal.Signals) -> None:
        """Send the program a signal, and do not wait for what it does."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """End the program at once, as a crash would: the kernel closes what it had open."""
        self._popen.kill()
        self._popen.wait()

    def stop(self) -> None:
        """End the program: SIGTERM, and SIGKILL for it and what it started when that does not do."""
        family = {pid: proc.started_at(pid) for pid in proc.descendants(self.pid) if pid != self.pid}
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(STOP_SECONDS)
        if self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait()
        for pid, began in family.items():
            if began is not None and proc.started_at(pid) == began:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _attempts(self, timeout: float, complaint: str) -> Iterator[None]:
        """Yield about fifty times a second until the time is over; the program must stay alive meanwhile."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self.check_alive()
            yield
            time.sleep(0.02)
        raise ProgramFailed(f"{self.name} {complaint} within {timeout:.0f} s; its log ends:\n{self.log_tail()}")


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str],
    directory: Path,
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> Iterator[Process]:
    """
    Run a program for the length of a `with` block.

    :param command: its first item is an absolute path or a name for `find_program`.
    :param directory: its working directory; NAME.log is written there.
    :param environment: what is added to, or replaced in, the benchmark's own environment.
    :param descriptors: that it inherits.
    """
    program = find_program(command[0])
    log = directory / f"{name}.log"
    with log.open("wb") as output:
        popen = subprocess.Popen(
            [*DIE_WITH_PARENT, program, *command[1:]],
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=descriptors,
        )
    process = Process(name, popen, log)
    try:
        yield process
    finally:
        process.stop()
