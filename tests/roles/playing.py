"""
Runs of ansible-playbook on this machine, and what each task of one came to.

Nothing of the operator's own is heard: no configuration but the checkout's, no environment of Ansible's, no SSH login.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.roles.tree import ROOT

PATIENCE = 120.0


@dataclass(frozen=True, kw_only=True)
class Result:
    """
    What one task came to on one host.

    :ivar returned: what its module returned; of a loop, `results` has each turn.
    """

    host: str
    task: str
    failed: bool
    returned: Mapping[str, Any]

    @property
    def changed(self) -> bool:
        """Whether the task says that it changed something."""
        return bool(self.returned.get("changed"))

    def turns(self) -> Iterator[Mapping[str, Any]]:
        """Yield what was returned of each turn of a loop, those left out excepted."""
        for each in self.returned.get("results", ()):
            if not each.get("skipped"):
                yield each


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: what was printed, and each task's result in order."""

    returncode: int
    output: str
    results: tuple[Result, ...]

    def named(self, task: str) -> Result:
        """Return the result of the only task of a name."""
        (found,) = (each for each in self.results if each.task == task)
        return found


def environment(results: Path) -> dict[str, str]:
    """Return the environment of a run that notes each result in a file."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "SSH_"))}
    return kept | {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).with_name("callback")),
        "ANSIBLE_CALLBACKS_ENABLED": "results",
        "ANSIBLE_GATHERING": "explicit",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCAL_TEMP": str(results.with_name("ansible")),
        "LC_ALL": "C.UTF-8",
        "WARP_RESULTS": str(results),
    }


def program(name: str = "ansible-playbook") -> str:
    """Return the path of one of Ansible's programs, beside this Python."""
    return str(Path(sys.executable).with_name(name))


def play(directory: Path, playbook: Path, *arguments: str) -> Run:
    """
    Run a playbook to its end, whatever that is.

    :param directory: for what the run writes by the way.
    """
    results = directory / "results"
    results.unlink(missing_ok=True)
    done = subprocess.run(
        [program(), str(playbook), *arguments],
        cwd=directory,
        env=environment(results),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return Run(returncode=done.returncode, output=done.stdout + done.stderr, results=read_results(results))


def read_results(path: Path) -> tuple[Result, ...]:
    """Read what the plugin `callback.results` wrote."""
    lines = path.read_text().splitlines() if path.exists() else ()
    return tuple(Result(**json.loads(line)) for line in lines)
