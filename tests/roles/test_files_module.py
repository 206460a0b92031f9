"""Tests for the module that writes several files: what changes, what it shows of it, and what a check leaves alone."""

import grp
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.roles.playing import PATIENCE
from tests.roles.tree import LIBRARY


class FilesTests(SynchronousTestCase):
    """`warp_files`, as Ansible runs it."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.mine = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}

    def file(self, name: str, content: str, **more: str) -> dict[str, str]:
        """Return what a task says of a file."""
        return {"path": str(self.directory / name), "content": content, **self.mine, **more}

    def ran(self, *files: Mapping[str, str], **more: bool) -> dict[str, Any]:
        """Run the module, and return its result."""
        arguments = {"files": files, **{f"_ansible_{key}": value for key, value in more.items()}}
        done = subprocess.run(
            [sys.executable, str(LIBRARY / "warp_files.py"), json.dumps({"ANSIBLE_MODULE_ARGS": arguments})],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def test_what_changes(self) -> None:
        """A file that is new, or has other content or permissions, is written and named, and no other."""
        one, two = self.file("one", "1\n", mode="0640"), self.file("two", "zwei: ü\n")
        found = self.ran(one, two)
        self.assertEqual((found["changed"], found["paths"]), (True, [one["path"], two["path"]]))
        self.assertEqual([Path(each["path"]).read_text() for each in (one, two)], ["1\n", "zwei: ü\n"])
        modes = [oct((self.directory / name).stat().st_mode & 0o7777) for name in ("one", "two")]
        self.assertEqual(modes, ["0o640", "0o644"])
        inode = (self.directory / "one").stat().st_ino
        self.assertEqual(self.ran(one, two)["paths"], [])

        (self.directory / "two").write_text("other\n")
        found = self.ran(one, two)
        self.assertEqual(found["paths"], [two["path"]])
        self.assertEqual((found["diff"][0]["before"], found["diff"][0]["after"]), ("other\n", "zwei: ü\n"))
        self.assertEqual((self.directory / "one").stat().st_ino, inode)

        found = self.ran({**one, "mode": "0600"}, two)
        self.assertEqual((found["paths"], found["diff"][0]["after"]), ([one["path"]], ""))
        self.assertEqual((self.directory / "one").stat().st_mode & 0o7777, 0o600)
        self.assertEqual(sorted(os.listdir(self.directory)), ["one", "two"], "nothing is left beside them")

    def test_check(self) -> None:
        """A check says the same and writes nothing."""
        (self.directory / "old").write_text("old\n")
        found = self.ran(self.file("new", "new\n"), self.file("old", "new\n"), check_mode=True)
        self.assertEqual([Path(path).name for path in found["paths"]], ["new", "old"])
        self.assertEqual((self.directory / "old").read_text(), "old\n")
        self.assertEqual(os.listdir(self.directory), ["old"])

    def test_new_permissions_come_with_new_content(self) -> None:
        """The file of before stays whole until the new one takes its place, with its owner and permissions."""
        one = self.file("one", "1\n", mode="0600")
        self.ran(one)
        with (self.directory / "one").open() as before:
            self.ran({**one, "content": "2\n"})
            self.assertEqual(before.read(), "1\n")
        self.assertEqual((self.directory / "one").stat().st_mode & 0o7777, 0o600)

    def test_directory_that_is_not_there(self) -> None:
        """The file is named with the reason, and those before it are written."""
        found = self.ran(self.file("one", "1\n"), self.file("none/two", "2\n"))
        self.assertEqual(found["msg"], f"{self.directory}/none/two: No such file or directory")
        self.assertTrue((self.directory / "one").exists())
