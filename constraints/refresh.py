"""
Move every pinned version on to the newest that pyproject.toml allows, and say what moved: `make refresh`.

The one program that resolves. uv does the work, in a version that is pinned as well; archives without a wheel are no
choice, so nothing is ever built from source but Warp itself. What is written names no index: pip's own configuration
says where packages come from, when they are looked for and when they are installed.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from constraints.pins import (
    HOSTS,
    HOSTS_BUILD,
    LOWEST,
    LOWEST_PYTHON,
    LOWEST_SETS,
    PYTHONS,
    ROOT,
    SETS,
    Malformed,
    Pin,
    chosen,
    file_of,
    merged,
    read,
    write,
)  # fmt: skip

_PYPROJECT = ROOT / "pyproject.toml"


def requirements_of(name: str) -> list[str]:
    """Return what a set asks for, as pyproject.toml says it."""
    document = tomllib.loads(_PYPROJECT.read_text())
    if name == "build":
        return list(document["build-system"]["requires"])
    if name == "run":
        return list(document["project"]["dependencies"])
    return list(document["project"]["optional-dependencies"][name])


def resolve(requirements: Iterable[str], python: str, *options: str, given: Sequence[Pin] = ()) -> str:
    """
    Let uv choose versions.

    :param given: versions that are decided already.
    :returns: a requirements file.
    :raises SystemExit: if there is no choice; uv has said why.
    """
    command = [
        sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--only-binary=:all:",
        f"--python-version={python}", *options, "-",
    ]  # fmt: skip
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as decided:
        decided.writelines(f"{pin.name}=={pin.version}\n" for pin in given)
        decided.flush()
        done = subprocess.run(
            [*command, f"--constraint={decided.name}"],
            input="\n".join(requirements), stdout=subprocess.PIPE, text=True, env=_environment(),
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout


def _environment() -> dict[str, str]:
    """Return the environment, with pip's index for uv to use."""
    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True
    )
    index = os.environ.get("PIP_INDEX_URL") or told.stdout.strip()
    return {**os.environ, **({"UV_DEFAULT_INDEX": index} if index else {})}


def pins_for(python: str, sets: Sequence[str], *options: str) -> list[Pin]:
    """Choose versions that suit all sets together, then find out which set needs which."""
    everything = [each for name in sets for each in requirements_of(name)]
    pins = read(resolve(everything, python, "--generate-hashes", *options))
    members = {name: _names(resolve(requirements_of(name), python, given=pins)) for name in sets}
    return [
        Pin(pin.name, pin.version, pin.hashes, tuple(name for name in sets if pin.name in members[name]))
        for pin in pins
    ]


def _names(text: str) -> set[str]:
    return {line.partition("==")[0] for line in text.splitlines()}


def moves(old: Iterable[Pin], new: Iterable[Pin]) -> list[str]:
    """Return a line for each package that moved, came or went."""
    before = {(pin.name, pin.marker): pin for pin in old}
    after = {(pin.name, pin.marker): pin for pin in new}
    lines = []
    for key in sorted(before.keys() | after.keys()):
        was, is_now = before.get(key), after.get(key)
        if was is None and is_now is not None:
            lines.append(f"{is_now.name}: new, {is_now.version}")
        elif was is not None and is_now is None:
            lines.append(f"{was.name}: gone, was {was.version}")
        elif was is not None and is_now is not None:
            if was.version != is_now.version:
                lines.append(f"{was.name}: {was.version} → {is_now.version}")
            elif was.hashes != is_now.hashes:
                lines.append(f"{was.name}: {was.version}, other archives")
            elif was.sets != is_now.sets:
                lines.append(f"{was.name}: {was.version}, for {' '.join(is_now.sets)} (was {' '.join(was.sets)})")
    return lines


def _replace(path: Path, pins: list[Pin], heading: str) -> None:
    """Write a file, and say what moved in it."""
    try:
        old = read(path.read_text()) if path.exists() else []
    except Malformed:
        old = []
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(write(pins, heading))
    lines = moves(old, pins)
    print(f"{path.relative_to(ROOT)}: {f'{len(lines)} moved' if lines else 'nothing moved'}, {len(pins)} in all")
    for line in lines:
        print(f"  {line}")


def main() -> None:
    """Write all files anew."""
    note = "`make refresh` writes this file. The comment above each entry names the sets of packages that need it."
    every = {}
    for python in PYTHONS:
        every[python] = pins_for(python, SETS)
        _replace(file_of(python), every[python], f"What Warp is tested with on Python {python}.\n{note}")
    lowest = pins_for(LOWEST_PYTHON, LOWEST_SETS, "--resolution=lowest-direct")
    _replace(LOWEST, lowest, f"The lowest versions that pyproject.toml declares, on Python {LOWEST_PYTHON}.\n{note}")
    hosts = merged({python: chosen(pins, ["run"]) for python, pins in every.items()})
    _replace(
        HOSTS, hosts, "What hosts install beside Warp's own wheel, on every Python.\n`make refresh` writes this file."
    )
    build = merged({python: chosen(pins, ["build"]) for python, pins in every.items()})
    _replace(HOSTS_BUILD, build, "What the wheel for hosts is built with.\n`make refresh` writes this file.")


if __name__ == "__main__":
    main()
