"""What a figure depends on besides the code: the machine, the kernel, the versions of everything measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.errors import ProgramMissing
from benchmarks.processes import find_program

_PROGRAMS: dict[str, tuple[Sequence[str], str]] = {
    "nginx": (("nginx", "-v"), r"nginx/(\S+)"),
    "HAProxy": (("haproxy", "-v"), r"version (\S+)"),
    "OpenSSH": (("ssh", "-V"), r"OpenSSH_(\S+?),?\s"),
    "wrk": (("wrk", "-v"), r"wrk (\S+)"),
}
_PACKAGES = ("warp-twisted", "Twisted", "pyOpenSSL", "cryptography", "msgspec")


def describe() -> dict[str, str]:
    """Say what the run runs on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": f"{os.cpu_count()} cores of {_processor(Path('/proc/cpuinfo').read_text())}",
        "memory": f"{memory:.0f} GiB",
        "system": f"{_system()}, Linux {platform.release()}",
    }


def available_bytes() -> int:
    """Tell how much memory can be used without swapping, as the kernel estimates it (proc(5), MemAvailable)."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(match[1]) * 1024 if match is not None else 0


def versions() -> dict[str, str]:
    """Say which versions are measured; what is not installed is left out."""
    found = {"Python": platform.python_version()}
    for name, (command, pattern) in _PROGRAMS.items():
        try:
            program = find_program(command[0])
        except ProgramMissing:
            continue
        # nginx, ssh and wrk tell their version on standard error, and wrk exits with 1 after it.
        told = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False, timeout=10)
        match = re.search(pattern, told.stdout + told.stderr)
        if match is not None:
            found[name] = match[1]
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def revision(tree: Path) -> str:
    """Name the commit that is measured; "-dirty" is added when files differ from it."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude", "*"],
            cwd=tree,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return told.stdout.strip()


def _processor(cpuinfo: str) -> str:
    match = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return match[1] if match is not None else platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()
