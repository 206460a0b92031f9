"""
Wheels of all that Warp needs, in a directory that hosts read: they reach no package index, and need none.

Fetched by this machine's pip for the hosts' Python, in the versions that the role installs.
"""

import hashlib
import re
import sys
from pathlib import Path

from tests.fleet.images import once
from tests.fleet.place import FleetError, Place, run

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "roles/warp_common/files/constraints.txt"


def _python_of(base: Path) -> str:
    found = sorted(path.name for path in base.glob("usr/bin/python3.*") if re.fullmatch(r"python3\.\d+", path.name))
    if not found:
        raise FleetError(f"the hosts' tree has no Python: {base}")
    return found[-1].removeprefix("python")


def wheelhouse(place: Place, base: Path) -> Path:
    """The directory of wheels; a few seconds the first time."""
    pins = CONSTRAINTS.read_text()
    version = _python_of(base)

    def build(scratch: Path) -> None:
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps")
        run(*pip, "--only-binary=:all:", f"--python-version={version}", "--dest", scratch, "-r", CONSTRAINTS)

    name = hashlib.sha256(f"{version}\n{pins}".encode()).hexdigest()[:12]
    return once(place.directory / f"wheels-{name}", build)
