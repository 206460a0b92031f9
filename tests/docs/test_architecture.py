"""Tests that docs/architecture.md names files that exist."""

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parents[2]
_FILE = re.compile(r"`((?:[a-z_0-9-]+/)*[a-z_0-9-]+\.(?:py|yml|md))`")
_BASES = (ROOT, ROOT / "warp_twisted", ROOT / "dns" / "warp_dns")
_WALKS = re.compile(r"^## A .*?, step by step\n(.*?)(?=^## )", re.DOTALL | re.MULTILINE)


class ArchitectureTests(SynchronousTestCase):
    """The walks through the rooms."""

    def test_each_file_exists(self) -> None:
        """A file is found from the root, in a package, or in a room that the same walk names."""
        walks = _WALKS.findall((ROOT / "docs" / "architecture.md").read_text())
        self.assertEqual(len(walks), 5)
        missing = []
        for walk in walks:
            names = _FILE.findall(walk)
            self.assertGreater(len(names), 5)
            rooms = {path.parent for name in names for base in _BASES if (path := base / name).is_file()}
            for name in names:
                if not any((place / name).is_file() for place in (*_BASES, *rooms)) and not list(
                    (ROOT / "roles").glob(f"*/{name}")
                ):
                    missing.append(name)
        self.assertEqual(missing, [])

    def test_each_price_names_its_test(self) -> None:
        """Each row of the table of prices ends with a file of tests that exists."""
        text = (ROOT / "docs" / "architecture.md").read_text()
        table = text.split("## What peers control", 1)[1].split("\n## ", 1)[0]
        rows = [row for row in table.splitlines() if row.startswith("| ")][1:]
        self.assertGreater(len(rows), 20)
        for row in rows:
            found = re.search(r"\| `(tests/[a-z_/0-9]+\.py)` \|$", row)
            self.assertTrue(found and (ROOT / found[1]).is_file(), row)
