"""Clocks for single programs, by Debian's libfaketime: wrong by as much as a file says, and set while they run."""

import shutil
from pathlib import Path

HOUR, DAY, YEAR = 3600.0, 86400.0, 365.25 * 86400.0
STEPS = {
    "1 h behind": -HOUR,
    "1 h ahead": HOUR,
    "2 d behind": -2 * DAY,
    "2 d ahead": 2 * DAY,
    "55 years behind": -55 * YEAR,
}


def library() -> str:
    """
    Return the library that a program has to load first.

    :raises FileNotFoundError: if faketime is not installed.
    """
    if shutil.which("faketime") is None:
        raise FileNotFoundError("faketime is not installed; see tests/debian-packages.txt")
    return str(next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")))


class WrongClock:
    """
    The wall clock of one program; its monotonic clock is the machine's.

    :param path: of the file that says by how much it is wrong.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self.set(0.0)

    @property
    def environment(self) -> dict[str, str]:
        """What the program has to be started with."""
        return {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, ahead: float) -> None:
        """Set it, so many seconds ahead of the true time."""
        fresh = self._path.with_suffix(".new")
        fresh.write_text(f"{ahead:+.0f}\n")
        fresh.rename(self._path)
