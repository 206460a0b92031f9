"""
CPU time and memory of a process, as Linux accounts them.

The parsers of /proc's text are pure and tested on recorded text; the readers below them open the files. A figure is
always for a process and all its descendants, because nginx, sshd and others divide their work.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_PROC = Path("/proc")

# CPUCLOCK_SCHED of the kernel's posix-timers.h: user and system time, as the scheduler counts them.
_CLOCK_OF_SCHEDULER = 2


def parse_cpu_times(stat: str, ticks_per_second: int) -> tuple[float, float]:
    """
    Read user and system time, in seconds, from the text of /proc/PID/stat.

    The second field is the program's name in brackets and may itself hold spaces and brackets, so fields are
    counted from the last closing one (proc(5)): utime and stime are fields 14 and 15.

    :param ticks_per_second: `sysconf(_SC_CLK_TCK)`, 100 on every Linux in use.
    """
    fields = stat[stat.rindex(")") + 2 :].split()
    return int(fields[11]) / ticks_per_second, int(fields[12]) / ticks_per_second


def parse_parent(stat: str) -> int:
    """Read the parent's pid from the text of /proc/PID/stat."""
    return int(stat[stat.rindex(")") + 2 :].split()[1])


def parse_start(stat: str) -> int:
    """Read when the process began, in ticks since the machine booted, from the text of /proc/PID/stat."""
    return int(stat[stat.rindex(")") + 2 :].split()[19])


def parse_resident_bytes(status: str) -> int:
    """
    Read the resident set size (VmRSS) from the text of /proc/PID/status.

    :returns: bytes; 0 for a process without memory of its own (a zombie).
    """
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def descendants(pid: int) -> list[int]:
    """List `pid` and every process below it, in no order; processes that end meanwhile are left out."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir(_PROC):
        if entry.isdigit():
            try:
                parent = parse_parent((_PROC / entry / "stat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry))
    found = [pid]
    for each in found:
        found.extend(children.get(each, ()))
    return found


def started_at(pid: int) -> int | None:
    """
    Tell when a process began, in ticks since boot; None when it is gone.

    Together with the pid this names one process for good, even when the number is given away again.
    """
    try:
        return parse_start((_PROC / str(pid) / "stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


def cpu_times(pid: int) -> tuple[float, float]:
    """Add up the user and the system time that `pid` and its descendants have used since they began, in seconds."""
    ticks = os.sysconf("SC_CLK_TCK")
    user = system = 0.0
    for each in descendants(pid):
        try:
            times = parse_cpu_times((_PROC / str(each) / "stat").read_text(), ticks)
        except (FileNotFoundError, ProcessLookupError):
            continue
        user += times[0]
        system += times[1]
    return user, system


def cpu_seconds(pid: int) -> float:
    """
    Add up all CPU time that `pid` and its descendants have used since they began.

    Read from the processes' CPU clocks, to the nanosecond; /proc counts in ticks of 10 ms.
    """
    total = 0.0
    for each in descendants(pid):
        try:
            total += time.clock_gettime(_cpu_clock(each))
        except OSError:  # it has ended meanwhile
            continue
    return total


def _cpu_clock(pid: int) -> int:
    """Compute the id of a process's CPU clock, as clock_getcpuclockid(3) does on Linux."""
    return (~pid << 3) | _CLOCK_OF_SCHEDULER


def resident_bytes(pid: int) -> int:
    """Add up the resident memory of `pid` and its descendants."""
    total = 0
    for each in descendants(pid):
        try:
            total += parse_resident_bytes((_PROC / str(each) / "status").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total
