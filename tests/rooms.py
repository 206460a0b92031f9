"""
The table of rooms in docs/architecture.md: each wing, its layer, and what it imports, lowest first.

`python -m tests.rooms` writes it; `tests.test_layers` compares.
"""

import ast
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.layers import between_wings, imports_of, layer_of, wing_of

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "architecture.md"
BEGIN = "<!-- rooms: written by python -m tests.rooms -->\n"
END = "<!-- end of rooms -->\n"
_PACKAGES = ((ROOT, "warp_twisted"), (ROOT / "dns", "warp_dns"), (ROOT / "dns", "warp_base"))


def sources() -> Iterator[tuple[str, bool, Path]]:
    """Yield name, whether it is a package, and path of each of our modules."""
    for base, package in _PACKAGES:
        for path in sorted((base / package).rglob("*.py")):
            if "_dropins" in path.parts:
                continue
            parts = path.relative_to(base).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            yield ".".join(parts[:-1] if is_package else parts), is_package, path


def package_names() -> set[str]:
    """Return the names of our packages."""
    return {name for name, is_package, _ in sources() if is_package}


@cache
def imported() -> dict[str, list[tuple[int, str]]]:
    """Return module → line and name of all that it imports, for type checking or not."""
    modules = list(sources())
    known = {name for name, _, _ in modules}
    return {
        name: list(imports_of(name, is_package, ast.parse(path.read_text()), known))
        for name, is_package, path in modules
    }


def module_imports() -> dict[str, frozenset[str]]:
    """Return module → our other modules that it imports."""
    known = imported().keys()
    return {name: frozenset({target for _, target in found} & known) - {name} for name, found in imported().items()}


def lowest_first(wings: Mapping[str, Collection[str]]) -> list[str]:
    """Return the wings so that each stands after all that it imports, as far as there are no circles."""
    done: list[str] = []
    waiting = sorted(wings)
    while waiting:
        free = [wing for wing in waiting if not (set(wings[wing]) & set(waiting)) - {wing}] or waiting[:1]
        done += free
        waiting = [wing for wing in waiting if wing not in free]
    return done


def table(imports: Mapping[str, Collection[str]], packages: Collection[str]) -> str:
    """Return the table as Markdown."""
    wings = between_wings(imports, packages)
    rows = ["| room | layer | imports |", "|---|---|---|"]
    for wing in lowest_first(wings):
        modules = [module for module in imports if wing_of(module, packages) == wing and module not in packages]
        if not modules and not wings[wing]:
            continue
        layers = sorted({str(layer_of(module)) for module in modules or [wing]})
        targets = ", ".join(f"`{_short(target)}`" for target in sorted(wings[wing])) or "nothing of ours"
        rows.append(f"| `{_short(wing)}` | {', '.join(layers)} | {targets} |")
    return "\n".join(rows) + "\n"


def _short(name: str) -> str:
    return name.removeprefix("warp_twisted.")


def documented() -> str:
    """Return the table as the document has it."""
    return DOCUMENT.read_text().split(BEGIN)[1].split(END)[0]


if __name__ == "__main__":
    before, rest = DOCUMENT.read_text().split(BEGIN)
    DOCUMENT.write_text(before + BEGIN + table(module_imports(), package_names()) + END + rest.split(END)[1])
