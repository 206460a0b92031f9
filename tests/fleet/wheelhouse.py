"""
Wheels of all that Warp needs, in a directory that hosts read: they reach no package index, and need none.

Fetched by this machine's pip for the hosts' Python, in the versions that the role installs.
"""

import hashlib
import re
import sys
import tempfile
from pathlib import Path

from constraints.pins import PYTHONS, chosen, file_of, read, write
from tests.fleet.images import once
from tests.fleet.place import MAKE_SECONDS, FleetError, Place, run


def _python_of(base: Path) -> str:
    found = sorted(path.name for path in base.glob("usr/bin/python3.*") if re.fullmatch(r"python3\.\d+", path.name))
    if not found:
        raise FleetError(f"the hosts' tree has no Python: {base}")
    return found[-1].removeprefix("python")


def wheelhouse(place: Place, base: Path) -> Path:
    """The directory of wheels; a few seconds the first time."""
    version = _python_of(base)
    if version not in PYTHONS:
        raise FleetError(f"the hosts' Python is {version}, and Warp is tested with {', '.join(PYTHONS)}")
    # Not the role's own file: pip would judge its markers by the Python that runs here.
    pins = write(chosen(read(file_of(version).read_text()), ["run"]), f"For hosts with Python {version}")

    def build(scratch: Path) -> None:
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps")
        archives = ("--require-hashes", "--only-binary=:all:", f"--python-version={version}")
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
            requirements.write(pins)
            requirements.flush()
            run(*pip, *archives, "--dest", scratch, "--requirement", requirements.name, seconds=MAKE_SECONDS)

    name = hashlib.sha256(f"{version}\n{pins}".encode()).hexdigest()[:12]
    return once(place.shared / f"wheels-{name}", build)
