#!/usr/bin/python
"""Ansible module: which releases of Warp are whole on a host, and which one each service's unit names."""

DOCUMENTATION = r"""
---
module: warp_release_info
short_description: Which releases of Warp a host has, and which ones its services run
description:
  - A release counts when its installation was finished. One that a unit names and that is not there does not count.
options:
  root:
    description: Directory that holds C(releases/).
    type: path
    default: /opt/warp
  units:
    description: Directory of the services' units.
    type: path
    default: /etc/systemd/system
  command:
    description: The link to the command of the release that was installed last.
    type: path
    default: /usr/local/bin/warp
  keep:
    description: How many releases are not old in any case, the current one among them.
    type: int
    default: 2
  serve:
    description: Whether the releases that services run were just seen to serve, so that they are good, and none is bad.
    type: bool
    default: false
author:
  - The Warp authors
"""

EXAMPLES = r"""
- name: Find the releases
  warp_release_info:
  register: found

- name: Report what the edge runs
  ansible.builtin.debug:
    msg: "{{ found.services['warp-edge'] | default('nothing') }}"
"""

RETURN = r"""
releases:
  description: Directories of the releases that are whole, the newest first.
  type: list
  elements: str
  returned: always
services:
  description: The release that each service's unit names, by the unit's name without its suffix, where it is whole.
  type: dict
  returned: always
good:
  description: Releases with which a service of this host was seen to serve, the latest of them first; none of C(bad).
  type: list
  elements: str
  returned: always
bad:
  description: Directories of the releases that are recorded as bad, whether or not they are there.
  type: list
  elements: str
  returned: always
back:
  description:
    - The one of C(good) before the latest, if that, or one that was not seen to serve, runs; empty if there is none.
    - The one that runs, if it is older than the latest of C(good), as this host has gone back then.
  type: str
  returned: always
current:
  description: The release that was installed last, or else the newest; empty if there is none.
  type: str
  returned: always
unmarked:
  description: With O(serve), releases that services run and that have no mark of a good one yet.
  type: list
  elements: str
  returned: always
forgiven:
  description: With O(serve), releases that services run and that are recorded as bad; they are not among C(bad).
  type: list
  elements: str
  returned: always
old:
  description:
    - Directories of those that may be removed. O(keep) of all stay, the current one and then the newest that are not
      bad; so do those that a unit names or a process runs, the two of C(good) that served last, and the one of C(back).
  type: list
  elements: str
  returned: always
"""

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

# What an installation writes last, and what is written when a service was seen to serve with it.
COMPLETE = ".complete"
GOOD = ".good"
SERVED_LAST = 2  # of the good ones, that are never old


def marked(root: Path, mark: str) -> list[str]:
    """Return the directories of the releases that have a mark, the one that got it last first."""
    found = [(path.stat().st_mtime, str(path.parent)) for path in root.glob(f"releases/*/{mark}")]
    return [path for _, path in sorted(found, reverse=True)]


def recorded_as_bad(root: Path) -> list[str]:
    """Return the directories of the releases that a run left again: each has a file of its name, with the reason."""
    return [str(root / "releases" / path.name) for path in sorted(root.glob("bad/[!.]*"))]


def services(units: Path) -> dict[str, str]:
    """Return the release that each unit starts, whether or not it is there."""
    found = {}
    for path in sorted(units.glob("warp-*.service")):
        start = re.search(r"^ExecStart=(?P<release>/\S+)/bin/(twistd|warp-keeper)\s", path.read_text(), re.MULTILINE)
        if start is not None:
            found[path.stem.removesuffix("@")] = start["release"]
    return found


def in_use(root: Path, processes: Path) -> set[str]:
    """Return the releases that processes run, such as an edge's that finishes what is open while another serves."""
    found = set()
    for path in processes.glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended just now
            for word in path.read_bytes().decode("utf-8", "replace").split("\0"):
                match = re.match(rf"{re.escape(str(root))}/releases/[^/]+(?=/bin/)", word)
                found |= {match[0]} if match else set()
    return found


def before(good: list[str], running: set[str]) -> str:
    """
    Return the release to go back to, or an empty string.

    The same for services that have gone back as for those of the host that have not yet, so that a run that was cut
    short is taken up by the next.
    """
    newest = min((good.index(release) if release in good else -1 for release in running), default=-1)
    has_gone_back = newest > 0
    return next(iter(good[newest if has_gone_back else newest + 1 :]), "")


def beside(root: Path, current: str) -> list[str]:
    """Return the directories of all other releases, also of those that are not whole, the newest first."""
    found = (path for path in root.glob("releases/[!.]*") if path.is_dir() and not path.is_symlink())
    places = [path for path in found if str(path) != current]
    return [str(path) for path in sorted(places, key=lambda path: path.stat().st_mtime, reverse=True)]


def look(
    root: Path, units: Path, command: Path, keep: int, processes: Path = Path("/proc"), *, serve: bool = False
) -> Mapping[str, object]:
    """Return the module's result."""
    releases = marked(root, COMPLETE)
    named = services(units)
    running = {service: release for service, release in named.items() if release in releases}
    proven = sorted({*running.values()}) if serve else []
    recorded = recorded_as_bad(root)
    bad = [path for path in recorded if path not in proven]
    good = [path for path in marked(root, GOOD) if path in releases and path not in bad]
    unmarked = [path for path in proven if path not in marked(root, GOOD)]
    good = unmarked + good
    linked = str(command.readlink().parent.parent) if command.is_symlink() else ""
    current = linked if linked in releases else next(iter(releases), "")
    back = before(good, set(running.values()))
    others = beside(root, current)
    newest = [path for path in others if path not in bad][: keep - 1]
    kept = {*newest, *named.values(), *good[:SERVED_LAST], back, *in_use(root, processes)}
    return {
        "releases": releases,
        "services": running,
        "good": good,
        "bad": bad,
        "back": back,
        "current": current,
        "unmarked": unmarked,
        "forgiven": [path for path in recorded if path not in bad],
        "old": [path for path in others if path not in kept],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/opt/warp"},
            "units": {"type": "path", "default": "/etc/systemd/system"},
            "command": {"type": "path", "default": "/usr/local/bin/warp"},
            "keep": {"type": "int", "default": 2},
            "serve": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        result = look(
            Path(given["root"]), Path(given["units"]), Path(given["command"]), given["keep"], serve=given["serve"]
        )
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
