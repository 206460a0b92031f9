"""
The tables of variables in the roles' READMEs, written from the argument specs.

After a change of a spec, `python -m tests.roles.readme` writes each table anew; all else is written by hand.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.roles.tree import ROLES, ROOT, described, fleet, options

_HEAD = "| variable | type | default | meaning |\n|---|---|---|---|\n"
_TABLE = re.compile(re.escape(_HEAD) + r"(?:\|.*\n)*")
_MARKUP = re.compile(r"\b[CMO]\((?P<text>[^()]*)\)")


def path(role: str) -> Path:
    """Return where a role's README is."""
    return ROOT / "roles" / role / "README.md"


def table(role: str) -> str:
    """Return the table of a role's variables; those that the playbooks set are marked."""
    rows = []
    for name, option in described(options(role)):
        mark = "† " if name in fleet() else ""
        meaning = mark + _MARKUP.sub(r"`\g<text>`", option["description"])
        rows.append(f"| `{name}` | {_type(option)} | {_default(option)} | {meaning} |\n")
    return _HEAD + "".join(rows)


def updated(text: str, role: str) -> str:
    """
    Return a README with its table as it should be.

    :raises ValueError: if there is no table, or more than one.
    """
    found, count = _TABLE.subn(lambda _: table(role), text)
    if count != 1:
        raise ValueError(f"{path(role)}: expected one table of variables, found {count}")
    return found


def _type(option: Mapping[str, Any]) -> str:
    kind = f"list of {option['elements']}" if "elements" in option else option["type"]
    return f"{kind}: {' or '.join(option['choices'])}" if "choices" in option else str(kind)


def _default(option: Mapping[str, Any]) -> str:
    if option.get("required"):
        return "required"
    return f"`{json.dumps(option['default'])}`" if "default" in option else "none"


if __name__ == "__main__":
    for each in ROLES:
        path(each).write_text(updated(path(each).read_text(), each))
