"""
What playbooks are run with: the oldest and the newest ansible-core that are promised, each in its own environment.

The oldest is that of constraints/lowest.txt; the newest that of the newest Python on this machine that Warp is tested
with, as each ansible-core has a range of Pythons. `WARP_FLEET_CONTROLLER` says which one a fleet has; unset means the
one of the tests' own environment.
"""

import functools
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from constraints.pins import LOWEST, LOWEST_PYTHON, PYTHONS, ROOT, chosen, file_of, read, write
from tests.fleet.images import once
from tests.fleet.place import MAKE_SECONDS, FleetError, Place, run

OWN, OLDEST, NEWEST = "", "oldest", "newest"
_SETS = ("run", "deploy")


def pythons() -> dict[str, str]:
    """Return the Pythons of this machine that Warp is tested with: version → program."""
    found = {}
    for version in PYTHONS:
        # pyenv's own before its shims, which are on the PATH for versions that may not be chosen.
        places = [str(path) for path in Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")]
        places += [each for each in [shutil.which(f"python{version}")] if each]
        for place in places:
            try:
                run(place, "-c", "import ensurepip, venv")
            except FleetError:
                continue  # a shim without a version behind it, or a Debian without python3-venv
            found[version] = place
            break
    return found


def kind_of(which: str, found: dict[str, str]) -> tuple[str, Path]:
    """
    Return the version of Python for an environment, and the file of its packages' versions.

    :param found: the Pythons that there are.
    :raises FleetError: if there is none for it.
    """
    if which not in (OLDEST, NEWEST):
        raise FleetError(f"WARP_FLEET_CONTROLLER: expected {OLDEST} or {NEWEST}, got {which}")
    version = LOWEST_PYTHON if which == OLDEST else next((one for one in reversed(PYTHONS) if one in found), "")
    if version not in found:
        raise FleetError(
            f"the {which} ansible-core needs Python {version or PYTHONS[-1]} with its venv, which is not here"
        )
    return version, LOWEST if which == OLDEST else file_of(version)


@functools.cache
def playbook_command(place: Place, which: str) -> tuple[str, ...]:
    """
    Return the command that runs a playbook, and make its environment if it is not there: half a minute the first time.

    :param which: OWN, OLDEST or NEWEST.
    :raises FleetError: if it cannot be made.
    """
    if which == OWN:
        return (str(Path(sys.executable).with_name("ansible-playbook")),)
    found = pythons()
    version, file = kind_of(which, found)
    pins = write(chosen(read(file.read_text()), _SETS), f"For a controller with Python {version}")

    def build(scratch: Path) -> None:
        run(found[version], "-m", "venv", scratch, seconds=MAKE_SECONDS)
        pip = (scratch / "bin/python", "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
            requirements.write(pins)
            requirements.flush()
            archives = ("--no-deps", "--require-hashes", "--only-binary=:all:", "--requirement", requirements.name)
            run(*pip, *archives, seconds=MAKE_SECONDS)
        [packages] = scratch.glob("lib/python*/site-packages")
        (packages / "warp.pth").write_text(f"{ROOT}\n{ROOT}/dns\n")  # as an installation that links to the checkout

    name = hashlib.sha256(f"{found[version]}\n{ROOT}\n{pins}".encode()).hexdigest()[:12]
    # By the module, as scripts name the directory that they were installed in.
    return str(once(place.shared / f"controller-{name}", build) / "bin/python"), "-m", "ansible", "playbook"


def chosen_command(place: Place) -> tuple[str, ...]:
    """Return the command of the environment that this run is to have."""
    return playbook_command(place, os.environ.get("WARP_FLEET_CONTROLLER", OWN))
