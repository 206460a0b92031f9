"""What the roles' files say, as plain values: specs, defaults, tags, modules and filters."""

import functools
import importlib.util
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
ROLES = tuple(sorted(path.name for path in (ROOT / "roles").iterdir()))
PLAYBOOKS = tuple(sorted((ROOT / "playbooks").glob("*.yml")))
LIBRARY = ROOT / "roles/warp_common/library"
MODULES = tuple(sorted(path.stem for path in LIBRARY.glob("*.py")))
_FLEET = ROOT / "playbooks/vars/fleet.yml"


def read(path: Path) -> Any:
    """Read a YAML file; None if it is not there."""
    return yaml.safe_load(path.read_text()) if path.exists() else None


def specs(role: str) -> Mapping[str, Mapping[str, Any]]:
    """Return a role's argument specs by entry point."""
    found: Mapping[str, Mapping[str, Any]] = read(ROOT / "roles" / role / "meta/argument_specs.yml")["argument_specs"]
    return found


def options(role: str) -> Mapping[str, Mapping[str, Any]]:
    """Return a role's variables, each with what its spec says of it."""
    found: Mapping[str, Mapping[str, Any]] = specs(role)["main"]["options"]
    return found


def described(specified: Mapping[str, Mapping[str, Any]], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each option and, below it, those of its items, as `warp_agent_instances[].name`."""
    for name, option in specified.items():
        yield path + name, option
        yield from described(option.get("options", {}), f"{path}{name}[].")


def defaults(role: str) -> Mapping[str, Any]:
    """Return a role's defaults."""
    return read(ROOT / "roles" / role / "defaults/main.yml") or {}


@functools.cache
def fleet() -> Mapping[str, Any]:
    """Return what the playbooks set for the roles, unresolved."""
    found: Mapping[str, Any] = read(_FLEET)
    return found


def tags(role: str) -> set[str]:
    """Return the tags that a role's tasks carry, but for `always`."""
    return {tag for task in read(ROOT / "roles" / role / "tasks/main.yml") for tag in task["tags"]} - {"always"}


def words(role: str) -> set[str]:
    """Return every word that begins with `warp_` or `_warp_` in what a role does, its specs and defaults excepted."""
    places = ("tasks", "templates", "vars")
    files = [path for place in places for path in (ROOT / "roles" / role / place).glob("*")]
    return {word for path in files for word in re.findall(r"\b_?warp_\w+", path.read_text())}


def load(path: Path) -> ModuleType:
    """Import a plugin from its file, which is in no package."""
    spec = importlib.util.spec_from_file_location(f"tests.roles.loaded.{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def filters(role: str) -> Mapping[str, Callable[..., Any]]:
    """Return the filters that a role brings."""
    found: dict[str, Callable[..., Any]] = {}
    for path in sorted((ROOT / "roles" / role / "filter_plugins").glob("*.py")):
        found |= load(path).FilterModule().filters()
    return found
