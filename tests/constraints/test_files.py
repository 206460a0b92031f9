"""
Tests that the committed files of versions fit pyproject.toml and one another.

Nothing is asked of an index or of this environment: what is committed passes today as it will next year.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from twisted.trial.unittest import SynchronousTestCase

from constraints.pins import (
    HOSTS,
    HOSTS_BUILD,
    LOWEST,
    LOWEST_PYTHON,
    LOWEST_SETS,
    PYTHONS,
    SETS,
    Pin,
    chosen,
    file_of,
    merged,
    read,
)  # fmt: skip
from constraints.refresh import requirements_of

_ADDRESS = re.compile(r"://|--(?:extra-)?index-url|--find-links")


def complaints(pins: Iterable[Pin], requirements: Iterable[str], python: str, name: str) -> list[str]:
    """Return a sentence for each requirement of a set that the pins do not fulfil on a Python."""
    by_name = {pin.name: pin for pin in pins}
    found = []
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"python_version": python}):
            continue
        pin = by_name.get(canonicalize_name(requirement.name))
        if pin is None:
            found.append(f"{requirement.name} is not pinned")
        elif not requirement.specifier.contains(pin.version, prereleases=True):
            found.append(f"{text} is declared, {pin.version} is pinned")
        elif name not in pin.sets:
            found.append(f"{requirement.name} is not in the set {name}")
    return found


class ComplaintsTests(SynchronousTestCase):
    """The comparison itself."""

    def test_samples(self) -> None:
        """A package that is missing, too old, or in another set is said; one that fits is not."""
        pins = [Pin("click", "8.1.0", ("sha256:",), ("run",)), Pin("rich", "14.0", ("sha256:",), ("check",))]
        self.assertEqual(complaints(pins, ["click>=8.1"], "3.11", "run"), [])
        self.assertEqual(
            complaints(pins, ["click>=8.2", "rich", "treq", "tomli; python_version < '3.11'"], "3.11", "run"),
            ["click>=8.2 is declared, 8.1.0 is pinned", "rich is not in the set run", "treq is not pinned"],
        )


class CommittedTests(SynchronousTestCase):
    """The files in constraints/ and in the roles."""

    def each(self) -> Iterable[tuple[Path, str, tuple[str, ...]]]:
        """Yield each file with its Python and its sets."""
        yield from ((file_of(python), python, SETS) for python in PYTHONS)
        yield LOWEST, LOWEST_PYTHON, LOWEST_SETS

    def test_every_requirement_is_pinned_within_its_bounds(self) -> None:
        """Each line of pyproject.toml has its pin in every file, in the set that it stands in."""
        for path, python, sets in self.each():
            pins = read(path.read_text())
            for name in sets:
                self.assertEqual(
                    complaints(pins, requirements_of(name), python, name), [], f"{path.name}: make refresh"
                )

    def test_every_pin_has_sets_that_there_are(self) -> None:
        """Nothing is pinned that no set needs, or twice."""
        for path, _, sets in self.each():
            pins = read(path.read_text())
            self.assertEqual(
                [pin.name for pin in pins if not pin.sets or not set(pin.sets) <= set(sets)], [], path.name
            )
            self.assertEqual(len({pin.name for pin in pins}), len(pins), path.name)

    def test_the_lowest_are_the_declared_bounds(self) -> None:
        """The lower bound that is declared is the version that is tested, so far as archives have such a version."""
        pins = {pin.name: pin.version for pin in read(LOWEST.read_text())}
        differing = {}
        for name in LOWEST_SETS:
            for requirement in map(Requirement, requirements_of(name)):
                (bound,) = requirement.specifier
                pinned = pins[canonicalize_name(requirement.name)]
                if not requirement.specifier.__class__(f"=={bound.version}").contains(pinned):
                    differing[requirement.name] = (bound.version, pinned)
        self.assertEqual(differing, {}, "declare as bound what is tested")

    def test_no_file_names_an_index(self) -> None:
        """Where packages come from is the machine's configuration, not ours."""
        for path in (*(path for path, _, _ in self.each()), HOSTS, HOSTS_BUILD):
            self.assertIsNone(_ADDRESS.search(path.read_text()), path.name)

    def test_hosts_install_what_is_tested(self) -> None:
        """The roles' files are the sets `run` and `build` of all Pythons, joined."""
        by_python = {python: read(file_of(python).read_text()) for python in PYTHONS}
        for path, name in ((HOSTS, "run"), (HOSTS_BUILD, "build")):
            wanted = merged({python: chosen(pins, [name]) for python, pins in by_python.items()})
            self.assertEqual(set(read(path.read_text())), set(wanted), f"{path.name}: make refresh")
