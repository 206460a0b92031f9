"""
The temporary directory of a demo, and those that killed demos left.

Each demo holds a lock on a file in its directory, which the kernel drops with the process however it ends. A directory
whose lock can be had belongs to nobody any more; one without a lock file, or of another user, is never touched.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

PREFIX = "warp-demo-"
LOCK = "lock"
MAX_LOOKED_AT = 1000  # directories, in a place where anybody may make some


class DemoDirectory:
    """
    A new directory, for as long as the demo runs.

    :param base: where; the system's temporary directory unless given.
    """

    def __init__(self, base: Path | None = None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        # Locked before it has its name: a process that finds the file finds it locked.
        unnamed = self.path / f".{LOCK}"
        self._lock = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(self.path / LOCK)

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.path, ignore_errors=True)
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def remove_left_behind(base: Path | None = None) -> list[Path]:
    """
    Remove the directories of demos that were killed.

    :param base: where; the system's temporary directory unless given.
    :returns: what was removed.
    """
    removed = []
    found = (base or Path(tempfile.gettempdir())).glob(f"{PREFIX}*/{LOCK}")
    for path, _ in zip(found, range(MAX_LOOKED_AT), strict=False):
        if _is_left_behind(path):
            removed.append(path.parent)
    return removed


def _is_left_behind(path: Path) -> bool:
    """Take the lock of a directory, and if it can be had, remove the directory."""
    directory = path.parent
    try:
        status = directory.lstat()
        if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
            return False
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(directory, ignore_errors=True)
    except OSError:  # its demo runs
        return False
    finally:
        os.close(lock)
    return not directory.exists()
