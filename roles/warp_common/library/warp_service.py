#!/usr/bin/python
"""Ansible module: have a service run with the files that are on disk, or else as it ran before."""

DOCUMENTATION = r"""
---
module: warp_service
short_description: Have a service run with the files that are on disk
description:
  - Starts a service that does not run; restarts it when files changed that it reads only when it starts, reloads it
    when others changed. A service with O(hands_over) is reloaded, too, when in its unit only what it starts changed,
    and a new process takes over from the old one. What changed is told by a record of the files that it last came up
    with, not by the tasks of this run, so a run that was cut short is made good by the next. A file that was written
    again counts as changed for a reload, whatever is in it.
  - A service that does not come up with the files of now is given back those that it last came up with, and started
    with them; the task fails and says so.
options:
  name:
    description: The unit.
    type: str
    required: true
  starts_with:
    description: Files that it reads only when it starts, its unit among them.
    type: list
    elements: path
    required: true
  reads:
    description: Files and directories that it reads again when it is reloaded.
    type: list
    elements: path
    default: []
  hands_over:
    description: Whether a reload of the unit brings a new process when V(ExecStart) is another.
    type: bool
    default: false
  sockets:
    description: Units of its sockets. They are closed, and the service stopped, when one of their own files changed.
    type: list
    elements: str
    default: []
  state:
    description: V(restarted) restarts it in any case; V(reloaded) takes only what a reload takes, if it runs.
    type: str
    choices: [started, restarted, reloaded]
    default: started
  wait:
    description: Whether to wait until it has come up. If not, it is not given back its files.
    type: bool
    default: true
  directory:
    description: Where the record is kept, readable by root only.
    type: path
    default: /var/lib/warp-services
  units:
    description: Directory of the sockets' units.
    type: path
    default: /etc/systemd/system
author:
  - The Warp authors
"""

EXAMPLES = r"""
- name: Run the name server
  warp_service:
    name: warp-dns.service
    starts_with: [/etc/systemd/system/warp-dns.service]
    reads: [/etc/warp/dns.yaml, /etc/warp/dns/records.zone]
  check_mode: true
"""

RETURN = r"""
action:
  description: What was done, or would be in check mode; V(handed over) is a reload that brings a new process.
  type: str
  returned: always
  sample: reloaded
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

LAST_LINES = 3
# Of a unit, what a reload takes: the keeper starts another process and hands over to it.
TAKEN_BY_RELOAD = (b"#", b"ExecStart=", b"ExecReload=")
Systemctl = Callable[..., "subprocess.CompletedProcess[str]"]


class Failed(Exception):
    """The service does not run as it should; the message says what was done about it."""


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, whatever that is."""
    return subprocess.run(command, capture_output=True, text=True)


def files_below(places: Sequence[Path]) -> Iterator[Path]:
    """Yield each file that there is, those of directories too, always in the same order."""
    for place in places:
        if place.is_dir():
            yield from (path for path in sorted(place.rglob("*")) if path.is_file())
        elif place.is_file():
            yield place


def digest(places: Sequence[Path], left_out: tuple[bytes, ...] = ()) -> str:
    """
    Condense names and contents of files.

    :param left_out: beginnings of lines that do not count.
    """
    total = hashlib.sha256()
    for path in files_below(places):
        content = path.read_bytes()
        if left_out:
            lines = content.splitlines(keepends=True)
            content = b"".join(line for line in lines if not line.startswith(left_out))
        total.update(f"{path} {len(content)}\n".encode() + content)
    return total.hexdigest()


def replace(path: Path, target: Path) -> None:
    """Put a copy of a file, with its owner and mode, in the place of another: whole, or not at all."""
    half = target.with_name(f".{target.name}.half")
    shutil.copy2(path, half)
    status = path.stat()
    os.chown(half, status.st_uid, status.st_gid)
    half.replace(target)


