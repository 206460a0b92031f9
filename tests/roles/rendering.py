"""What the roles would write on the hosts of an inventory: `render.yml`, played without a host."""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.roles.playing import play
from tests.roles.tree import ROOT

EXAMPLE = ROOT / "inventory.example"
_COMMENT = re.compile(r"^(?P<indent> *)# (?P<setting>[a-z_]+:(?: .*)?|- .*)$")
_CONTINUED = re.compile(r"^(?P<indent> *)# (?P<setting>  .*)$")


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """
    What one play came to.

    :ivar files: by host and name; an agent's configuration is `INSTANCE.yaml`, a socket's unit `warp-edge-NAME.socket`.
    :ivar refusals: by host, what its roles said against its variables.
    """

    files: Mapping[str, Mapping[str, str]]
    refusals: Mapping[str, str]
    output: str


def render(directory: Path, inventory: Path, variables: Mapping[str, Any] | None = None) -> Rendering:
    """
    Play `render.yml` for an inventory, which the play may write its secrets beside.

    :param variables: by `--extra-vars`, which win over those that the playbooks set.
    """
    extra = ("--extra-vars", json.dumps(variables)) if variables else ()
    run = play(directory, Path(__file__).with_name("render.yml"), "--inventory", str(inventory), *extra)
    files: dict[str, dict[str, str]] = {}
    refusals: dict[str, str] = {}
    for result in run.results:
        if result.failed:
            said = [turn["msg"] for turn in result.turns() if turn.get("failed")]
            refusals[result.host] = "\n".join([*said, result.returned.get("msg") or result.returned["censored"]])
        elif result.task.startswith("Render"):
            for turn in result.turns():
                item = turn["item"]
                if isinstance(item, dict):
                    name = f"warp-edge-{item['name']}.socket" if "port" in item else f"{item['name']}.yaml"
                else:
                    name = item[1]
                files.setdefault(result.host, {})[name] = turn["msg"]
    return Rendering(files=files, refusals=refusals, output=run.output)


def copy_example(into: Path, *, one_host: bool) -> Path:
    """Copy an example inventory, as an operator does."""
    source = EXAMPLE / "one-host" if one_host else EXAMPLE
    return Path(shutil.copytree(source, into, ignore=shutil.ignore_patterns("one-host", "secrets")))


def uncomment(inventory: Path) -> None:
    """Set every variable that an inventory shows in a comment."""
    for path in (inventory / "group_vars").glob("*.yml"):
        path.write_text(uncommented(path.read_text()))


def uncommented(text: str) -> str:
    """Return a file with its settings that were comments; prose stays."""
    lines = []
    is_setting = False
    for line in text.splitlines():
        match = _COMMENT.match(line) or (_CONTINUED.match(line) if is_setting else None)
        is_setting = match is not None
        lines.append(match["indent"] + match["setting"] if match else line)
    return "\n".join(lines) + "\n"


def write_inventory(path: Path, groups: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Path:
    """
    Write an inventory of one file.

    :param groups: group → host → its variables; `only` names the roles that are looked at, instead of the groups'.
    """
    children = {group: {"hosts": dict(hosts)} for group, hosts in groups.items()}
    path.write_text(yaml.safe_dump({"all": {"vars": {"warp_zone": "warp.example"}, "children": children}}))
    return path
