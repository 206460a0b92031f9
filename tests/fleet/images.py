"""
What hosts are made of: a Debian tree that all of them share, and an archive of packages they may install.

Both come from the archives that this machine itself uses, are kept under a name made from what is in them,
and appear under that name only when whole. A host reads the archive as a directory: no route, no proxy.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.fleet.place import MAKE_SECONDS, RUN_SECONDS, FleetError, Place, run

# What a server has from the start, as a provider's minimal Debian image does.
BASE_PACKAGES = (
    "systemd", "systemd-sysv", "libpam-systemd", "libnss-systemd", "dbus", "openssh-server", "sudo",
    "python3", "python3-apt", "apt-utils", "iproute2", "procps", "netbase", "ca-certificates",
)  # fmt: skip
# What a deployment may install: the roles' own needs.
PACKAGES = ("etcd-client", "etcd-server", "knot", "nftables", "python3-venv")

_NO_NOISE = ("--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*")
_CLEAN = 'rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/apt/sources.list.d/* "$1"/etc/resolv.conf'
_SOURCES = 'echo "deb [trusted=yes] file:/srv/packages ./" >"$1"/etc/apt/sources.list'


def digest(*parts: str) -> str:
    """Condense what decides a content into a part of a name."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def codename() -> str:
    """
    Return the name of the Debian release that this machine runs.

    :raises FleetError: if it runs another system.
    """
    found = re.search(r"^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text(), re.MULTILINE)
    if found is None:
        raise FleetError("/etc/os-release names no Debian release, so there are no packages to build hosts from")
    return found[1]


def archives() -> Path:
    """
    Return the file with this machine's list of Debian's archives.

    :raises FleetError: if there is none.
    """
    for name in ("sources.list.d/debian.sources", "sources.list"):
        path = Path("/etc/apt") / name
        if path.is_file() and path.stat().st_size:
            return path
    raise FleetError("there is no list of Debian archives in /etc/apt")


def archives_of(place: Place, suite: str) -> Path:
    """
    Return the same for another Debian release, from the same archives.

    :raises FleetError: if this machine has no list.
    """
    path = archives()
    if suite == codename():
        return path
    place.directory.mkdir(parents=True, exist_ok=True)
    other = place.directory / f"{suite}{path.suffix}"
    other.write_text(path.read_text().replace(codename(), suite))
    return other


def once(target: Path, build: Callable[[Path], None]) -> Path:
    """
    Make a directory by a function that fills it, unless it is there already; of two who want it at once, one makes it.

    :param build: fills a scratch directory, which takes the target's name only if that worked.
    """
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(beside, fcntl.LOCK_EX)
        if not target.is_dir():
            _fill(target, build)
    finally:
        os.close(beside)
    return target


def _fill(target: Path, build: Callable[[Path], None]) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=".scratch-", dir=target.parent))
    scratch.chmod(0o755)
    try:
        build(scratch)
        scratch.rename(target)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def base_tree(place: Place, suite: str) -> Path:
    """The tree that the root of every host of a Debian release is laid over: half a minute the first time."""
    packages = ",".join(BASE_PACKAGES)

    def build(scratch: Path) -> None:
        run(
            "mmdebstrap", "--quiet", "--format=directory", "--variant=minbase", f"--include={packages}",
            *_NO_NOISE, f"--customize-hook={_CLEAN}", f"--customize-hook={_SOURCES}",
            suite, scratch, archives_of(place, suite), seconds=MAKE_SECONDS,
        )  # fmt: skip
        # A role with `cache_valid_time` must not take the lists for fresh.
        os.utime(scratch / "var/lib/apt/lists", (0, 0))

    return once(place.shared / f"base-{digest(suite, packages, _CLEAN, _SOURCES)}", build)


def package_archive(place: Place, suite: str, base: Path, packages: Sequence[str] = PACKAGES) -> Path:
    """A directory that apt reads as an archive: packages, and what they need on top of a release's base tree."""

    def build(scratch: Path) -> None:
        state = scratch / "state"
        state.mkdir()
        settings = {
            "Dir::State::lists": state,
            "Dir::Etc::SourceList": archives_of(place, suite),
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::status": base / "var/lib/dpkg/status",
            "Dir::Cache": state,
            "Dir::Cache::archives": scratch,
            "APT::Sandbox::User": "root",
        }
        apt = [
            "apt-get",
            "-q",
            "-y",
            *(word for item in settings.items() for word in ("-o", f"{item[0]}={item[1]}")),
        ]
        run(*apt, "update", seconds=MAKE_SECONDS)
        run(*apt, "install", "--download-only", *packages, seconds=MAKE_SECONDS)
        shutil.rmtree(state)
        shutil.rmtree(scratch / "partial", ignore_errors=True)
        (scratch / "lock").unlink(missing_ok=True)
        for what, name in (("packages", "Packages"), ("release", "Release")):
            with (scratch / name).open("wb") as into:
                subprocess.run(["apt-ftparchive", what, "."], cwd=scratch, stdout=into, check=True, timeout=RUN_SECONDS)

    return once(place.shared / f"packages-{digest(base.name, *packages)}", build)
