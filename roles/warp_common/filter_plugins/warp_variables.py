"""Filters of check.yml: variables of the inventory that nothing reads, what may have been meant, and its programs."""

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path

import yaml

# What the playbooks read beside the roles' variables; inventory.example explains each.
OF_THE_FLEET = (
    "warp_zone",
    "warp_other_names",
    "warp_addresses",
    "warp_private_addresses",
    "warp_hidden_primary",
    "warp_policy",
    "warp_policy_files",
)
# Facts that a role sets for others, and what upgrade.yml takes.
OF_A_RUN = (
    *("warp_common_back", "warp_common_good", "warp_common_services", "warp_common_venv"),
    *("warp_fleet_answering", "warp_fleet_checked", "warp_rollback", "warp_watch_seconds"),
)


CHECKOUT = Path(__file__).parents[3]


def known() -> set[str]:
    """Return the names of all variables that may be set: the roles' argument specs and playbooks/vars say so."""
    found = {*OF_THE_FLEET, *OF_A_RUN}
    for path in sorted(CHECKOUT.glob("roles/*/meta/argument_specs.yml")):
        found |= yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"].keys()
    for path in sorted(CHECKOUT.glob("playbooks/vars/*.yml")):
        found |= yaml.safe_load(path.read_text()).keys()
    return found


def warp_unknown(names: Iterable[str]) -> list[str]:
    """Return a sentence for each `warp_` name that nothing reads, with the nearest that is read."""
    right = known()
    sentences = []
    for name in sorted(set(names) - right):
        near = difflib.get_close_matches(name, sorted(right), n=1)
        sentences.append(f"{name}: no role reads it" + (f"; did you mean {near[0]}?" if near else ""))
    return sentences


def warp_checkout(path: str) -> str:
    """Return the place of a file of this checkout, however the playbook was called."""
    return str(CHECKOUT / path)


class FilterModule:
    """What Ansible asks for the filters."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {"warp_checkout": warp_checkout, "warp_unknown": warp_unknown}
