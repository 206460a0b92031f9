"""`python -m benchmarks`: one case with two peers and another checkout, from the command line to the files."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

_ROOT = Path(__file__).resolve().parents[3]


class CommandTests(SynchronousTestCase):
    """The command."""

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "benchmarks", *arguments],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def test_another_checkout(self) -> None:
        """Another checkout is one more peer, run by its own environment, and is compared figure by figure."""
        directory = Path(self.mktemp()).resolve()
        checkout = directory / "before"
        (checkout / ".venv").mkdir(parents=True)
        # The tree is this one, under another name; its environment has the programs of the one that runs this test.
        for name in ("dns", "warp_twisted"):
            (checkout / name).symlink_to(_ROOT / name)
        (checkout / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
        arguments = ["--only", "events", "--quick", "--peer", "Warp", "--peer", "HAProxy"]
        done = self._call(*arguments, "--compare", f"before={checkout}", "--output", str(directory / "results"))
        self.assertEqual(done.returncode, 0, done.stderr)
        (found,) = (directory / "results").glob("*.json")
        document = json.loads(found.read_text())
        peers = {figure["peer"] for figure in document["figures"]}
        self.assertEqual(peers, {"HAProxy", "Warp", "before"})
        self.assertIn("## Warp beside before\n", done.stdout)
        self.assertEqual(found.with_suffix(".md").read_text(), done.stdout.rstrip("\n") + "\n")
        shutil.rmtree(checkout)

    def test_no_environment(self) -> None:
        """A checkout without an environment is refused with what to do."""
        done = self._call("--compare", str(Path(self.mktemp()).resolve()))
        self.assertEqual(done.returncode, 2)
        self.assertIn(".venv/.benchmark", done.stderr)

    def test_list(self) -> None:
        """The cases are listed with what they measure."""
        lines = self._call("--list").stdout.splitlines()
        self.assertIn("keepalive", lines[0])
        self.assertIn("--large", lines[-1])
