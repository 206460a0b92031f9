"""
How commands in other terminals find a demo that runs on this machine, as this user.

The demo writes one small file in a directory that only its user can enter, and removes it when it ends. A file whose
process is gone, or that somebody else wrote, is no demo.
"""

import os
import stat
from pathlib import Path
from typing import Annotated

import msgspec

FILE_NAME = "warp-demo.json"
MAX_FILE_BYTES = 4096


class DemoInfo(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where a demo is.

    :ivar admin: the path of its edge's admin socket.
    :ivar pid: of the process that runs it.
    """

    admin: str
    zone: str
    http_port: int
    https_port: int
    dns_port: int
    tunnel_port: int
    pid: Annotated[int, msgspec.Meta(ge=1)]


def demo_directory() -> Path:
    """Return where this user's demo leaves its file: `$XDG_RUNTIME_DIR`, or a directory of this user's in `/tmp`."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime)
    return Path(f"/tmp/warp-demo-{os.getuid()}")  # noqa: S108 -- its owner and mode are checked before it is believed


def announce_demo(info: DemoInfo) -> Path:
    """
    Let commands find the demo.

    :returns: the file, to be removed when the demo ends.
    :raises OSError: if the directory is not this user's own.
    """
    directory = demo_directory()
    directory.mkdir(mode=0o700, exist_ok=True)
    if not _is_ours(directory):
        raise PermissionError(0, "belongs to another user or is open to others", str(directory))
    path = directory / FILE_NAME
    temporary = directory / f".{FILE_NAME}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(info))
    temporary.replace(path)
    return path


def find_demo() -> DemoInfo | None:
    """Return where this user's demo is, None when none runs."""
    path = demo_directory() / FILE_NAME
    try:
        if not _is_ours(path.parent) or not _is_ours(path):
            return None
        with path.open("rb") as file:
            info = msgspec.json.decode(file.read(MAX_FILE_BYTES), type=DemoInfo)
    except (OSError, msgspec.MsgspecError):
        return None
    return info if _is_running(info.pid) else None


def _is_ours(path: Path) -> bool:
    status = path.lstat()
    others = stat.S_IRWXG | stat.S_IRWXO
    return status.st_uid == os.getuid() and not stat.S_ISLNK(status.st_mode) and not status.st_mode & others


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):
        return False
    return True
