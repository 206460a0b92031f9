"""Figures that the tests measure on their way, kept for docs/deploy.md: one JSON object in the place's directory."""

import json

from tests.fleet.place import Place


def note(what: str, value: float) -> None:
    """Keep a figure, seconds unless its name says otherwise; the last run's is the one that counts."""
    path = Place().directory / "figures.json"
    figures = json.loads(path.read_text()) if path.exists() else {}
    figures[what] = round(value, 2)
    path.write_text(json.dumps(figures, indent=2, sort_keys=True))
