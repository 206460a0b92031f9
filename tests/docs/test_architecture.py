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
        self.assertEqual(len(walks), 4)
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