@dataclass(frozen=True, kw_only=True)
class Service:
    """
    One service, its files, and the record of those that it last came up with.

    :ivar sockets: the unit files of its sockets.
    :ivar record: a directory: `digests.json`, and copies of single files below `files`.
    """

    name: str
    starts_with: Sequence[Path]
    reads: Sequence[Path]
    sockets: Sequence[Path]
    record: Path
    hands_over: bool = False
    run: Systemctl = run

    def systemctl(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Ask systemd for something."""
        return self.run("systemctl", *words)

    def shown(self, name: str) -> str:
        """Return a property of the unit."""
        return self.systemctl("show", "--value", f"--property={name}", self.name).stdout.strip()

    def digests(self) -> dict[str, str]:
        """Condense the files that are on disk now."""
        found = {
            "reads": digest(self.reads),
            "sockets": digest(self.sockets),
            "starts_with": digest(self.starts_with, TAKEN_BY_RELOAD if self.hands_over else ()),
        }
        return found | ({"launch": digest(self.starts_with)} if self.hands_over else {})

    def known(self) -> dict[str, str]:
        """Return the digests of the files that it last came up with; nothing if that is not known."""
        try:
            found = json.loads((self.record / "digests.json").read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def due(self, state: str) -> str:
        """Return what is to be done: started, closed (and started again), restarted, reloaded, or nothing."""
        active, now, known = self.shown("ActiveState"), self.digests(), self.known()
        runs = active in ("active", "reloading", "activating")
        is_to_read = known.get("reads") != now["reads"] or self.was_rewritten()
        if state == "reloaded":
            return "reloaded" if runs and is_to_read else ""
        if runs and known.get("sockets", now["sockets"]) != now["sockets"]:
            return "closed"
        if state == "restarted" or (runs and known.get("starts_with") != now["starts_with"]):
            return "restarted"
        if not runs:
            return "started"
        if known.get("launch") != now.get("launch"):
            return "handed over"
        return "reloaded" if is_to_read else ""

    def was_rewritten(self) -> bool:
        """
        Whether a file that it reads was written since its copy was taken, be it the same again.

        Somebody may have changed it by hand and had the service read that, before a run put it back.
        """
        copies = [(path, self.kept() / path.relative_to("/")) for path in self.reads if path.is_file()]
        return any(copy.is_file() and copy.stat().st_mtime_ns != path.stat().st_mtime_ns for path, copy in copies)

    def act(self, action: str, *, wait: bool) -> None:
        """
        Do what is due and note what it came up with.

        :raises Failed: if it did not come up, after it was given back what it last came up with.
        """
        said = self.ask(action, wait=wait)
        if said:
            raise Failed(f"{self.name} did not come up: {said}. {self.go_back(action)}")
        self.note(only_reads=action == "reloaded")

    def ask(self, action: str, *, wait: bool) -> str:
        """Let systemd do it; return what is wrong, or nothing."""
        block = () if wait else ("--no-block",)
        self.systemctl("daemon-reload")
        if action in ("reloaded", "handed over"):
            done = self.systemctl("reload", *block, self.name)
            return self.why(done.stderr) if done.returncode else ""
        names = [path.name for path in self.sockets]
        if action == "closed":
            self.systemctl("stop", *names, self.name)
        commands = [["restart", *block, self.name]]
        if names:
            commands.insert(0, ["start", *names])
        for command in commands:
            done = self.systemctl(*command)
            if done.returncode:
                return self.why(done.stderr)
        return ""

    def why(self, said: str) -> str:
        """Return the last lines of its log, or else what systemctl said."""
        invocation = self.shown("InvocationID")
        found = self.run(
            "journalctl", "--quiet", "--no-pager", "--output=cat", f"--lines={LAST_LINES}",
            f"_SYSTEMD_INVOCATION_ID={invocation}",
        )  # fmt: skip
        return " / ".join((found.stdout or said).split("\n")).strip(" /") or "no reason is known"

    def kept(self) -> Path:
        """Return where the copies are, each at its own path below."""
        return self.record / "files"

    def note(self, *, only_reads: bool) -> None:
        """
        Record what it came up with: the copies first, so that digests never tell of copies that are not there.

        A directory is not copied, nor what lies where somebody else than root may write: it could be a link by then.
        """
        now = self.digests()
        taken = [*self.reads]
        if only_reads:
            now = {**self.known(), "reads": now["reads"]}
        else:
            taken += [*self.starts_with, *self.sockets]
        self.record.mkdir(parents=True, exist_ok=True)
        self.record.parent.chmod(0o700)
        for path in taken:
            if path.is_file() and path.parent.stat().st_uid == 0:
                copy = self.kept() / path.relative_to("/")
                copy.parent.mkdir(parents=True, exist_ok=True)
                replace(path, copy)
        half = self.record / ".digests"
        half.write_text(json.dumps(now))
        half.replace(self.record / "digests.json")

    def go_back(self, action: str) -> str:
        """Put back what it last came up with and start it; return a sentence about that."""
        copies = list(files_below([self.kept()]))
        if not copies:
            return "It never came up before, so there is nothing to go back to"
        for copy in copies:
            replace(copy, Path("/", copy.relative_to(self.kept())))
        if said := self.ask(action, wait=True):
            return f"It does not come up as it was before either: {said}"
        return "It was given back the files that it last came up with, and runs as before"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "starts_with": {"type": "list", "elements": "path", "required": True},
            "reads": {"type": "list", "elements": "path", "default": []},
            "sockets": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["started", "restarted", "reloaded"], "default": "started"},
            "hands_over": {"type": "bool", "default": False},
            "wait": {"type": "bool", "default": True},
            "directory": {"type": "path", "default": "/var/lib/warp-services"},
            "units": {"type": "path", "default": "/etc/systemd/system"},
        },
        supports_check_mode=True,
    )
    given = module.params
    service = Service(
        name=given["name"],
        starts_with=[Path(path) for path in given["starts_with"]],
        reads=[Path(path) for path in given["reads"]],
        sockets=[Path(given["units"], name) for name in given["sockets"]],
        record=Path(given["directory"], given["name"]),
        hands_over=given["hands_over"],
    )
    try:
        action = service.due(given["state"])
        if action and not module.check_mode:
            service.act(action, wait=given["wait"])
        changed = bool(action)
        if given["state"] != "reloaded":
            for name in (*given["sockets"], given["name"]):
                if run("systemctl", "is-enabled", "--quiet", name).returncode:
                    changed = True
                    if not module.check_mode:
                        run("systemctl", "enable", "--quiet", name)
    except Failed as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")
    module.exit_json(changed=changed, action=action or "none")


if __name__ == "__main__":
    main()
