"""
Where a fleet of test hosts lives: its directory, its namespaces' prefix, its addresses, its control group.

Everything that the harness makes is under one of these four, so that taking it down needs no memory of
what was made, and cannot touch anything else. Two places with different names are two fleets.
"""

import contextlib
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO


class FleetError(Exception):
    """Test hosts cannot be made or used; the message says why, for the person who ran the tests."""


RUN_SECONDS = 60.0
MAKE_SECONDS = 600.0  # for what fetches packages
_DIRECTORY = "/var/tmp/warp-fleet"


def run(*command: str | Path, quiet: bool = False, seconds: float = RUN_SECONDS) -> str:
    """
    Run a program to its end and return what it printed.

    :raises FleetError: with the end of its output, if it failed or did not end.
    """
    words = [str(word) for word in command]
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        # Files, not pipes: a program that leaves something running that holds its output is not waited for.
        program = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=complained)
        try:
            code = program.wait(seconds)
        except subprocess.TimeoutExpired as error:
            where = _waits_in(program.pid)
            program.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(5)
            text = (_text(complained) + _text(said)).strip()[-2000:]
            raise FleetError(
                f"{' '.join(words)} did not end in {seconds:g} s; it waited in {where}, and said: {text}"
            ) from error
        except BaseException:
            program.kill()
            raise
        out = _text(said)
        if code and not quiet:
            text = (_text(complained) + out).strip()[-2000:]
            raise FleetError(f"{' '.join(words)} exited {code}: {text}")
        return out


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _waits_in(pid: int) -> str:
    """Return the kernel function that a process and its children wait in: one that cannot be killed waits in one."""
    found = []
    for process in (pid, *_children(pid)):
        with contextlib.suppress(OSError):
            found.append(Path(f"/proc/{process}/wchan").read_text())
    return ", ".join(found)


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


@dataclass(frozen=True, kw_only=True)
class Place:
    """
    One fleet's corner of this machine.

    :ivar name: prefix of its network namespaces, and name of its control group.
    :ivar directory: disks and keys; deleted by hand when it is wanted no more.
    :ivar shared: what several fleets may have in common: trees, archives of packages, wheels, figures.
    :ivar network: first three octets of the hosts' IPv4 addresses.
    :ivar network6: first four groups of their IPv6 addresses.
    """

    name: str = os.environ.get("WARP_FLEET_NAME", "warpfleet")
    directory: Path = Path(os.environ.get("WARP_FLEET_DIR", _DIRECTORY))
    shared: Path = Path(os.environ.get("WARP_FLEET_SHARED") or os.environ.get("WARP_FLEET_DIR", _DIRECTORY))
    network: str = "10.78.0"
    network6: str = "fd78:0:0:0"

    @property
    def namespace(self) -> Path:
        """The network namespace that holds the bridge, and this machine's foothold beside the hosts."""
        return Path("/run/netns") / self.name

    def host(self, name: str) -> Path:
        """The directory that is a host's disk, and what this machine knows of it."""
        return self.directory / "hosts" / name


def unified_hierarchy() -> Path:
    """
    Where control groups of version 2 are mounted: one hierarchy, wherever it shows.

    :raises FleetError: if it is mounted nowhere.
    """
    for line in Path("/proc/mounts").read_text().splitlines():
        _, target, kind, *_ = line.split(" ")
        if kind == "cgroup2":
            return Path(target)
    raise FleetError("no hierarchy of control groups version 2 is mounted (a kernel or container of today has one)")


@dataclass(frozen=True)
class Group:
    """A control group: processes that were started together and end together."""

    path: Path

    def joining(self, *command: str | Path) -> list[str]:
        """The command line that runs a command as a member of this group."""
        self.path.mkdir(parents=True, exist_ok=True)
        member = 'echo $$ >"$0/cgroup.procs" && exec "$@"'
        return ["sh", "-c", member, str(self.path), *(str(word) for word in command)]

    @property
    def is_populated(self) -> bool:
        try:
            return "populated 1" in (self.path / "cgroup.events").read_text()
        except FileNotFoundError:
            return False

    @property
    def stalled_seconds(self) -> float:
        """For how long none of its processes ran though one wanted to, as the machine was busy with others."""
        with contextlib.suppress(OSError):  # it is not there yet, or the kernel does not count
            return int((self.path / "cpu.pressure").read_text().rsplit("total=", 1)[1]) / 1e6
        return 0.0

    def end(self) -> None:
        """
        Kill every process in the group and below it, and remove it.

        :raises FleetError: if that is not done within ten seconds.
        """
        if not self.path.is_dir():
            return
        (self.path / "cgroup.kill").write_text("1")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                for directory in sorted(self.path.rglob("*/"), key=lambda path: -len(path.parts)):
                    directory.rmdir()
                self.path.rmdir()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise FleetError(f"processes in {self.path} do not end")


class Stopwatch:
    """
    Measures seconds in which a group could run: those that other work took from it are the machine's.

    :param began: an instant of the monotonic clock to count from; None: now.
    """

    def __init__(self, group: Group, began: float | None = None) -> None:
        self._group = group
        self._began = time.monotonic() if began is None else began
        self._stalled = group.stalled_seconds

    @property
    def seconds(self) -> float:
        """How long it is."""
        return time.monotonic() - self._began - (self._group.stalled_seconds - self._stalled)
