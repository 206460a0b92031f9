"""
When a fresh machine has to be tried again: when what decides about installing differs from what last passed here.

Decided by content, as it is committed, so that it holds in every clone on this machine.
"""

import hashlib
from fnmatch import fnmatchcase
from pathlib import Path

from tests.fleet.place import run

DECIDES = (
    "Makefile", "pyproject.toml", "setup.py", "constraints/*", "*debian-packages.txt", "tests/install-debian-packages",
    "tests/run.py", "tests/fresh/*",
)  # fmt: skip


def state(listing: str) -> str:
    """
    Condense what decides.

    :param listing: `git ls-tree -r HEAD`: a line for each file, with its content's name.
    """
    lines = [
        line for line in listing.splitlines() if any(fnmatchcase(line.partition("\t")[2], each) for each in DECIDES)
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def committed(source: Path) -> str:
    """Return the state of what is committed."""
    return state(run("git", "-c", "safe.directory=*", "-C", source, "ls-tree", "-r", "--full-tree", "HEAD"))


class Stamp:
    """The file that names the state that passed last on this machine."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "passed"

    def is_due(self, now: str) -> bool:
        """Say whether this state has yet to pass."""
        try:
            return self._path.read_text().strip() != now
        except OSError:
            return True

    def passed(self, now: str) -> None:
        """Note that this state passed."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(f"{now}\n")
