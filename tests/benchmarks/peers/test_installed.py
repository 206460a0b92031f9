"""`benchmarks.peers.installed`: programs that are built once."""

import dataclasses
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.errors import ProgramMissing
from benchmarks.peers.installed import CHISEL, RATHOLE, Recipe, installed

_RECIPE = Recipe(
    name="thing",
    version="1.2",
    tool="sh",
    command=lambda shell, target: [shell, "-c", f'cp recipe "{target}" && chmod +x "{target}"'],
    files={"recipe": "#!/bin/sh\n"},
)


class InstalledTests(SynchronousTestCase):
    """The cache, and what is not in it."""

    def setUp(self) -> None:
        """Have an empty cache."""
        self.cache = Path(self.mktemp()).resolve()
        self.told: list[str] = []

    def _installed(self, **changes: object) -> Path:
        return installed(dataclasses.replace(_RECIPE, **changes), self.told.append, self.cache)  # type: ignore[arg-type]

    def test_built_once(self) -> None:
        """It is built with the files it needs, which is told; the second time it is there."""
        target = self._installed()
        self.assertEqual(target.read_text(), "#!/bin/sh\n")
        self.assertEqual(len(self.told), 1)
        self.assertEqual(self._installed(tool="no-such-tool"), target)
        self.assertEqual(len(self.told), 1)

    def test_other_version(self) -> None:
        """A changed version is built anew."""
        self.assertNotEqual(self._installed(), self._installed(version="1.3"))

    def test_no_tool(self) -> None:
        """Without the tool the reason names it."""
        error = self.assertRaises(ProgramMissing, self._installed, tool="no-such-tool")
        self.assertIn("no-such-tool", str(error))
        self.assertEqual(self.told, [])

    def test_failed(self) -> None:
        """A build that fails is told with its last line, and nothing is left that would pass for the program."""
        command = lambda shell, target: [shell, "-c", "echo first >&2; echo no network >&2; exit 1"]  # noqa: E731
        for _ in range(2):
            error = self.assertRaises(ProgramMissing, self._installed, command=command)
            self.assertIn("sh failed: no network", str(error))

    def test_pinned(self) -> None:
        """The peers' versions are in what is built."""
        self.assertIn(f"chisel v{CHISEL.version}", CHISEL.files["go.mod"])
        command = RATHOLE.command("cargo", Path("/cache/rathole/bin/rathole"))
        self.assertIn(RATHOLE.version, command)
        self.assertIn("/cache/rathole", command)
