"""Small disks for tests: a file system of its own that can be filled up, made read-only, and mended. Needs root."""

import os
import subprocess
from pathlib import Path

BYTES = 512 * 1024


class SmallDisk:
    """
    A tmpfs.

    :param path: an empty directory, at which it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filling = path / "filling"
        _run("mount", "-t", "tmpfs", "-o", f"size={BYTES}", "none", str(path))

    def fill(self) -> None:
        """Leave no room."""
        descriptor = os.open(self._filling, os.O_WRONLY | os.O_CREAT)
        try:
            while True:
                os.write(descriptor, bytes(4096))
        except OSError:
            os.close(descriptor)

    def make_read_only(self) -> None:
        """Take no changes."""
        _run("mount", "-o", "remount,ro", str(self.path))

    def mend(self) -> None:
        """Take changes again."""
        _run("mount", "-o", "remount,rw", str(self.path))
        self._filling.unlink(missing_ok=True)

    def unmount(self) -> None:
        """Let go of it, whoever still has files open."""
        _run("umount", "--lazy", str(self.path))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
