"""
Boot one host and stay until it is switched off; a program of its own, run in a mount namespace of its own.

`boot.py NAME GROUP NAMESPACE ROOT LOWER UPPER WORK [SOURCE:TARGET]...`. Nothing that is mounted here is seen
outside, and all of it goes with the last process. systemd-nspawn copies the layout of control groups that it
finds, so it is shown version 2 alone, where the machine may have version 1, or both.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

REBOOT = 133  # what systemd-nspawn exits with when the host asked for a reboot and nothing else will start it
END_SECONDS = 30.0
HIERARCHY = Path("/sys/fs/cgroup")


def mount(kind: str, target: Path, *options: str) -> None:
    subprocess.run(["mount", "-t", kind, kind, str(target), *options], check=True)


def empty(group: Path) -> None:
    """End what the last boot left in the host's group; nspawn refuses one that is in use."""
    if group.is_dir():
        (group / "cgroup.kill").write_text("1")
        for directory in sorted(group.rglob("*/"), key=lambda path: -len(path.parts)):
            remove(directory)


def remove(directory: Path) -> None:
    """Remove a group as soon as its last process is gone: killed ones take a moment, and longer on a busy machine."""
    deadline = time.monotonic() + END_SECONDS
    while True:
        try:
            return directory.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def main(name: str, group: str, namespace: str, root: str, lower: str, upper: str, work: str, *binds: str) -> int:
    mount("cgroup2", HIERARCHY)
    Path("/run/systemd/nspawn").mkdir(parents=True, exist_ok=True)
    mount("tmpfs", Path("/run/systemd/nspawn"))
    mount("overlay", Path(root), "-o", f"lowerdir={lower},upperdir={upper},workdir={work}")
    machine = HIERARCHY / group
    # The network namespace is ours, so nspawn has to be told that the host may rule over it. A unit's
    # IPAddressDeny= and DevicePolicy= are BPF programs, which are filtered, silently, by default.
    command = [
        "systemd-nspawn", "--quiet", "--boot", "--keep-unit", "--register=no", "--console=pipe",
        f"--machine={name}", f"--directory={root}", f"--network-namespace-path={namespace}",
        "--capability=CAP_NET_ADMIN", "--drop-capability=CAP_MKNOD", "--system-call-filter=bpf",
        "--resolv-conf=off", "--timezone=off", "--link-journal=no",
        *(f"--bind-ro={bind}" for bind in binds),
    ]  # fmt: skip
    environment = os.environ | {
        "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
    }
    status = REBOOT
    while status == REBOOT:
        empty(machine)
        machine.mkdir(parents=True, exist_ok=True)
        member = 'echo $$ >"$0/cgroup.procs" && exec "$@"'
        status = subprocess.run(["sh", "-c", member, str(machine), *command], env=environment).returncode
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
