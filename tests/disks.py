"""
Disks for tests, each a file system of its own: a small one that can be filled up or made read-only, and one that can
fail. Both can be mended. Needs root.
"""

import os
import subprocess
import tempfile
from pathlib import Path

BYTES = 512 * 1024
FAILING_BYTES = 8 * 1024 * 1024


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


class FailingDisk:
    """
    An ext4 file system in a file, whose writes end in the kernel's EIO ("Input/output error") while it fails.

    The file is made immutable for that, which the block device above it cannot tell from a broken disk. There is no
    journal, as one that was aborted does not heal before the next mount.

    :param path: an empty directory, at which it is mounted; the file is in /var/tmp, which is of no overlay.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        descriptor, image = tempfile.mkstemp(prefix="warp-failing-disk-", dir="/var/tmp")
        self._image = Path(image)
        with os.fdopen(descriptor, "wb") as file:
            file.truncate(FAILING_BYTES)
        _run("mkfs.ext4", "-q", "-O", "^has_journal", str(self._image))
        _run("mount", "-o", "loop,errors=continue", str(self._image), str(path))

    def fail(self) -> None:
        """Let every write fail that reaches the disk."""
        _run("chattr", "+i", str(self._image))

    def make_read_only(self) -> bool:
        """Take no changes instead of failing; returns whether that is so, which it is not while a file is written."""
        _run("chattr", "-i", str(self._image))
        subprocess.run(["sync", "--file-system", str(self.path)], stderr=subprocess.DEVNULL)  # says what failed before
        return not subprocess.run(["mount", "-o", "remount,ro", str(self.path)]).returncode

    def mend(self) -> None:
        """Take changes again."""
        _run("chattr", "-i", str(self._image))
        _run("mount", "-o", "remount,rw", str(self.path))

    def unmount(self) -> None:
        """Let go of it, whoever still has files open, and remove the file."""
        _run("chattr", "-i", str(self._image))
        _run("umount", "--lazy", str(self.path))
        self._image.unlink()


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
