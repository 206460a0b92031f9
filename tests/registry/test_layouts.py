"""Tests of the layouts of the registry's file: each leads to the newest, and who must not read one says so."""

import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.registry import layouts
from warp_twisted.registry.errors import StoreBroken, StoreTooNew
from warp_twisted.registry.layouts import LAYOUTS, NEWEST, Layout
from warp_twisted.registry.sqlite import SqliteStore
from warp_twisted.registry.sqlite_file import FILE


class LayoutTests(SynchronousTestCase):
    """Files of every layout there was, and of one to come."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.path = self.directory / FILE

    def write(self, number: int) -> None:
        """Write a file as the releases of one layout did, with one key in it."""
        folder = resources.files("warp_twisted.registry")
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for layout in LAYOUTS[:number]:
                connection.executescript(folder.joinpath(f"layout-{layout.number}.sql").read_text("utf-8"))
            if number > 1:
                oldest = LAYOUTS[LAYOUTS[number - 1].oldest - 1].release
                connection.execute("UPDATE layout SET number = ?, release = '0.1.0', oldest = ?", (number, oldest))
            connection.execute("INSERT INTO item VALUES ('warp/agents/a-1', x'7b7d', 3, 7)")

    def alter(self, *statements: str) -> None:
        """Change a file, as a later release might have."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    def read(self, statement: str) -> object:
        """Return a row of a file."""
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(statement).fetchone()

    def open(self) -> bytes | None:
        """Open the file as an edge does, and return the value that `write` put there."""
        store = SqliteStore(self.directory, Clock())
        item = self.successResultOf(store.get("warp/agents/a-1"))
        self.successResultOf(store.put("warp/agents/a-2", b"{}"))
        self.successResultOf(store.close())
        return None if item is None else item.value

    def test_table(self) -> None:
        """Layouts are numbered from 1 without a gap; none may be read by releases that are newer than itself."""
        self.assertEqual([layout.number for layout in LAYOUTS], list(range(1, len(LAYOUTS) + 1)))
        for layout in LAYOUTS:
            self.assertLessEqual(layout.oldest, layout.number)
        self.assertEqual([layout.oldest for layout in LAYOUTS], sorted(layout.oldest for layout in LAYOUTS))

    def test_each_leads_to_the_newest(self) -> None:
        """A file of any layout keeps what it holds, and has the newest layout after it was opened; so has a new one."""
        for number in range(len(LAYOUTS) + 1):
            self.path.unlink(missing_ok=True)
            if number:
                self.write(number)
            self.assertEqual(self.open(), b"{}" if number else None)
            oldest = LAYOUTS[NEWEST.oldest - 1].release
            self.assertEqual(self.read("SELECT number, release, oldest FROM layout"), (NEWEST.number, "0.1.0", oldest))
            self.assertEqual(self.read("PRAGMA user_version"), (NEWEST.oldest,))
            self.assertEqual(self.open(), b"{}" if number else None)

    def test_what_older_releases_are_told(self) -> None:
        """The user_version of each layout's file is the oldest layout whose releases may read it."""
        for layout in LAYOUTS:
            self.path.unlink(missing_ok=True)
            self.write(layout.number)
            self.assertEqual(self.read("PRAGMA user_version"), (layout.oldest,))

    def test_newer_and_readable(self) -> None:
        """A file of a later layout that does us no harm is used, and stays what it is."""
        self.write(NEWEST.number)
        self.alter("CREATE TABLE later (key TEXT)", "UPDATE layout SET number = 9, release = '9.0.0', oldest = '0.1.0'")
        layouts.check_file(self.path)
        self.assertEqual(self.open(), b"{}")
        self.assertEqual(self.read("SELECT number, release FROM layout"), (9, "9.0.0"))

    def test_newer_and_not_readable(self) -> None:
        """A file that only later releases may read is refused before anything of it changes, and they are named."""
        self.write(NEWEST.number)
        self.alter("UPDATE layout SET number = 9, release = '9.1.0', oldest = '9.0.0'", "PRAGMA user_version = 8")
        before = self.path.read_bytes()
        for look in (lambda: layouts.check_file(self.path), lambda: SqliteStore(self.directory, Clock())):
            error = self.assertRaises(StoreTooNew, look)
            self.assertIn("was written by Warp 9.1.0, and may be read from Warp 9.0.0 on; this is 0.", str(error))
        self.assertEqual(self.path.read_bytes(), before)

    def test_newer_by_a_number_alone(self) -> None:
        """So is one that does not say by whom it was written."""
        self.write(1)
        self.alter("PRAGMA user_version = 8")
        error = self.assertRaises(StoreTooNew, layouts.check_file, self.path)
        self.assertIn("was written by Warp of a later release", str(error))

    def test_a_policy_keeps_older_releases_away(self) -> None:
        """After the first policy only releases that enforce it may read the file; later layouts lower nothing."""
        self.write(4)
        self.assertEqual((self.open(), self.read("PRAGMA user_version")), (b"{}", (1,)))
        store = SqliteStore(self.directory, Clock())
        self.successResultOf(store.put("warp/policy/current", b'{"number":1}'))
        self.successResultOf(store.close())
        self.assertEqual(self.read("PRAGMA user_version"), (5,))
        self.alter("UPDATE layout SET number = 4")  # as if a later layout were new
        self.assertEqual((self.open(), self.read("PRAGMA user_version")), (b"{}", (5,)))

    def test_all_or_nothing(self) -> None:
        """A step that fails leaves the file as it was, for the release that wrote it."""
        self.write(1)
        self.alter("CREATE TABLE layout_blocker (key TEXT)", "CREATE VIEW layout AS SELECT key FROM layout_blocker")
        self.assertRaises(StoreBroken, SqliteStore, self.directory, Clock())
        self.assertEqual(self.read("PRAGMA user_version"), (1,))
        self.assertEqual(self.read("SELECT count(*) FROM item"), (1,))

    def test_checked_while_in_use(self) -> None:
        """The file of an edge that runs can be looked at, and one that is not there yet; what is none is refused."""
        layouts.check_file(self.path)
        store = SqliteStore(self.directory, Clock())
        self.successResultOf(store.put("warp/agents/a-1", b"{}"))
        layouts.check_file(self.path)
        self.successResultOf(store.close())
        self.path.write_bytes(b"no database at all" * 100)
        self.assertRaises(StoreBroken, layouts.check_file, self.path)

    def test_next_layout(self) -> None:
        """A later release may raise what it takes to read the file; ours would refuse it then."""
        self.write(NEWEST.number)
        later = (*LAYOUTS, Layout(number=NEWEST.number + 1, release="0.2.0", oldest=NEWEST.number + 1))
        self.alter(f"PRAGMA user_version = {later[-1].oldest}", "UPDATE layout SET release = '0.2.0', oldest = '0.2.0'")
        self.assertRaises(StoreTooNew, layouts.check_file, self.path)
