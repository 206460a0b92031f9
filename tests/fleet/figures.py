"""Figures that the tests measure on their way, kept for docs/deploy.md: one JSON object that fleets share."""

import fcntl
import json

from tests.fleet.place import Place


def note(what: str, value: float) -> None:
    """Keep a figure, seconds unless its name says otherwise; the last run's is the one that counts."""
    path = Place().shared / "figures.json"
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        figures = json.loads(file.read() or "{}")
        figures[what] = round(value, 2)
        file.truncate(0)
        file.write(json.dumps(figures, indent=2, sort_keys=True))
