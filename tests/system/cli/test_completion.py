"""Tests that `warp completion` works in a real shell."""

import stat
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parents[3]
_BASH = """
eval "$(warp completion bash)"
complete -p warp >/dev/null || exit 1
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=(); _warp_completion warp
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


class CompletionTests(SynchronousTestCase):
    """The scripts, loaded as a user loads them."""

    def setUp(self) -> None:
        """Put a `warp` of this checkout on the path."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        program = self.directory / "warp"
        path = ":".join(str(ROOT / part) for part in (".", "dns", "warp_twisted/_dropins"))
        program.write_text(
            f"#!{sys.executable}\nimport sys; sys.path[:0] = {path.split(':')!r}\n"
            "from warp_twisted.cli.main import main; main()\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def complete(self, shell: str, script: str) -> list[str]:
        """Run a script in a shell, and return the lines that it prints."""
        environment = {"PATH": f"{self.directory}:/usr/bin:/bin", "HOME": str(self.directory)}
        ran = subprocess.run(
            [shell, "-c", script], env=environment, capture_output=True, text=True, timeout=30, check=False
        )
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return ran.stdout.splitlines()

    def test_bash(self) -> None:
        """Commands, commands of groups, and options."""
        for words, expected in (
            ("warp tok", ["token"]),
            ('warp token ""', ["create", "list", "revoke"]),
            ("warp up --js", ["--json"]),
            ("warp completion f", ["fish"]),
        ):
            self.assertEqual(self.complete("bash", _BASH.format(words=words)), expected)

    def test_fish_keeps_whole_sentences(self) -> None:
        """click's script for fish would cut each help at its first comma; ours cuts behind the kind only."""
        ran = subprocess.run(
            [str(self.directory / "warp"), "completion", "fish"], capture_output=True, text=True, timeout=30, check=True
        )
        self.assertIn('string split -m 1 ","', ran.stdout)
        self.assertNotIn('string split ","', ran.stdout)
