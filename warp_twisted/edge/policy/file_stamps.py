"""What tells a file of a policy from what it was before: looked at, never read."""

import os
from pathlib import Path

Stamp = tuple[int, int, int]  # inode, size, time of change


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the stamp of a file that is open."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def stamp_at(path: Path) -> Stamp | None:
    """Return the stamp of a file; None if it is not there."""
    try:
        return stamp_of(os.stat(path))
    except OSError:
        return None
