"""
The versions that hosts install: all that the wheel needs, as this environment has it, so as it is tested.

After a change of pyproject's dependencies, `python -m tests.roles.constraints` writes the file anew.
"""

import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FILE = ROOT / "roles/warp_common/files/constraints.txt"
_HEADER = "# The versions that hosts install beside Warp's own wheel: one set, the one that was tested.\n"


def closure() -> dict[str, str]:
    """Return name and version of every package that the wheel needs, directly or not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(text) for text in project["dependencies"]]
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        try:
            installed = distribution(name)
        except PackageNotFoundError as error:
            raise SystemExit(f"{name} is needed and not installed here; run `make test` once") from error
        found[name] = installed.version
        for text in installed.requires or ():
            further = Requirement(text)
            environments = [{"extra": extra} for extra in requirement.extras or {""}]
            if further.marker is None or any(further.marker.evaluate(one) for one in environments):
                wanted.append(further)
    return found


def text() -> str:
    """Return the file as it should be."""
    return _HEADER + "".join(f"{name}=={version}\n" for name, version in sorted(closure().items()))


if __name__ == "__main__":
    FILE.write_text(text())
