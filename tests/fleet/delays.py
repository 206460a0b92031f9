"""
For how long processes wanted to run and waited for a CPU: what other work on this machine took from them.

The kernel counts it for each thread, exactly and at once (/proc/PID/task/TID/schedstat, its second number), unlike
`cpu.pressure`, which is counted for control groups and renewed every two seconds.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path


class Delays:
    """
    Adds it up over all threads of some control groups, those included that have ended since they were seen.

    :param groups: directories of the groups; one that is not there has no processes.
    :param pids: processes besides.
    """

    def __init__(self, groups: Iterable[Path] = (), pids: Iterable[int] = ()) -> None:
        self._groups = list(groups)
        self._pids = list(pids)
        self._waited: dict[str, float] = {}  # by the number of the thread

    def seconds(self) -> float:
        """Return for how long they have waited until now, all together."""
        for pid in (*self._pids, *self._members()):
            with contextlib.suppress(OSError):  # it has ended
                for thread in os.listdir(f"/proc/{pid}/task"):
                    text = Path(f"/proc/{pid}/task/{thread}/schedstat").read_text()
                    self._waited[thread] = int(text.split()[1]) / 1e9
        return sum(self._waited.values())

    def _members(self) -> list[int]:
        found: list[int] = []
        for group in self._groups:
            with contextlib.suppress(OSError):
                found += map(int, (group / "cgroup.procs").read_text().split())
        return found
