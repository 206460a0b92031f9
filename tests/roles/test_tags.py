"""Test that each tag of a role can be run alone: what a part reads of another's results is there, or has a default."""

import re
from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.roles.tree import ROLES, ROOT, read

_RESULT = re.compile(r"(?<!\w)(?P<name>__warp_\w+)(?P<has_default> \| default\()?")
_REGISTERED = re.compile(r"register: (__warp_\w+)")
_INCLUDED = re.compile(r"(?:include|import)_tasks: (\S+)")


def whole(role: str, file: str) -> str:
    """Return a file of tasks with those that it includes."""
    text = (ROOT / "roles" / role / "tasks" / file).read_text()
    return text + "".join(whole(role, included) for included in _INCLUDED.findall(text))


def resolved(text: str, variables: Mapping[str, object]) -> str:
    """Return a text with the role's own variables that it uses, and those that they use."""
    used = [name for name in variables if re.search(rf"(?<!\w){name}(?!\w)", text)]
    rest = {name: value for name, value in variables.items() if name not in used}
    return text + "".join(resolved(f"\n{variables[name]}", rest) for name in used)


def file_of(part: Mapping[str, Any]) -> str:
    """Return the file of a part of `main.yml`; one that a run may leave out is included, not imported."""
    file: str = part.get("ansible.builtin.import_tasks") or part["ansible.builtin.include_tasks"]["file"]
    return file


class TagTests(SynchronousTestCase):
    """Every role."""

    def test_each_part_stands_alone(self) -> None:
        """A part reads results only of itself, of parts that run whenever it does, or with a default."""
        found = []
        for role in ROLES:
            variables = read(ROOT / "roles" / role / "vars/main.yml") or {}
            parts = {file_of(part): set(part["tags"]) for part in read(ROOT / "roles" / role / "tasks/main.yml")}
            registered = {file: set(_REGISTERED.findall(whole(role, file))) for file in parts}
            skippable = {file_of(part) for part in read(ROOT / "roles" / role / "tasks/main.yml") if "when" in part}
            for file, tags in parts.items():
                sure = {
                    name
                    for other, names in registered.items()
                    if other == file or (other not in skippable and ("always" in parts[other] or tags <= parts[other]))
                    for name in names
                }
                text = resolved(whole(role, file), variables)
                found += [
                    f"{role}/{file}: {match['name']}"
                    for match in _RESULT.finditer(text)
                    if match["name"] not in sure and not match["has_default"]
                ]
        self.assertEqual(found, [])
