"""Tests of `warp_twisted.cli.local`."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.cli.local import DemoInfo, announce_demo, demo_directory, find_demo

INFO = DemoInfo(
    admin="/run/x/admin.sock",
    zone="warp.localhost",
    http_port=8080,
    https_port=8443,
    dns_port=5300,
    tunnel_port=7844,
    pid=os.getpid(),
)


class DemoFileTests(SynchronousTestCase):
    """Finding a demo by the file it leaves."""

    def setUp(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir(mode=0o700)
        before = os.environ.get("XDG_RUNTIME_DIR")
        self.addCleanup(self.restore, before)
        os.environ["XDG_RUNTIME_DIR"] = str(directory)
        self.directory = directory

    def restore(self, before: str | None) -> None:
        """Put the environment back."""
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before

    def test_no_demo(self) -> None:
        """Without a file there is no demo."""
        self.assertIsNone(find_demo())

    def test_what_is_announced_is_found(self) -> None:
        """A running demo is found with everything it said, in a file that only its user reads."""
        path = announce_demo(INFO)
        self.assertEqual(find_demo(), INFO)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        path.unlink()
        self.assertIsNone(find_demo())

    def test_a_demo_that_was_killed_is_none(self) -> None:
        """A file whose process is gone is not believed, and does not stop the next demo."""
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        announce_demo(msgspec.structs.replace(INFO, pid=gone.pid))
        self.assertIsNone(find_demo())
        announce_demo(INFO)
        self.assertEqual(find_demo(), INFO)

    def test_the_newest_of_several(self) -> None:
        """Of several demos the newest is found, and when it ends, the one before."""
        older = announce_demo(INFO)
        other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.addCleanup(other.communicate)
        newer = msgspec.structs.replace(INFO, pid=other.pid, started_at=1.0)
        path = announce_demo(newer)
        self.assertEqual(find_demo(), newer)
        path.unlink()
        self.assertEqual(find_demo(), INFO)
        self.assertTrue(older.exists())

    def test_files_of_others_are_not_believed(self) -> None:
        """A file or directory that others may write, a link, and anything that is no such file are ignored."""
        path = announce_demo(INFO)
        path.chmod(0o666)
        self.assertIsNone(find_demo())
        path.chmod(0o600)
        self.directory.chmod(0o777)
        self.assertIsNone(find_demo())
        self.assertRaises(PermissionError, announce_demo, INFO)
        self.directory.chmod(0o700)
        for content in (b"", b"[]", b'{"pid": 0}', b"\xff"):
            path.write_bytes(content)
            self.assertIsNone(find_demo())
        announce_demo(INFO).rename(self.directory / "elsewhere")
        path.symlink_to(self.directory / "elsewhere")
        self.assertIsNone(find_demo())

    def test_without_a_runtime_directory(self) -> None:
        """Where the system has no runtime directory, it is one of this user's own under /tmp."""
        os.environ["XDG_RUNTIME_DIR"] = str(self.directory / "missing")
        self.assertEqual(demo_directory(), Path(f"/tmp/warp-demo-{os.getuid()}"))
