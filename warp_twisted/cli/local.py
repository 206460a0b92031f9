"""
How commands in other terminals find a demo that runs on this machine, as this user.

Each demo writes one small file in a directory that only its user can enter, and removes it when it ends. A file whose
process is gone, or that another user wrote, is ignored. Of several demos the newest is found.
"""

import os
import stat
from pathlib import Path
from typing import Annotated

import msgspec

FILE_NAMES = "warp-demo-*.json"
MAX_FILE_BYTES = 4096


class DemoInfo(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where a demo is.

    :ivar admin: the path of its edge's admin socket.
    :ivar pid: of the process that runs it.
    :ivar started_at: seconds since the epoch.
    """

    admin: str
    zone: str
    http_port: int
    https_port: int
    dns_port: int
    tunnel_port: int
    pid: Annotated[int, msgspec.Meta(ge=1)]
    started_at: float = 0.0


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
        reason = (
            "belongs to another user or is open to others; set XDG_RUNTIME_DIR to a directory of yours with mode 0700"
        )
        raise PermissionError(0, reason, str(directory))
    for left in directory.glob(FILE_NAMES):  # by demos that were killed
        if _read(left) is None:
            left.unlink(missing_ok=True)
    path = directory / FILE_NAMES.replace("*", str(info.pid))
    temporary = directory / f".{path.name}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(info))
    temporary.replace(path)
    return path


def find_demo() -> DemoInfo | None:
    """Return where this user's newest demo is, None when none runs."""
    directory = demo_directory()
    try:
        if not _is_ours(directory):
            return None
        found = [info for path in directory.glob(FILE_NAMES) if (info := _read(path)) is not None]
    except OSError:
        return None
    return max(found, key=lambda info: info.started_at, default=None)


def _read(path: Path) -> DemoInfo | None:
    try:
        if not _is_ours(path):
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
