"""Tests of `warp_twisted.demo.directory`: what killed demos leave is removed, and nothing else."""

import fcntl
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.demo import directory as demo_directory
from warp_twisted.demo.directory import DemoDirectory, remove_left_behind


class DemoDirectoryTests(SynchronousTestCase):
    """Directories of demos that run, and of those that do not."""

    def setUp(self) -> None:
        """Use a place of this test's own."""
        self.base = Path(self.mktemp())
        self.base.mkdir()

    def killed(self) -> Path:
        """Make a directory whose demo was killed: the kernel has dropped its lock."""
        demo = DemoDirectory(self.base)
        (demo.path / "ca").mkdir()
        (demo.path / "ca" / "root.key").write_text("secret")
        os.close(demo._lock)
        return demo.path

    def test_private_and_removed(self) -> None:
        """A directory is its user's only, and goes with everything in it."""
        demo = DemoDirectory(self.base)
        (demo.path / "file").write_text("x")
        self.assertEqual(demo.path.stat().st_mode & 0o777, 0o700)
        demo.remove()
        self.assertEqual(list(self.base.iterdir()), [])

    def test_left_behind(self) -> None:
        """That of a killed demo is removed whole; that of a demo that runs stays."""
        running, killed = DemoDirectory(self.base), self.killed()
        self.addCleanup(running.remove)
        self.assertEqual(remove_left_behind(self.base), [killed])
        self.assertEqual(list(self.base.iterdir()), [running.path])
        self.assertEqual(remove_left_behind(self.base), [])

    def test_what_is_no_demo_of_ours(self) -> None:
        """Without a lock file, with a link in its place, or as a link itself, a directory is left alone."""
        for name in ("warp-demo-0", "warp-demo-linked", "else"):
            (self.base / name).mkdir()
        (self.base / "else" / "lock").touch()
        (self.base / "warp-demo-linked" / "lock").symlink_to(Path("..") / "else" / "lock")
        (self.base / "warp-demo-is-link").symlink_to("else")
        self.assertEqual(remove_left_behind(self.base), [])
        self.assertEqual(len(list(self.base.iterdir())), 4)

    def test_of_another_user(self) -> None:
        """What somebody else owns is not touched, even when its lock can be had."""
        killed = self.killed()
        owner = killed.stat().st_uid
        self.patch(os, "getuid", lambda: owner + 1)
        self.assertEqual(remove_left_behind(self.base), [])
        self.assertTrue(killed.exists())

    def test_no_more_than_so_many(self) -> None:
        """A place full of such directories costs a bounded time."""
        self.patch(demo_directory, "MAX_LOOKED_AT", 2)
        for _ in range(3):
            self.killed()
        self.assertEqual(len(remove_left_behind(self.base)), 2)

    def test_found_only_when_locked(self) -> None:
        """The lock file has its name only once it is locked."""
        demo = DemoDirectory(self.base)
        self.addCleanup(demo.remove)
        with (demo.path / "lock").open("rb") as file:
            self.assertRaises(BlockingIOError, fcntl.flock, file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.assertEqual([path.name for path in demo.path.iterdir()], ["lock"])
