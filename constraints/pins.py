"""
The files of pinned versions: what stands in them, and which sets of packages there are.

A file is a requirements file that pip takes as it is. Above each entry a comment names the sets that need it, so one
file serves every environment: the demo installs no linter, and all environments have the same versions.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

DIRECTORY = Path(__file__).parent
ROOT = DIRECTORY.parent

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
LOWEST_PYTHON = "3.11"  # the oldest versions have no wheels for newer ones
LOWEST = DIRECTORY / "lowest.txt"
# What the hosts install: the set `run`, for every Python.
HOSTS = ROOT / "roles/warp_common/files/constraints.txt"
# What a controller builds the wheel for the hosts with.
HOSTS_BUILD = ROOT / "roles/warp_common/files/build.txt"

# `build` is the build backend, `run` what Warp itself needs; the others are pyproject's extras.
SETS = ("build", "run", "deploy", "test", "check", "benchmark", "refresh")
# The lowest versions are for tests; a linter's age says nothing about Warp.
LOWEST_SETS = ("build", "run", "deploy", "test")

_SETS_LINE = re.compile(r"# (?P<sets>[a-z]+(?: [a-z]+)*)")
_PIN_LINE = re.compile(r"(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)==(?P<version>[^\s;\\]+)(?: ; (?P<marker>[^\\]+?))? \\")
_HASH_LINE = re.compile(r" {4}--hash=(?P<hash>sha256:[0-9a-f]{64})(?P<more> \\)?")


class Malformed(Exception):
    """A file is not one that `make refresh` wrote."""


@dataclass(frozen=True)
class Pin:
    """
    One package in one version.

    :param hashes: those of all its archives, "sha256:…".
    :param sets: the sets that need it, in the order of SETS; empty where a file is one set.
    :param marker: the environments that it is for, such as `python_version >= "3.12"`; empty means all.
    """

    name: str
    version: str
    hashes: tuple[str, ...]
    sets: tuple[str, ...] = ()
    marker: str = ""

    def text(self) -> str:
        """Return the entry as it stands in a file."""
        sets = f"# {' '.join(self.sets)}\n" if self.sets else ""
        marker = f" ; {self.marker}" if self.marker else ""
        hashes = " \\\n".join(f"    --hash={each}" for each in self.hashes)
        return f"{sets}{self.name}=={self.version}{marker} \\\n{hashes}\n"


def file_of(python: str) -> Path:
    """Return the file for a Python, such as "3.11"."""
    return DIRECTORY / f"python{python}.txt"


def read(text: str) -> list[Pin]:
    """
    Read a file.

    :raises Malformed: naming the line that is not understood.
    """
    return list(_read(iter(enumerate(text.splitlines(), 1))))


def _read(lines: Iterator[tuple[int, str]]) -> Iterator[Pin]:
    sets: tuple[str, ...] = ()
    for number, line in lines:
        if line.startswith("#") or not line:
            match = _SETS_LINE.fullmatch(line)
            words = tuple(match["sets"].split()) if match else ()
            sets = words if set(words) <= set(SETS) else ()
            continue
        entry = _PIN_LINE.fullmatch(line)
        if entry is None:
            raise Malformed(f"line {number}: expected NAME==VERSION and its hashes, got {line!r}")
        hashes = []
        for number, line in lines:
            match = _HASH_LINE.fullmatch(line)
            if match is None:
                raise Malformed(f"line {number}: expected --hash=sha256:…, got {line!r}")
            hashes.append(match["hash"])
            if not match["more"]:
                break
        yield Pin(entry["name"], entry["version"], tuple(hashes), sets, entry["marker"] or "")
        sets = ()


def write(pins: Iterable[Pin], heading: str) -> str:
    """
    Return the text of a file.

    :param heading: its first lines, without the comment signs.
    """
    head = "".join(f"# {line}\n" for line in heading.splitlines())
    return f"{head}\n" + "".join(pin.text() for pin in sorted(pins, key=lambda pin: (pin.name, pin.marker)))


def chosen(pins: Iterable[Pin], sets: Collection[str]) -> list[Pin]:
    """Return the pins that any of these sets needs."""
    return [pin for pin in pins if not set(sets).isdisjoint(pin.sets)]


def merged(by_python: dict[str, list[Pin]]) -> list[Pin]:
    """
    Join the pins of several Pythons into one list that serves them all, by markers where they differ.

    The first and the last Python's entries are for older and newer ones too: the role decides which Pythons it takes.

    :param by_python: the pins of each, oldest Python first; their sets are left out.
    """
    pythons = list(by_python)
    found: dict[Pin, list[int]] = {}
    for number, pins in enumerate(by_python.values()):
        for pin in pins:
            found.setdefault(Pin(pin.name, pin.version, pin.hashes), []).append(number)
    joined = []
    for pin, at in found.items():
        if at != list(range(at[0], at[-1] + 1)):
            raise ValueError(f"{pin.name} {pin.version} is for some Pythons and not for one between them")
        bounds = []
        if at[0] > 0:
            bounds.append(f'python_version >= "{pythons[at[0]]}"')
        if at[-1] < len(pythons) - 1:
            bounds.append(f'python_version < "{pythons[at[-1] + 1]}"')
        joined.append(Pin(pin.name, pin.version, pin.hashes, (), " and ".join(bounds)))
    return joined
