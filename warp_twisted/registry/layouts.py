"""
The layouts that the registry's file has had, how one leads to the next, and which releases may read it.

A fleet is upgraded edge by edge, and sometimes rolled back, so a file may be met by a release that is older than the
one that wrote it. `PRAGMA user_version` is therefore not the file's own layout but the oldest whose releases may read
and write it: a change that does those no harm leaves it alone, one that they would trip over, or undo, raises it. The
file's own layout, and both releases by name, are in the table `layout`. A file without that table has layout 1.

Some keys raise it when they are first written (`NEEDED_BY_KEYS`): a release that overlooks them would do harm, and a
file without them is still anybody's.

An older release that may read the file leaves its layout as it is. One that may not refuses to start, and says which
release may; so does `--check`, which a deployment runs before it replaces anything.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from warp_twisted import __version__
from warp_twisted.registry.errors import StoreBroken, StoreTooNew


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """
    One layout of the file.

    :ivar number: `layout-NUMBER.sql` leads to it from the one before.
    :ivar release: which brought it.
    :ivar oldest: the number of the oldest layout whose releases may read and write a file of this one.
    """

    number: int
    release: str
    oldest: int


LAYOUTS = (
    Layout(number=1, release="0.1.0", oldest=1),
    Layout(number=2, release="0.1.0", oldest=1),
    Layout(number=3, release="0.1.0", oldest=1),
    Layout(number=4, release="0.1.0", oldest=1),
    Layout(number=5, release="0.1.0", oldest=1),
    Layout(number=6, release="0.1.0", oldest=1),
    Layout(number=7, release="0.1.0", oldest=1),
)
NEWEST = LAYOUTS[-1]
# Keys that older releases would overlook to harm: prefix → the oldest layout whose releases may read a file with one.
NEEDED_BY_KEYS = {"warp/policy/": 5}  # without it an edge would let everything through


def upgrade(connection: sqlite3.Connection) -> None:
    """Bring a file that `check` has passed to the newest layout, in one transaction, or leave it if it is newer."""
    number = _number_of(connection)
    if number >= NEWEST.number:
        return
    folder = resources.files("warp_twisted.registry")
    steps = [folder.joinpath(f"layout-{each.number}.sql").read_text("utf-8") for each in LAYOUTS[number:]]
    oldest = max(NEWEST.oldest, _oldest_of(connection))  # what keys have raised stays
    connection.executescript("\n".join(["BEGIN IMMEDIATE;", *steps]))
    connection.execute("UPDATE layout SET number = ?, release = ?", (NEWEST.number, __version__))
    _let_in_from(connection, oldest)
    connection.execute("COMMIT")


def keys_written(connection: sqlite3.Connection, keys: Iterable[str]) -> None:
    """Keep releases away from a file that would overlook one of these keys to harm; within the transaction."""
    needed = max(
        (number for key in keys for prefix, number in NEEDED_BY_KEYS.items() if key.startswith(prefix)), default=0
    )
    if needed > _oldest_of(connection):
        _let_in_from(connection, needed)


def _oldest_of(connection: sqlite3.Connection) -> int:
    (oldest,) = connection.execute("PRAGMA user_version").fetchone()
    return int(oldest)


def _let_in_from(connection: sqlite3.Connection, oldest: int) -> None:
    connection.execute(f"PRAGMA user_version = {oldest}")  # takes no parameters
    connection.execute("UPDATE layout SET oldest = ?", (LAYOUTS[oldest - 1].release,))


def check(connection: sqlite3.Connection, path: Path) -> None:
    """
    Refuse a file that only newer releases may read.

    :param path: where it is, for the message.
    :raises StoreTooNew: naming them.
    """
    oldest = _oldest_of(connection)
    if oldest <= NEWEST.number:
        return
    found = connection.execute("SELECT release, oldest FROM layout").fetchone() if _has_table(connection) else None
    written, needed = found or ("of a later release", "that one")
    raise StoreTooNew(
        f"{path} was written by Warp {written}, and may be read from Warp {needed} on; this is {__version__}. Install"
        " one that may, or put back a copy of the file from before the upgrade"
    )


def check_file(path: Path) -> None:
    """
    Look at a registry's file without changing it, whether it is in use or not.

    :raises StoreTooNew: if this release must not read it.
    :raises StoreBroken: if it is no registry.
    """
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            check(connection, path)
    except sqlite3.Error as error:
        raise StoreBroken(f"{path}: {error}") from error


def _has_table(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'layout'").fetchone()
    return found is not None


def _number_of(connection: sqlite3.Connection) -> int:
    """Return the layout that a file has, 0 if it is empty."""
    if _has_table(connection):
        (number,) = connection.execute("SELECT number FROM layout").fetchone()
        return int(number)
    return _oldest_of(connection)
