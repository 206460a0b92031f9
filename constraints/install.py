"""
Install Warp and what it needs into the environment that runs this: `python -m constraints.install [SET …]`.

Versions and hashes are those of the file for this Python; pip chooses nothing and builds nothing but Warp itself. Each
package is said as pip comes to it, one a line, so that a first start on a slow line is seen to move.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from constraints.pins import LOWEST, LOWEST_PYTHON, PYTHONS, ROOT, SETS, Pin, chosen, file_of, read, write

_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--no-deps")


class CannotInstall(Exception):
    """The environment cannot be made; the message says why."""


def file_for_this_python(*, is_lowest: bool) -> Path:
    """
    Return the file with the versions for the Python that runs this.

    :raises CannotInstall: if none was tested.
    """
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if is_lowest:
        if python != LOWEST_PYTHON:
            raise CannotInstall(f"the lowest versions are tested with Python {LOWEST_PYTHON}, and this is {python}")
        return LOWEST
    if python not in PYTHONS:
        raise CannotInstall(f"Warp is tested with Python {', '.join(PYTHONS)}, and this is {python}")
    return file_of(python)


def install_pins(pins: Sequence[Pin], *options: str) -> None:
    """
    Install exactly these archives, saying which as pip comes to them.

    :param options: further options of `pip install`.
    :raises CannotInstall: if pip fails; it has said why.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write(write(pins, "Written by constraints.install"))
        requirements.flush()
        command = [*_PIP, "--require-hashes", "--only-binary=:all:", "--progress-bar=off", *options]
        with subprocess.Popen(
            [*command, "--requirement", requirements.name], stdout=subprocess.PIPE, text=True, errors="replace"
        ) as pip:
            count = 0
            for line in pip.stdout or ():
                kind, _, rest = line.partition(" ")
                if kind == "Collecting":
                    count += 1
                    print(f"  {count:{len(str(len(pins)))}}/{len(pins)} {rest.split()[0]}", flush=True)
                elif line.startswith("Installing collected packages"):
                    print(f"  unpacking {count} packages", flush=True)
        if pip.returncode:
            raise CannotInstall(f"pip ended with {pip.returncode}; what was wrong stands above")


def install_warp(root: Path, *, is_editable: bool) -> None:
    """
    Install Warp itself, with the build backend that is in this environment.

    :raises CannotInstall: if pip fails; it has said why.
    """
    command = [*_PIP, "--quiet", "--no-index", "--no-build-isolation", *(["--editable"] if is_editable else [])]
    done = subprocess.run([*command, str(root)])
    if done.returncode:
        raise CannotInstall(f"Warp was not installed: pip ended with {done.returncode}")


def main(arguments: Sequence[str]) -> int:
    """Install what the command line asks for, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m constraints.install", description=__doc__)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"beside run: {', '.join(SETS[2:])}")
    parser.add_argument("--lowest", action="store_true", help="the lowest versions that Warp promises to work with")
    parser.add_argument("--editable", action="store_true", help="link to the checkout instead of copying it")
    given = parser.parse_args(arguments)
    if unknown := [each for each in given.sets if each not in SETS]:
        parser.error(f"no set {', '.join(unknown)}; there are {', '.join(SETS)}")
    try:
        pins = chosen(read(file_for_this_python(is_lowest=given.lowest).read_text()), ["build", "run", *given.sets])
        print(f"Installing {len(pins)} packages into {os.path.relpath(sys.prefix)}", flush=True)
        install_pins(pins)
        print("Installing Warp itself", flush=True)
        install_warp(ROOT, is_editable=given.editable)
    except CannotInstall as error:
        print(f"constraints.install: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
